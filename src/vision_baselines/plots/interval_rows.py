"""What the rows of an interval chart show, for the page and for TensorBoard alike: runs, their mean, its interval.

Numbers are in the metric's own unit. Drawing is left to `plots.intervals` and `report.dots`; this imports no
Matplotlib.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from vision_baselines.comparison.formatting import capital, probability, shortened
from vision_baselines.comparison.metric import Metric
from vision_baselines.comparison.rows import GroupRow
from vision_baselines.comparison.table import ComparisonTable
from vision_baselines.comparison.verdict import short_verdict

MOST_ROWS = 40
"""Of more groups, a chart shows the best and the one that they are compared with."""
ZERO = "Where the interval holds zero, the two cannot be told apart."


@dataclass(frozen=True)
class IntervalRow:
    """A group, its place in the table, its runs (or pairs), and their mean in a 95% interval."""

    label: str
    place: int
    note: str
    runs: tuple[float, ...]
    mean: float
    low: float
    high: float
    is_best: bool = False


@dataclass(frozen=True)
class IntervalChart:
    """Rows in the order of the tables, the best first; `bounds` are what a value can be at all."""

    key: str
    title: str
    caption: str
    axis: str
    rows: tuple[IntervalRow, ...]
    metric: Metric
    bounds: tuple[float, float]
    has_zero: bool = False


def accuracy_chart(table: ComparisonTable) -> IntervalChart | None:
    """Each group's metric, the best by validation marked; None while no group has it."""
    metric = table.metric
    best = [row.label for row in table.best_groups]
    rows = []
    among = table.best_first()
    for row in _shown(among, table):
        found = row.metrics.get(metric.name)
        if found is None:
            continue
        n = row.averaged_over(metric.name) or found.n
        note = f"{metric.mean_and_std(found.mean, found.std)}{metric.unit} · n = {n}"
        runs, ends = tuple(row.values(metric.name).values()), (found.mean, found.ci_low, found.ci_high)
        rows.append(IntervalRow(row.label, table.rows.index(row), note, runs, *ends, is_best=row.label in best))
    caption = "Small dots are runs, the large one their mean, the line its 95% interval (Student's t)."
    caption += _left_out(among)
    title = capital(metric.title)
    chart = IntervalChart("accuracy", title, caption, metric.axis_label, tuple(rows), metric, metric.bounds)
    return chart if rows else None


def difference_chart(table: ComparisonTable) -> IntervalChart | None:
    """Each group's metric minus the baseline's, pair by pair; None where nothing is paired."""
    metric = table.metric
    reference = next((row.values(metric.name) for row in table.rows if row.label == table.reference), {})
    rows = []
    among = table.best_first()
    for row in _shown(among, table):
        found = row.difference
        if found is None or found.n == 0:
            continue
        pairs = tuple(v - reference[seed] for seed, v in row.values(metric.name).items() if seed in reference)
        said = probability(found.p) or short_verdict(found, metric)
        note = f"{metric.signed(found.mean)} · {said} · n = {found.over or found.n}"
        ends = (found.mean, found.ci_low, found.ci_high)
        rows.append(IntervalRow(row.label, table.rows.index(row), note, pairs, *ends))
    if not rows:
        return None
    unit = "points of " if metric.is_share else ""
    low, high = metric.bounds
    against = "the baseline" if table.baseline is not None else "the chosen group"
    return IntervalChart(
        "difference",
        f"Difference to {against}",
        f"Small dots are runs, each minus the run of {against} that it is paired with. "
        f"{zero_note(table)}{_left_out(among)}",
        f"{unit}{metric.title}, minus {shortened(table.reference or '', 30)}",
        tuple(rows),
        metric,
        (low - high, high - low),
        has_zero=True,
    )


def _shown(rows: Sequence[GroupRow], table: ComparisonTable) -> list[GroupRow]:
    """The first groups, and the one that they are compared with."""
    return [row for place, row in enumerate(rows) if place < MOST_ROWS or row.label == table.reference]


def _left_out(rows: Sequence[GroupRow]) -> str:
    return f" The first {MOST_ROWS} of {len(rows)} groups; groups.csv has all." if len(rows) > MOST_ROWS else ""


def zero_note(table: ComparisonTable) -> str:
    """What an interval of a difference says about zero."""
    if table.effects:
        return f"{ZERO} Intervals are corrected for all comparisons, and verdicts follow them."
    if table.family > 1:
        return f"{ZERO} Verdicts follow p-values, which are corrected for all comparisons; intervals are not."
    return ZERO
