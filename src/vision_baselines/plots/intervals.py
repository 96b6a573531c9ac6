"""Accuracy and paired differences as rows of dots: every seed, the mean, and its 95% interval.

Dots and not bars: a bar would have to start at zero and hide both the seeds and the differences that matter.
"""

from __future__ import annotations

import math
import textwrap
from typing import Any

from matplotlib.axes import Axes
from matplotlib.figure import Figure

from vision_baselines.comparison.formatting import shortened
from vision_baselines.comparison.metric import Metric
from vision_baselines.comparison.table import ComparisonTable
from vision_baselines.plots.interval_rows import IntervalChart, IntervalRow, accuracy_chart, difference_chart
from vision_baselines.plots.scale import keep_within
from vision_baselines.plots.style import INK, MUTED, PAPER, WIDTH_IN, Look, about, new_axes

_DOTS_IN, _TEXT_IN = 0.4, 0.16
_ROOM = int(WIDTH_IN * 11.5)  # letters in a line, where they are bold


def accuracy_figure(table: ComparisonTable) -> Figure | None:
    """Each group's metric, the best first and bold; None while no group has it."""
    chart = accuracy_chart(table)
    return interval_figure(chart) if chart else None


def difference_figure(table: ComparisonTable) -> Figure | None:
    """Each group's metric minus the baseline's, pair by pair; None where nothing is paired."""
    chart = difference_chart(table)
    return interval_figure(chart) if chart else None


def _texts(row: IntervalRow) -> list[str]:
    """The label in as many lines as it needs, and the note at the end of the last where there is room."""
    lines = textwrap.wrap(shortened(row.label, 3 * _ROOM), _ROOM, break_on_hyphens=False) or [""]
    return lines if len(lines[-1]) + len(row.note) + 2 <= 1.1 * _ROOM else [*lines, ""]


def interval_figure(chart: IntervalChart) -> Figure:
    """The chart's rows, one below the other."""
    metric = chart.metric
    heights = [_DOTS_IN + _TEXT_IN * len(_texts(row)) for row in chart.rows]
    figure, axes = new_axes(0.62 + sum(heights), left_in=0.16, right_in=0.16, bottom_in=0.5, top_in=0.08)
    for index, row in enumerate(chart.rows):
        _draw(axes, sum(heights[:index]), row, metric)
    axes.set_ylim(sum(heights), 0)
    axes.set_yticks([])
    axes.spines["left"].set_visible(False)
    axes.grid(axis="x")
    axes.set_xlabel(chart.axis)
    if chart.has_zero:
        axes.axvline(0, color=MUTED, linewidth=1.0, zorder=1)
    axes.margins(x=0.04)
    axes.locator_params(axis="x", nbins=6)
    keep_within(axes.xaxis, metric, chart.bounds)
    return figure


def _draw(axes: Axes, top_in: float, line: IntervalRow, metric: Metric) -> None:
    """One row, `top_in` inches below the top: its label, the mean in its interval, and the seeds below."""
    look, texts = Look.of(line.place), _texts(line)
    color, marker, gid = look.color, look.marker, about(line.place, line.label)
    y = top_in + 0.13 + _TEXT_IN * len(texts)
    seeds = [metric.scaled(seed) for seed in line.runs]
    dots: dict[str, Any] = {"marker": marker, "color": color, "gid": gid, "clip_on": False}
    axes.scatter(seeds, [y + 0.13] * len(seeds), s=16, alpha=0.45, linewidths=0, **dots)
    if math.isfinite(line.low) and math.isfinite(line.high):
        ends = [metric.scaled(line.low), metric.scaled(line.high)]
        axes.plot(ends, [y, y], color=color, gid=gid, linewidth=2.4, zorder=3)
    axes.plot([metric.scaled(line.mean)], [y], markersize=7, zorder=4, **dots)
    over_rules = {"facecolor": PAPER, "edgecolor": "none", "pad": 1.5}
    written: dict[str, Any] = {"transform": axes.get_yaxis_transform(), "va": "center", "bbox": over_rules}
    weight = "bold" if line.is_best else "normal"
    for position, text in enumerate(texts):
        at = top_in + 0.1 + _TEXT_IN * position
        if text:
            axes.text(0, at, text, ha="left", color=INK, fontsize=9, fontweight=weight, **written)
    axes.text(1, at, line.note, ha="right", color=MUTED, fontsize=8.5, **written)
