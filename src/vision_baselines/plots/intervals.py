"""Accuracy and paired differences as rows of dots: every seed, the mean, and its 95% interval.

Dots and not bars: a bar would have to start at zero and hide both the seeds and the differences that matter.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

from matplotlib.axes import Axes
from matplotlib.figure import Figure

from vision_baselines.comparison.formatting import ABSENT, probability, shortened
from vision_baselines.comparison.metric import Metric
from vision_baselines.comparison.table import ComparisonTable, GroupRow
from vision_baselines.comparison.verdict import short_verdict
from vision_baselines.plots.style import INK, MUTED, PAPER, WIDTH_IN, Look, new_axes

_ROW_IN = 0.56


@dataclass(frozen=True)
class _Line:
    """One row of a figure; all numbers in the metric's unit."""

    label: str
    note: str
    look: Look
    seeds: tuple[float, ...]
    mean: float
    low: float
    high: float


def accuracy_figure(table: ComparisonTable) -> Figure | None:
    """Each group's metric; None while no group has it."""
    metric = table.metric
    lines = []
    for index, row in enumerate(table.rows):
        if summary := row.metrics.get(metric.name):
            note = f"{metric.mean_and_std(summary.mean, summary.std)}{metric.unit} · n = {summary.n}"
            seeds = tuple(row.values(metric.name).values())
            ends = (summary.mean, summary.ci_low, summary.ci_high)
            lines.append(_line(row.label, note, index, seeds, ends, metric))
    axis = f"{metric.title}, %" if metric.unit else metric.title
    return _figure(lines, axis) if lines else None


def difference_figure(table: ComparisonTable) -> Figure | None:
    """Each group's metric minus the baseline's, seed by seed; None where nothing is paired."""
    metric = table.metric
    reference = next((row.values(metric.name) for row in table.rows if row.label == table.baseline), {})
    lines = []
    for index, row in enumerate(table.rows):
        difference = row.difference
        if difference is None or difference.n == 0:
            continue
        pairs = tuple(v - reference[seed] for seed, v in row.values(metric.name).items() if seed in reference)
        ends = (difference.mean, difference.ci_low, difference.ci_high)
        lines.append(_line(row.label, _difference_note(row, metric), index, pairs, ends, metric))
    if not lines:
        return None
    unit = "points of " if metric.is_share else ""
    return _figure(lines, f"{unit}{metric.title}, minus {shortened(table.baseline or '', 30)}", zero=True)


def _difference_note(row: GroupRow, metric: Metric) -> str:
    difference = row.difference
    if difference is None:
        return ABSENT
    if difference.conclusion in ("too few pairs", "identical", "no spread"):
        return f"{metric.signed(difference.mean)} · {short_verdict(difference, metric)} · n = {difference.n}"
    return f"{metric.signed(difference.mean)} · {probability(difference.p_value)} · n = {difference.n}"


def _line(
    label: str,
    note: str,
    index: int,
    seeds: Sequence[float],
    ends: tuple[float, float, float],
    metric: Metric,
) -> _Line:
    mean, low, high = map(metric.scaled, ends)
    return _Line(label, note, Look.of(index), tuple(map(metric.scaled, seeds)), mean, low, high)


def _figure(lines: Sequence[_Line], axis: str, *, zero: bool = False) -> Figure:
    height = 0.62 + _ROW_IN * len(lines)
    figure, axes = new_axes(height, left_in=0.16, right_in=0.16, bottom_in=0.5, top_in=0.08)
    for y, line in enumerate(lines):
        _draw(axes, y, line)
    axes.set_ylim(len(lines) - 0.4, -0.6)
    axes.set_yticks([])
    axes.spines["left"].set_visible(False)
    axes.grid(axis="x")
    axes.set_xlabel(axis)
    axes.margins(x=0.04)
    axes.locator_params(axis="x", nbins=6)
    if zero:
        axes.axvline(0, color=MUTED, linewidth=1.0, zorder=1)
    return figure


def _draw(axes: Axes, y: int, line: _Line) -> None:
    color, marker = line.look.color, line.look.marker
    axes.scatter(line.seeds, [y + 0.24] * len(line.seeds), s=16, marker=marker, color=color, alpha=0.45, linewidths=0)
    if math.isfinite(line.low) and math.isfinite(line.high):
        axes.plot([line.low, line.high], [y, y], color=color, linewidth=2.4, zorder=3)
    axes.plot([line.mean], [y], marker=marker, color=color, markersize=7, zorder=4)
    across = axes.get_yaxis_transform()
    over_rules = {"facecolor": PAPER, "edgecolor": "none", "pad": 1.5}
    room = int(WIDTH_IN * 11.5) - len(line.note)
    for x, text, side, color, size in (
        (0, shortened(line.label, room), "left", INK, 9.0),
        (1, line.note, "right", MUTED, 8.5),
    ):
        axes.text(
            x,
            y - 0.28,
            text,
            transform=across,
            va="center",
            ha=side,
            color=color,
            fontsize=size,
            bbox=over_rules,
        )
