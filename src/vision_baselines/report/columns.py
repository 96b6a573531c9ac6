"""A column of a comparison's tables, described once: its heading, how a cell is written, the exact values behind it.

The page, Markdown and the terminal show the texts, CSV files and data frames hold the values. Which columns there are
is left to `tables`.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Generic, TypeVar

from vision_baselines.analysis.statistics import PairedDifference, Summary
from vision_baselines.comparison.evidence import is_better
from vision_baselines.comparison.formatting import ABSENT, probability
from vision_baselines.comparison.metric import Metric
from vision_baselines.comparison.verdict import short_verdict

Item = TypeVar("Item")

TONES = {True: "good", False: "bad", None: "quiet"}
"""The tone of a verdict by `is_better`."""


@dataclass(frozen=True, eq=False)  # it is a key of what it says of items, by its identity
class Column(Generic[Item]):
    """One column of a table of items.

    Attributes:
        name: By which a renderer chooses it.
        heading: What stands above it, without the unit.
        write: The text of an item's cell.
        unit: The unit of the texts; empty for plain numbers and for text.
        fields: The exact values behind a text, by their name in a CSV file.
        is_number: Whether texts are numbers, which are aligned at the right.
        tone: ``good``, ``bad``, ``quiet`` or ``best`` for an item that stands out, else nothing.
    """

    name: str
    heading: str
    write: Callable[[Item], str]
    unit: str = ""
    fields: Mapping[str, Callable[[Item], Any]] = field(default_factory=dict)
    is_number: bool = True
    tone: Callable[[Item], str] = lambda item: ""

    @property
    def head(self) -> str:
        """Heading and unit."""
        return f"{self.heading}, {self.unit}" if self.unit else self.heading

    def sort_value(self, item: Item) -> str | None:
        """The exact number that a cell is sorted by, the first of its fields; None where its text has to do."""
        value = next((read(item) for read in self.fields.values()), None) if self.is_number else None
        return f"{value:.9g}" if isinstance(value, int | float) and math.isfinite(value) else None


def exact_fields(columns: Iterable[Column[Item]]) -> dict[str, Callable[[Item], Any]]:
    """The exact values of all columns, by their name in a CSV file."""
    return {name: read for column in columns for name, read in column.fields.items()}


def chosen(columns: Iterable[Column[Item]], names: Sequence[str]) -> list[Column[Item]]:
    """The columns called `names`, in that order; one that is not there is left out."""
    by_name = {column.name: column for column in columns}
    return [by_name[name] for name in names if name in by_name]


def estimate_columns(
    metric: Metric,
    name: str,
    prefix: str,
    of: Callable[[Item], Summary | None],
    is_best: Callable[[Item], bool] = lambda item: False,
) -> list[Column[Item]]:
    """Number, mean and spread, interval, median and range of a metric."""

    def value(statistic: str) -> dict[str, Callable[[Item], Any]]:
        return {f"{name} {statistic}": lambda item: getattr(of(item), statistic, None)}

    def written(write: Callable[[Summary], str]) -> Callable[[Item], str]:
        return lambda item: ABSENT if (summary := of(item)) is None else write(summary)

    return [
        Column(f"{prefix}n", "n", written(lambda found: str(found.n)), fields=value("n")),
        Column(
            f"{prefix}mean",
            metric.title,
            written(lambda found: metric.mean_and_std(found.mean, found.std)),
            metric.unit,
            value("mean") | value("std"),
            tone=lambda item: "best" if is_best(item) else "",
        ),
        Column(
            f"{prefix}interval",
            "95% interval",
            written(lambda found: metric.interval(found.ci_low, found.ci_high)),
            fields=value("ci_low") | value("ci_high"),
        ),
        Column(f"{prefix}median", "median", written(lambda found: metric.bare(found.median)), fields=value("median")),
        Column(
            f"{prefix}range",
            "range",
            written(lambda found: metric.interval(found.min, found.max)),
            fields=value("min") | value("max"),
        ),
    ]


def difference_columns(
    metric: Metric,
    baseline: str,
    of: Callable[[Item], PairedDifference | None],
    is_baseline: Callable[[Item], bool],
    word: str = "baseline",
    interval: str = "95% interval",
) -> list[Column[Item]]:
    """Mean difference, interval, p-value and verdict against the baseline; ``versus`` has it in one cell."""
    against = baseline if len(baseline) <= 24 else f"the {word}{' group' * (word != 'baseline')}"

    def value(statistic: str) -> dict[str, Callable[[Item], Any]]:
        return {f"{metric.name} difference {statistic}": lambda item: getattr(of(item), statistic, None)}

    def written(write: Callable[[PairedDifference], str]) -> Callable[[Item], str]:
        return lambda item: ABSENT if (found := of(item)) is None else write(found)

    def verdict(item: Item) -> str:
        if is_baseline(item):
            return word
        found = of(item)
        return ABSENT if found is None else short_verdict(found, metric)

    def tone(item: Item) -> str:
        return TONES[is_better(of(item), metric)]

    def versus(item: Item) -> str:
        found = of(item)
        if found is None or not found.is_tested:
            return verdict(item)
        return f"{metric.signed(found.mean)} {probability(found.p)}"

    return [
        Column("difference n", "pairs", written(lambda found: str(found.n)), fields=value("n")),
        Column(
            "difference",
            f"difference to {against}",
            written(lambda found: metric.signed(found.mean)),
            fields=value("mean"),
        ),
        Column(
            "difference interval",
            interval,
            written(lambda found: metric.interval(found.ci_low, found.ci_high, signed=True)),
            fields=value("ci_low") | value("ci_high"),
        ),
        Column(
            "p",
            "p",
            written(lambda found: p_text(found.p)),
            fields=value("p_value") | value("p_corrected"),
        ),
        Column("verdict", "verdict", verdict, fields=value("conclusion"), is_number=False, tone=tone),
        Column("versus", f"vs {against}", versus, tone=tone),
    ]


def p_text(value: float | None) -> str:
    """A p-value for a column that is headed ``p``."""
    return ABSENT if value is None else probability(value)[2:].lstrip("= ") or ABSENT


def plain_column(
    name: str,
    heading: str,
    write: Callable[[Any], str],
    value: Callable[[Item], Any],
    *,
    unit: str = "",
) -> Column[Item]:
    """A column of one value, which has its name in a CSV file too."""
    return Column(name, heading, lambda item: write(value(item)), unit, {name.replace(" ", "_"): value})
