"""Reliability diagrams: how often each group is right where it is so sure; on the diagonal it is as sure as right.

A mark's area is the share of the predictions in its bin; bins of fewer than `analysis.calibration.FEW` predictions are
left out, since the share of right answers among so few says nothing.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from matplotlib.figure import Figure
from numpy.typing import NDArray

from vision_baselines.analysis.calibration import FEW
from vision_baselines.comparison.read_against import reliability_bins
from vision_baselines.comparison.rows import GroupRow
from vision_baselines.comparison.table import ComparisonTable
from vision_baselines.plots.style import MUTED, Look, finish, new_axes

_LARGEST, _SMALLEST = 150.0, 5.0


def reliability_figure(table: ComparisonTable, rows: Sequence[GroupRow]) -> Figure | None:
    """Share of right answers over confidence, a line for each group; None where no run kept probabilities."""
    found = [(Look.of(table.rows.index(row)), bins) for row in rows if (bins := reliability_bins(row)) is not None]
    return diagram(found)


def diagram(lines: Sequence[tuple[Look, NDArray[np.float64]]]) -> Figure | None:
    """A line for each table (3, BINS) of `analysis.calibration`; None where no bin of any is filled enough."""
    found = [(look, bins) for look, bins in lines if bins[0].max() >= FEW]
    if not found:
        return None
    figure, axes = new_axes(3.6)
    axes.plot([0, 100], [0, 100], color=MUTED, linewidth=1.0, linestyle=(0, (4, 3)), zorder=1)
    low = 100.0
    for look, (count, sure, right) in found:
        there = count >= FEW
        x, y = 100 * sure[there] / count[there], 100 * right[there] / count[there]
        areas = _SMALLEST + _LARGEST * count[there] / count.sum()
        axes.plot(x, y, color=look.color, linewidth=1.2, zorder=2)
        axes.scatter(x, y, s=areas, color=look.color, marker=look.marker, alpha=0.75, linewidths=0, zorder=3)
        low = min(low, *x.tolist(), *y.tolist())
    low = max(-4.0, 10 * (low // 10) - 4)
    axes.set_xlim(low, 104)
    axes.set_ylim(low, 104)
    finish(axes, "confidence, %", "right answers, %")
    axes.grid(axis="x")
    return figure
