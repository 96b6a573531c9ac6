"""How a metric's values are written, and which of them is better.

The names are those that runs log: ``split/quantity``, as in ``test/acc``. The direction is what the task of the runs
says, where it does; the rest is convention (`tasks.names`).
"""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass
from functools import cached_property, lru_cache

from vision_baselines.comparison.formatting import ABSENT, is_nonzero, number
from vision_baselines.runs.record import RunRecord
from vision_baselines.tasks import names


@dataclass(frozen=True)
class Metric:
    """One metric; shares of 1 are written in percent, their differences in points.

    Attributes:
        name: As it is logged.
        mode: ``max`` or ``min``, the end that is better; None goes by the name.

    >>> accuracy = Metric("test/acc")
    >>> accuracy.title, accuracy.written(0.98312), accuracy.written_difference(0.012)
    ('test accuracy', '98.31%', '1.20 points')
    >>> Metric("test/loss").best([0.3, 0.1])
    0.1
    """

    name: str
    mode: str | None = None

    @property
    def quantity(self) -> str:
        """The name without its split."""
        return self.name.rpartition("/")[2]

    @property
    def images(self) -> str:
        """The split whose images values are of, in words.

        >>> Metric("val/acc").images, Metric("test/loss").images, Metric("shift/acc_4px").images
        ('validation', 'test', 'test')
        """
        return {"val": "validation", "train": "training"}.get(self.name.partition("/")[0], "test")

    @property
    def title(self) -> str:
        """The name in words."""
        return names.in_words(self.name)

    @cached_property  # each number that is written asks
    def is_share(self) -> bool:
        """Whether values are shares of 1; a condition may follow, as in ``shift/acc_4px``."""
        return _is_share(self.name)

    @property
    def is_difference(self) -> bool:
        """Whether values are differences, which lie on both sides of 0."""
        return names.is_difference(self.quantity)

    @property
    def unit(self) -> str:
        """The unit of `scaled` values; empty for plain numbers."""
        return "%" if self.is_share else ""

    @property
    def is_accuracy(self) -> bool:
        """Whether it is the share of right answers on the test split."""
        return names.is_accuracy(self.name)

    @property
    def axis_label(self) -> str:
        """The title, and the unit of `scaled` values."""
        return f"{self.title}, {self.unit}" if self.unit else self.title

    @property
    def bounds(self) -> tuple[float, float]:
        """What a value can be at all, in the unit of the values."""
        return (0.0, 1.0) if self.is_share else (-math.inf, math.inf)

    @property
    def lower_is_better(self) -> bool:
        """Whether a smaller value is the better one."""
        return self.mode == "min" if self.mode else names.lower_is_better(self.quantity)

    @property
    def validation_name(self) -> str:
        """The same quantity on the validation split, the one that learning curves hold."""
        is_conditional = not names.is_share(self.quantity) and names.is_share(self._unconditional)
        return f"val/{self._unconditional if is_conditional else self.quantity}"

    @property
    def _unconditional(self) -> str:
        return self.quantity.rpartition("_")[0]

    def scaled(self, value: float) -> float:
        """`value` in the metric's unit."""
        return 100.0 * value if self.is_share else value

    def unscaled(self, value: float) -> float:
        """A `value` in the metric's unit, such as a margin in points, as values are recorded."""
        return value / 100 if self.is_share else value

    def margin(self, value: float) -> str:
        """A margin in the metric's unit, as it was asked for.

        >>> Metric("test/acc").margin(0.5), Metric("test/loss").margin(0.01)
        ('±0.5 points', '±0.01')
        """
        return f"±{value:g}{' points' if self.is_share else ''}"

    def best(self, values: Iterable[float]) -> float:
        """The best of `values`; NaN if there is none."""
        return (min if self.lower_is_better else max)(values, default=math.nan)

    def bare(self, value: float | None) -> str:
        """`value` in its unit, the unit left to a column's head."""
        return ABSENT if value is None or not math.isfinite(value) else _bare(self.is_share, value)

    def signed(self, value: float | None) -> str:
        """A difference with its sign, its unit left to a column's head."""
        text = self.bare(value)
        return f"+{text}" if value is not None and value > 0 and is_nonzero(text) else text

    def written(self, value: float) -> str:
        """`value` with its unit."""
        return self.bare(value) + self.unit

    def precise(self, value: float) -> str:
        """`value` with its unit, to more digits than are worth reporting, so that two may be seen to differ."""
        return f"{value:.4%}" if self.is_share else f"{value:.8g}"

    def written_difference(self, value: float) -> str:
        """The size of a difference with its unit; percent would be ambiguous, so shares differ by points."""
        return self.bare(value) + (" points" if self.is_share else "")

    def interval(self, low: float, high: float, signed: bool = False) -> str:
        """An interval in brackets; absent if either end is no number."""
        if not (math.isfinite(low) and math.isfinite(high)):
            return ABSENT
        write = self.signed if signed else self.bare
        return f"[{write(low)}, {write(high)}]"

    def mean_and_std(self, mean: float, std: float) -> str:
        """Mean ± standard deviation, the latter only where it exists.

        >>> Metric("test/acc").mean_and_std(0.98312, 0.0012), Metric("test/loss").mean_and_std(0.2452, 0.00376)
        ('98.31 ± 0.12', '0.2452 ± 0.0038')
        """
        text = self.bare(mean)
        if not math.isfinite(std):
            return text
        decimals = len(text.partition(".")[2])
        return f"{text} ± {self.bare(std) if 'e' in text else f'{self.scaled(std):,.{decimals}f}'}"


@lru_cache(maxsize=2**14)  # most numbers of a table are what they were after the last job
def _bare(is_share: bool, value: float) -> str:
    text = f"{100.0 * value:.2f}" if is_share else number(value, 4)
    return text.replace("-", "−", 1) if text.startswith("-") and is_nonzero(text) else text.lstrip("-")


@lru_cache(maxsize=2**12)  # each number that is written asks
def _is_share(name: str) -> bool:
    quantity = name.rpartition("/")[2]
    return names.is_share(quantity) or names.is_share(quantity.rpartition("_")[0])


def headline_value(record: RunRecord) -> str:
    """A finished run's headline metric, as ``test/acc 98.31%``; empty where it has none."""
    name = record.headline_metric
    value = record.metrics.get(name)
    return "" if value is None else f"{name} {Metric(name, record.task.mode).written(value)}"
