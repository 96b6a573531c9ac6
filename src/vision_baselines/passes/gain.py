"""Whether training in one pass is faster, by what was measured; see docs/performance.md, "Many seeds in one pass"."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from torch import nn

from vision_baselines.passes.errors import NotInOnePassError

# Multiplications of a training step of one copy, above which a CPU's core is busy with them alone.
_MOST_ON_CPU = 20_000_000


def require_gain(net: nn.Module, config: Mapping[str, Any]) -> None:
    """Look at the work of a step.

    Raises:
        NotInOnePassError: One by one is as fast.
    """
