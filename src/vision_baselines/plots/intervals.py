"""Accuracy and paired differences as rows of dots: every seed, the mean, and its 95% interval.

Dots and not bars: a bar would have to start at zero and hide both the seeds and the differences that matter.
"""

from __future__ import annotations

import math
import textwrap
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from matplotlib.axes import Axes
from matplotlib.figure import Figure

from vision_baselines.comparison.formatting import probability, shortened
from vision_baselines.comparison.metric import Metric
from vision_baselines.comparison.table import ComparisonTable
from vision_baselines.comparison.verdict import short_verdict
from vision_baselines.plots.scale import keep_within
from vision_baselines.plots.style import INK, MUTED, PAPER, WIDTH_IN, Look, new_axes

_DOTS_IN, _TEXT_IN = 0.4, 0.16
_ROOM = int(WIDTH_IN * 11.5)  # letters in a line, where they are bold


@dataclass(frozen=True)
class _Line:
    """One row of a figure; all numbers in the metric's own unit."""

    label: str
    note: str
    look: Look
    seeds: tuple[float, ...]
    mean: float
    low: float
    high: float
    is_best: bool = False

    @property
    def texts(self) -> list[str]:
        """The label in as many lines as it needs, and the note at the end of the last where there is room."""
        lines = textwrap.wrap(shortened(self.label, 3 * _ROOM), _ROOM, break_on_hyphens=False) or [""]
        return lines if len(lines[-1]) + len(self.note) + 2 <= 1.1 * _ROOM else [*lines, ""]


def accuracy_figure(table: ComparisonTable) -> Figure | None:
    """Each group's metric, in the order of the table, the best by validation bold; None while no group has it."""
    metric = table.metric
    best = [row.label for row in table.best_groups]
    lines = []
    for row in table.best_first():
        found = row.metrics.get(metric.name)
        if found is None:
            continue
        n = row.averaged_over(metric.name) or found.n
        note = f"{metric.mean_and_std(found.mean, found.std)}{metric.unit} · n = {n}"
        look, seeds = Look.of(table.rows.index(row)), tuple(row.values(metric.name).values())
        ends = (found.mean, found.ci_low, found.ci_high)
        lines.append(_Line(row.label, note, look, seeds, *ends, is_best=row.label in best))
    return _figure(lines, metric, metric.axis_label, metric.bounds) if lines else None


def difference_figure(table: ComparisonTable) -> Figure | None:
    """Each group's metric minus the baseline's, pair by pair; None where nothing is paired."""
    metric = table.metric
    reference = next((row.values(metric.name) for row in table.rows if row.label == table.reference), {})
    lines = []
    for row in table.best_first():
        found = row.difference
        if found is None or found.n == 0:
            continue
        pairs = tuple(v - reference[seed] for seed, v in row.values(metric.name).items() if seed in reference)
        said = probability(found.p) or short_verdict(found, metric)
        note = f"{metric.signed(found.mean)} · {said} · n = {found.over or found.n}"
        look, ends = Look.of(table.rows.index(row)), (found.mean, found.ci_low, found.ci_high)
        lines.append(_Line(row.label, note, look, pairs, *ends))
    if not lines:
        return None
    unit = "points of " if metric.is_share else ""
    low, high = metric.bounds
    axis = f"{unit}{metric.title}, minus {shortened(table.reference or '', 30)}"
    return _figure(lines, metric, axis, (low - high, high - low), zero=True)


def _figure(
    lines: Sequence[_Line], metric: Metric, axis: str, bounds: tuple[float, float], *, zero: bool = False
) -> Figure:
    heights = [_DOTS_IN + _TEXT_IN * len(line.texts) for line in lines]
    figure, axes = new_axes(0.62 + sum(heights), left_in=0.16, right_in=0.16, bottom_in=0.5, top_in=0.08)
    for index, line in enumerate(lines):
        _draw(axes, sum(heights[:index]), line, metric)
    axes.set_ylim(sum(heights), 0)
    axes.set_yticks([])
    axes.spines["left"].set_visible(False)
    axes.grid(axis="x")
    axes.set_xlabel(axis)
    if zero:
        axes.axvline(0, color=MUTED, linewidth=1.0, zorder=1)
    axes.margins(x=0.04)
    axes.locator_params(axis="x", nbins=6)
    keep_within(axes.xaxis, metric, bounds)
    return figure


def _draw(axes: Axes, top_in: float, line: _Line, metric: Metric) -> None:
    """One row, `top_in` inches below the top: its label, the mean in its interval, and the seeds below."""
    color, marker, texts = line.look.color, line.look.marker, line.texts
    y = top_in + 0.13 + _TEXT_IN * len(texts)
    seeds = [metric.scaled(seed) for seed in line.seeds]
    dots: dict[str, Any] = {"marker": marker, "color": color, "clip_on": False}
    axes.scatter(seeds, [y + 0.13] * len(seeds), s=16, alpha=0.45, linewidths=0, **dots)
    if math.isfinite(line.low) and math.isfinite(line.high):
        axes.plot([metric.scaled(line.low), metric.scaled(line.high)], [y, y], color=color, linewidth=2.4, zorder=3)
    axes.plot([metric.scaled(line.mean)], [y], markersize=7, zorder=4, **dots)
    over_rules = {"facecolor": PAPER, "edgecolor": "none", "pad": 1.5}
    written: dict[str, Any] = {"transform": axes.get_yaxis_transform(), "va": "center", "bbox": over_rules}
    weight = "bold" if line.is_best else "normal"
    for position, text in enumerate(texts):
        at = top_in + 0.1 + _TEXT_IN * position
        if text:
            axes.text(0, at, text, ha="left", color=INK, fontsize=9, fontweight=weight, **written)
    axes.text(1, at, line.note, ha="right", color=MUTED, fontsize=8.5, **written)
