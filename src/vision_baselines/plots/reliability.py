"""Reliability diagrams: how often each group is right where it is so sure; on the diagonal it is as sure as right.

A mark's area is the share of the predictions in its bin; bins of fewer than `analysis.calibration.FEW` predictions are
left out, since the share of right answers among so few says nothing.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from matplotlib.figure import Figure
from numpy.typing import NDArray

from vision_baselines.analysis.calibration import FEW
from vision_baselines.comparison.read_against import reliability_bins
from vision_baselines.comparison.rows import GroupRow
from vision_baselines.comparison.table import ComparisonTable
from vision_baselines.plots.style import MUTED, Look, about, finish, new_axes

_LARGEST, _SMALLEST = 150.0, 5.0


def reliability_figure(table: ComparisonTable, rows: Sequence[GroupRow]) -> Figure | None:
    """Share of right answers over confidence, a line for each group; None where no run kept probabilities."""
    found = [(table.rows.index(row), row.label, bins) for row in rows if (bins := reliability_bins(row)) is not None]
    return diagram([(Look.of(place), bins) for place, _, bins in found], [of[:2] for of in found])


def diagram(lines: Sequence[tuple[Look, NDArray[np.float64]]], groups: Sequence[tuple[int, str]] = ()) -> Figure | None:
    """A line for each table (3, BINS) of `analysis.calibration`; None where no bin of any is filled enough.

    Args:
        lines: How each is drawn, and its table.
        groups: Place and label of the group that each shows, if they show groups.
    """
    found = [(at, look, bins) for at, (look, bins) in enumerate(lines) if bins[0].max() >= FEW]
    if not found:
        return None
    figure, axes = new_axes(3.6)
    axes.plot([0, 100], [0, 100], color=MUTED, linewidth=1.0, linestyle=(0, (4, 3)), zorder=1)
    low = 100.0
    for at, look, (count, sure, right) in found:
        there = count >= FEW
        x, y = 100 * sure[there] / count[there], 100 * right[there] / count[there]
        areas = _SMALLEST + _LARGEST * count[there] / count.sum()
        said = [f"{p:.0f}% sure: {q:.1f}% right ({n:,.0f})" for p, q, n in zip(x, y, count[there], strict=True)]
        place, label = groups[at] if groups else (None, "")
        style: dict[str, Any] = {"color": look.color, "gid": about(place, "\n".join([label, *said]))}
        axes.plot(x, y, linewidth=1.2, zorder=2, **style)
        # on the edge of the axes, a mark is whole and the axes end where values do
        axes.scatter(x, y, s=areas, marker=look.marker, alpha=0.75, linewidths=0, zorder=3, clip_on=False, **style)
        low = min(low, *x.tolist(), *y.tolist())
    low = min(90.0, 10 * (low // 10))  # some length also where all are sure and right
    axes.set_xlim(low, 100)
    axes.set_ylim(low, 100)
    finish(axes, "confidence, %", "right answers, %")
    axes.grid(axis="x")
    return figure
