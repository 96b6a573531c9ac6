"""Learning curves: the mean over a group's seeds at each epoch, in a band of one standard deviation."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator
from numpy.typing import NDArray

from vision_baselines.comparison.metric import Metric
from vision_baselines.comparison.plots.scale import label_logarithmic
from vision_baselines.comparison.plots.style import Look, new_axes
from vision_baselines.comparison.table import ComparisonTable, GroupRow


@dataclass(frozen=True)
class Band:
    """A group's curve; all arrays of shape (epochs,). `std` is 0 where fewer than two seeds got that far."""

    epochs: NDArray[np.int64]
    mean: NDArray[np.float64]
    std: NDArray[np.float64]
    n: NDArray[np.int64]


def band(curves: Iterable[Mapping[int, float]]) -> Band:
    """Mean and standard deviation (``ddof=1``) at each epoch, over the curves that have a finite value there.

    >>> found = band([{1: 0.5, 2: 0.75}, {1: 0.25}])
    >>> found.mean.tolist(), found.n.tolist()
    ([0.375, 0.75], [2, 1])
    """
    by_epoch: dict[int, list[float]] = {}
    for curve in curves:
        for epoch, value in curve.items():
            if np.isfinite(value):
                by_epoch.setdefault(epoch, []).append(value)
    epochs = sorted(by_epoch)
    return Band(
        np.array(epochs, dtype=np.int64),
        np.array([np.mean(by_epoch[epoch]) for epoch in epochs], dtype=np.float64),
        np.array([np.std(by_epoch[e], ddof=1) if len(by_epoch[e]) > 1 else 0.0 for e in epochs], dtype=np.float64),
        np.array([len(by_epoch[epoch]) for epoch in epochs], dtype=np.int64),
    )


def group_band(row: GroupRow, metric: str) -> Band:
    """The band of a group's counted jobs; epochs count from 1, as epochs done."""
    return band(
        {entry.epoch + 1: entry.metrics[metric] for entry in job.record.history if metric in entry.metrics}
        for job in row.counted
    )


def curves_figure(table: ComparisonTable, rows: Sequence[GroupRow], name: str) -> Figure | None:
    """Curves of the metric called `name` for `rows`; None if no job logged it."""
    metric = Metric(name)
    bands = [(table.rows.index(row), group_band(row, name)) for row in rows]
    bands = [(index, found) for index, found in bands if found.epochs.size]
    if not bands:
        return None
    figure, axes = new_axes(2.9)
    for index, found in bands:
        look = Look.of(index)
        middle, spread = metric.scaled(1.0) * found.mean, metric.scaled(1.0) * found.std
        few = found.epochs.size <= 12
        axes.plot(
            found.epochs,
            middle,
            color=look.color,
            marker=look.marker if few else "",
            markersize=3.5,
            zorder=3,
        )
        axes.fill_between(
            found.epochs,
            middle - spread,
            middle + spread,
            color=look.color,
            alpha=0.18,
            linewidth=0,
            zorder=2,
        )
    if not metric.is_share and all(found.mean.min() > 0 for _, found in bands):
        low, high = (limit(limit(found.mean) for _, found in bands) for limit in (min, max))
        if high > 30 * low:
            axes.set_yscale("log")
            axes.set_ylim(low / 1.4, high * 1.2)
            label_logarithmic(axes.yaxis, low / 1.4, high * 1.2)
    axes.grid(axis="y")
    axes.spines["left"].set_visible(False)
    axes.xaxis.set_major_locator(MaxNLocator(integer=True, nbins=8))
    axes.set_xlabel("epoch")
    axes.set_ylabel(f"{metric.title}, %" if metric.unit else metric.title)
    return figure
