"""What accuracy costs: the metric against parameters or against training seconds, one mark per group."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import Any

from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from vision_baselines.comparison.formatting import number
from vision_baselines.comparison.rows import Costs, GroupRow
from vision_baselines.comparison.table import ComparisonTable
from vision_baselines.plots.scale import keep_within, label_shortly, scale_logarithmic
from vision_baselines.plots.style import Look, about, finish, new_axes


def parameters_figure(table: ComparisonTable, rows: Sequence[GroupRow]) -> Figure | None:
    """The metric against the number of parameters, on a logarithmic axis."""
    return _figure(table, rows, lambda costs: costs.parameters, "parameters")


def seconds_figure(table: ComparisonTable, rows: Sequence[GroupRow]) -> Figure | None:
    """The metric against the median training time; logarithmic where times differ tenfold."""
    return _figure(table, rows, lambda costs: costs.fit_s, "training time, s (median)", log_from=10)


def _figure(
    table: ComparisonTable,
    rows: Sequence[GroupRow],
    read: Callable[[Costs], float | None],
    axis: str,
    log_from: float = 1,
) -> Figure | None:
    metric = table.metric
    points = []
    for row in rows:
        x, summary = read(row.costs), row.metrics.get(metric.name)
        if x and x > 0 and summary:
            points.append((row, x, summary))
    if not points:
        return None
    figure, axes = new_axes(2.9)
    for row, x, summary in points:
        place = table.rows.index(row)
        look, interval = Look.of(place), metric.interval(summary.ci_low, summary.ci_high)
        said = f"{row.label}\n{axis}: {number(x)}\n{metric.title}: {metric.written(summary.mean)} {interval}"
        style: dict[str, Any] = {"color": look.color, "gid": about(place, said)}
        if math.isfinite(summary.ci_low):
            ends = [metric.scaled(summary.ci_low), metric.scaled(summary.ci_high)]
            axes.plot([x, x], ends, linewidth=2.0, zorder=2, **style)
        axes.plot([x], [metric.scaled(summary.mean)], look.marker, markersize=7.5, zorder=3, **style)
    _scale(axes, [x for _, x, _ in points], log_from)
    axes.margins(y=0.12)
    keep_within(axes.yaxis, metric, metric.bounds)
    finish(axes, axis, metric.axis_label)
    return figure


def _scale(axes: Axes, values: Sequence[float], log_from: float) -> None:
    """Logarithmic where the values differ by at least the factor `log_from`, else from zero."""
    low, high = min(values), max(values)
    if high >= low * log_from:
        scale_logarithmic(axes.xaxis, low, high, pad=max((high / low) ** 0.12, 1.5))
    else:
        axes.set_xlim(0, high * 1.15)
        axes.xaxis.set_major_locator(MaxNLocator(nbins=6))
        label_shortly(axes.xaxis)
