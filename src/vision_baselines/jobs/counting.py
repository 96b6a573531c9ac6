"""How many jobs a sweep has, known before a list of them is made, and how many of them have been looked at."""

from __future__ import annotations

import math
from collections.abc import Iterable

from hydra.core.override_parser.types import Override, RangeSweep

from vision_baselines.terminal import Waiting
from vision_baselines.text import plural

_MANY = 1000


def n_jobs(overrides: Iterable[Override]) -> int:
    """The number of jobs of a grid; of two overrides of one key the last counts.

    >>> from hydra.core.override_parser.overrides_parser import OverridesParser
    >>> n_jobs(OverridesParser.create().parse_overrides(["seed=range(0,1000)", "lr=range(0,1,0.25)", "x=1,2", "y=0"]))
    8000
    """
    return math.prod({override.get_key_element(): _n_values(override) for override in overrides}.values())


def _n_values(override: Override) -> int:
    if not override.is_sweep_override() or not override.is_discrete_sweep():
        return 1
    value = override.value()
    if isinstance(value, RangeSweep) and value.start is not None and value.stop is not None and value.step:
        return max(0, math.ceil((value.stop - value.start) / value.step))
    return sum(1 for _ in override.sweep_string_iterator())


def looking_at(total: int) -> Waiting:
    """Says how many of so many jobs have been looked at: at once where they are many, else where it takes long."""
    return Waiting(f"looking at {plural(total, 'job')} before the first one starts", first_s=0 if total >= _MANY else 2)
