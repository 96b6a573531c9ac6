"""Figures of means in bands of their 95% interval: what probes measured, and the metric over a setting."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence

from matplotlib.figure import Figure

from vision_baselines.analysis.statistics import Summary, summarize
from vision_baselines.comparison.formatting import one_line, shortened
from vision_baselines.comparison.metric import Metric
from vision_baselines.comparison.rows import GroupRow
from vision_baselines.comparison.table import ComparisonTable
from vision_baselines.plots.bands import Band, bands_figure
from vision_baselines.plots.scale import label_places, label_roundly, label_steps, scale_logarithmic, spans_widely
from vision_baselines.plots.style import MUTED, Look, about
from vision_baselines.runs.record import Curve

# What the last word of a curve's name says: it is drawn in the figure of the curve that is named without it.
BESIDE = {
    "untrained": ("--", "dashed is the untrained net"),
    "theoretical": (":", "dotted is the theoretical value"),
    "scaled": ("--", "dashed is after temperature scaling"),
}
Points = tuple[tuple[float, Summary], ...]


def curve_names(rows: Iterable[GroupRow]) -> list[str]:
    """Names of the curves that counted jobs of `rows` have and that get a figure, sorted."""
    names = _all_names(rows)
    return sorted(name for name in names if not (_kind(name) in BESIDE and name.rpartition("_")[0] in names))


def beside_note(rows: Iterable[GroupRow], name: str) -> str:
    """What else the figure of a curve shows, in a sentence; empty for nothing."""
    names = _all_names(rows)
    found = "; ".join(says for kind, (_, says) in BESIDE.items() if f"{name}_{kind}" in names)
    return f" {found[:1].upper()}{found[1:]}." if found else ""


def curve_points(row: GroupRow, name: str) -> Points:
    """A group's curve: a summary over its counted jobs at each place where one of them measured a finite value."""
    values: dict[float, list[float]] = {}
    for curve in _curves(row, name):
        for x, y in zip(curve.x, curve.y, strict=False):
            if math.isfinite(x) and math.isfinite(y):
                values.setdefault(x, []).append(y)
    return tuple((x, summarize(values[x])) for x in sorted(values))


def curve_figure(table: ComparisonTable, rows: Sequence[GroupRow], name: str) -> Figure | None:
    """The curve called `name` of each group, and what is drawn beside it (`BESIDE`); None if no group has it."""
    metric = Metric(name)
    places = {row.label: table.rows.index(row) for row in rows}
    bands = [
        Band.of(Look.of(places[row.label]), points, places[row.label], row.label)
        for row in rows
        if (points := curve_points(row, name))
    ]
    if not bands:
        return None
    first = next(curve for row in rows for curve in _curves(row, name))
    unit = f", {metric.unit}" if metric.unit else ""
    figure, axes = bands_figure(bands, metric, one_line(first.x_label, 60), f"{one_line(first.y_label, 40)}{unit}")
    for kind, (style, _) in BESIDE.items():
        for row in rows:
            points = curve_points(row, f"{name}_{kind}")
            values = [metric.scaled(summary.mean) for _, summary in points]
            if values:
                low, high = axes.get_ylim()  # they are fixed by now
                place = places[row.label]
                gid = about(place, f"{row.label} ({kind})")
                axes.plot([x for x, _ in points], values, linestyle=style, color=Look.of(place).color, gid=gid)
                pad = 0.04 * (max(high, *values) - min(low, *values))
                axes.set_ylim(min(low, min(values) - pad), max(high, max(values) + pad))
    label_steps(axes.xaxis, [float(x) for band in bands for x in band.x])
    return figure


def over_figure(table: ComparisonTable) -> Figure | None:
    """The metric over the setting ``table.over``, a line for each series under a legend of its own.

    The axis is logarithmic where the values span more than a factor of twenty.
    """
    lines = [Band.of(Look.of(index), series.points) for index, series in enumerate(table.series)]
    return _over(table, lines, table.metric.axis_label, table.metric.bounds) if lines else None


def over_difference_figure(table: ComparisonTable) -> Figure | None:
    """The paired difference of each series to the baseline's, over the setting; None where nothing is paired."""
    lines = [
        Band.of(Look.of(index), series.differences) for index, series in enumerate(table.series) if series.differences
    ]
    if not lines:
        return None
    unit = "points" if table.metric.is_share else table.metric.title
    low, high = table.metric.bounds
    baseline = shortened(table.series[0].baseline or "", 24)
    figure = _over(table, lines, f"{unit}, minus {baseline}", (low - high, high - low))
    axes = figure.axes[0]
    shown = axes.get_ylim()
    axes.axhline(0, color=MUTED, linewidth=1.0, zorder=1)
    axes.set_ylim(min(*shown, 0), max(*shown, 0))
    return figure


def _over(table: ComparisonTable, lines: Sequence[Band], y_label: str, bounds: tuple[float, float]) -> Figure:
    figure, axes = bands_figure(lines, table.metric, one_line(table.over or "", 60), y_label, bounds)
    places = [float(x) for line in lines for x in line.x]
    if spans_widely(min(places), max(places)):
        scale_logarithmic(axes.xaxis, min(places), max(places))
    if not label_places(axes.xaxis, places) and axes.get_xscale() == "linear":
        label_roundly(axes.xaxis)
    return figure


def _all_names(rows: Iterable[GroupRow]) -> set[str]:
    return {name for row in rows for job in row.counted for name in job.record.curves}


def _kind(name: str) -> str:
    return name.rpartition("_")[2]


def _curves(row: GroupRow, name: str) -> list[Curve]:
    return [job.record.curves[name] for job in row.counted if name in job.record.curves]
