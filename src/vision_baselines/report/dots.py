"""Interval charts as the page draws them: rows of text and marks at shares of the width, so that they fit any window.

A row is an element of its own: it can be folded, hidden and read aloud, and its text is text. TensorBoard's picture of
the same rows is `plots.intervals`.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import lru_cache

from vision_baselines.comparison.formatting import shortened
from vision_baselines.comparison.metric import Metric
from vision_baselines.plots.interval_rows import IntervalChart, IntervalRow

_TICKS = 6
_ROOM = 0.04
_RUNS_SHOWN = 60
_EXACT = 1e-9


@dataclass(frozen=True)
class Dots:
    """One row; places are percentages of the width, `low` and `high` None without an interval.

    `ends` are those ends of the interval that get a mark: all but those beyond what a value can be.
    """

    label: str
    place: int
    note: str
    title: str
    mean: str
    low: str | None
    high: str | None
    runs: tuple[str, ...]
    is_best: bool
    ends: tuple[str, ...]


@dataclass(frozen=True)
class DotsChart:
    """Rows over one axis, whose ticks are percentages of the width with their text."""

    key: str
    title: str
    caption: str
    axis: str
    rows: tuple[Dots, ...]
    ticks: tuple[tuple[str, str], ...]
    zero: str | None


@dataclass(frozen=True)
class _Axis:
    """What the rows of a chart have in common: its ends in the metric's unit, and what a value can be at all."""

    metric: Metric
    low: float
    high: float
    bounds: tuple[float, float]
    has_zero: bool

    def at(self, value: float) -> str:
        """A value's place as a percentage of the width."""
        share = (self.metric.scaled(value) - self.low) / (self.high - self.low)
        return f"{100 * min(max(share, 0.0), 1.0):.2f}".rstrip("0").rstrip(".") + "%"


def dots_chart(chart: IntervalChart) -> DotsChart:
    """The chart with its values turned into places; an axis of differences has zero on it, so that it can be seen."""
    metric = chart.metric
    values = [value for row in chart.rows for value in (*row.runs, row.mean, row.low, row.high)]
    low, high = limits([0.0] * chart.has_zero + list(filter(math.isfinite, values)), chart.bounds)
    axis = _Axis(metric, metric.scaled(low), metric.scaled(high), chart.bounds, chart.has_zero)
    return DotsChart(
        chart.key,
        chart.title,
        chart.caption,
        chart.axis,
        tuple(_dots(row, axis) for row in chart.rows),
        tuple((axis.at(metric.unscaled(tick)), f"{tick:g}".replace("-", "−")) for tick in ticks(axis.low, axis.high)),
        axis.at(0.0) if chart.has_zero else None,
    )


@lru_cache(maxsize=2**10)  # most rows are what they were after the last job
def _dots(row: IntervalRow, axis: _Axis) -> Dots:
    at, metric = axis.at, axis.metric
    has_interval = math.isfinite(row.low) and math.isfinite(row.high)
    write = metric.signed if axis.has_zero else metric.bare
    runs = ", ".join(write(run) for run in row.runs[:_RUNS_SHOWN])
    interval = metric.interval(row.low, row.high, signed=axis.has_zero) + _at_bounds(row, axis)
    return Dots(
        row.label,
        row.place,
        row.note,
        f"{shortened(row.label, 200)}\nmean {write(row.mean)}, 95% interval {interval}\nruns: {runs}",
        at(row.mean),
        at(row.low) if has_interval else None,
        at(row.high) if has_interval else None,
        tuple(at(run) for run in row.runs[:_RUNS_SHOWN] if math.isfinite(run)),
        row.is_best,
        tuple(at(end) for end in (row.low, row.high) if has_interval and not _is_beyond(end, axis.bounds)),
    )


def _is_beyond(value: float, bounds: tuple[float, float]) -> bool:
    return not bounds[0] - _EXACT <= value <= bounds[1] + _EXACT


def _at_bounds(row: IntervalRow, axis: _Axis) -> str:
    """What is said of an interval that reaches the least or the most that is possible."""
    said = ""
    for end, bound, side in zip((row.low, row.high), axis.bounds, ("least", "most"), strict=True):
        if _is_beyond(end, axis.bounds) and (end < bound) is (side == "least"):
            said += f", drawn up to {axis.metric.scaled(bound):g}, the {side} that is possible"
        elif math.isclose(end, bound, abs_tol=_EXACT):
            said += f", ends at {axis.metric.scaled(bound):g}, the {side} that is possible"
    return said


def limits(values: list[float], bounds: tuple[float, float]) -> tuple[float, float]:
    """The ends of an axis: room around what is shown, and nothing beyond what a value can be.

    >>> limits([0.9, 1.0], (0.0, 1.0))
    (0.896, 1.0)
    """
    low, high = min(values, default=0.0), max(values, default=1.0)
    room = _ROOM * (high - low) or _ROOM * abs(high) or _ROOM
    return max(low - room, bounds[0]), min(high + room, bounds[1])


def ticks(low: float, high: float) -> list[float]:
    """At most six round values from `low` to `high`, in steps of 1, 2 or 5 times a power of ten.

    >>> ticks(89.6, 100.0), ticks(-0.4, 0.9)
    ([90.0, 92.0, 94.0, 96.0, 98.0, 100.0], [0.0, 0.5])
    """
    least = (high - low) / _TICKS
    power = 10.0 ** math.floor(math.log10(least))
    step = next(factor * power for factor in (1, 2, 5, 10) if factor * power >= least)
    first, last = math.ceil(low / step - 1e-9), math.floor(high / step + 1e-9)
    return [round(place * step, 12) + 0.0 for place in range(first, last + 1)]
