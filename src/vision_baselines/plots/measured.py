"""Figures of means in bands of their 95% interval: what probes measured, and the metric over a setting."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from vision_baselines.analysis.statistics import Summary, summarize
from vision_baselines.comparison.formatting import one_line, shortened
from vision_baselines.comparison.metric import Metric
from vision_baselines.comparison.series import Series
from vision_baselines.comparison.table import ComparisonTable, GroupRow
from vision_baselines.plots.curves import draw_band, finish, scale_logarithmic
from vision_baselines.plots.scale import label_places, label_roundly, spans_widely
from vision_baselines.plots.style import Look, new_axes
from vision_baselines.runs.record import Curve

Points = tuple[tuple[float, Summary], ...]


def curve_names(rows: Iterable[GroupRow]) -> list[str]:
    """Names of the curves that counted jobs of `rows` have, sorted."""
    return sorted({name for row in rows for job in row.counted for name in job.record.curves})


def curve_points(row: GroupRow, name: str) -> Points:
    """A group's curve: a summary over its counted jobs at each place where one of them measured a finite value."""
    values: dict[float, list[float]] = {}
    for curve in _curves(row, name):
        for x, y in zip(curve.x, curve.y, strict=False):
            if math.isfinite(x) and math.isfinite(y):
                values.setdefault(x, []).append(y)
    return tuple((x, summarize(values[x])) for x in sorted(values))


def curve_figure(table: ComparisonTable, rows: Sequence[GroupRow], name: str) -> Figure | None:
    """The curve called `name` of each group; None if no group has it."""
    metric = Metric(name)
    lines = [(Look.of(table.rows.index(row)), points) for row in rows if (points := curve_points(row, name))]
    if not lines:
        return None
    figure, axes = new_axes(2.9)
    _draw(axes, lines, metric)
    label_roundly(axes.xaxis, whole=_are_whole(lines))
    first = next(curve for row in rows for curve in _curves(row, name))
    y_label = one_line(first.y_label, 40)
    finish(axes, one_line(first.x_label, 60), f"{y_label}, %" if metric.unit else y_label)
    return figure


def over_figure(table: ComparisonTable) -> Figure | None:
    """The metric over the setting ``table.over``, a line for each series under a legend of its own.

    The axis is logarithmic where the values span more than a factor of twenty.
    """
    if not table.series:
        return None
    metric = table.metric
    figure, axes = new_axes(2.9)
    _draw(axes, [(Look.of(index), series.points) for index, series in enumerate(table.series)], metric)
    places = [x for series in table.series for x, _ in series.points]
    if spans_widely(min(places), max(places)):
        scale_logarithmic(axes, min(places), max(places))
    if not label_places(axes.xaxis, places) and axes.get_xscale() == "linear":
        label_roundly(axes.xaxis)
    finish(axes, one_line(table.over or "", 60), f"{metric.title}, %" if metric.unit else metric.title)
    return figure


def series_entries(series: Sequence[Series]) -> list[tuple[str, Look]]:
    """What the legend of `over_figure` says."""
    return [(shortened(line.label, 58), Look.of(index)) for index, line in enumerate(series)]


def _draw(axes: Axes, lines: Sequence[tuple[Look, Points]], metric: Metric) -> None:
    """Means in bands; a band of one run has no width, and one of a share ends where shares do."""
    bounds = (0.0, 100.0) if metric.is_share else (-math.inf, math.inf)
    for look, points in lines:
        middle = np.array([metric.scaled(found.mean) for _, found in points])
        low = np.array([metric.scaled(found.ci_low) for _, found in points])
        high = np.array([metric.scaled(found.ci_high) for _, found in points])
        low, high = (np.where(np.isfinite(ends), np.clip(ends, *bounds), middle) for ends in (low, high))
        draw_band(axes, np.array([x for x, _ in points]), middle, low, high, look)


def _curves(row: GroupRow, name: str) -> list[Curve]:
    return [job.record.curves[name] for job in row.counted if name in job.record.curves]


def _are_whole(lines: Sequence[tuple[Look, Points]]) -> bool:
    return all(x == int(x) for _, points in lines for x, _ in points)
