"""Learning curves: the mean over a group's seeds at each epoch, by epoch or by second, in a band of one deviation."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator
from numpy.typing import NDArray

from vision_baselines.comparison.metric import Metric
from vision_baselines.comparison.table import ComparisonTable, GroupRow
from vision_baselines.plots.scale import label_logarithmic, label_roundly, spans_widely
from vision_baselines.plots.style import Look, new_axes


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
        middle, spread = metric.scaled(1.0) * found.mean, metric.scaled(1.0) * found.std
        draw_band(axes, found.epochs, middle, middle - spread, middle + spread, Look.of(index))
    if not metric.is_share and all(found.mean.min() > 0 for _, found in bands):
        low, high = (limit(limit(found.mean) for _, found in bands) for limit in (min, max))
        if high > 30 * low:
            axes.set_yscale("log")
            axes.set_ylim(low / 1.4, high * 1.2)
            label_logarithmic(axes.yaxis, low / 1.4, high * 1.2)
    axes.xaxis.set_major_locator(MaxNLocator(integer=True, nbins=8))
    finish(axes, "epoch", f"{metric.title}, %" if metric.unit else metric.title)
    return figure


def seconds_figure(table: ComparisonTable, rows: Sequence[GroupRow], name: str) -> Figure | None:
    """The same curves by the mean second at which a group's runs had done each epoch; None where no job kept the time.

    The axis is logarithmic where one group trains more than twenty times as long as another.
    """
    metric = Metric(name)
    timed = [(table.rows.index(row), *_timed_band(row, name)) for row in rows]
    timed = [(index, seconds, found) for index, seconds, found in timed if seconds.size]
    if not timed:
        return None
    figure, axes = new_axes(2.9)
    for index, seconds, found in timed:
        middle, spread = metric.scaled(1.0) * found.mean, metric.scaled(1.0) * found.std
        draw_band(axes, seconds, middle, middle - spread, middle + spread, Look.of(index))
    lasts = [float(seconds[-1]) for _, seconds, _ in timed]
    if spans_widely(min(lasts), max(lasts)):
        scale_logarithmic(axes, min(float(seconds[0]) for _, seconds, _ in timed), max(lasts))
    else:
        axes.set_xlim(0, max(lasts) * 1.03)
        label_roundly(axes.xaxis)
    finish(axes, "training time, s (mean)", f"{metric.title}, %" if metric.unit else metric.title)
    return figure


def draw_band(
    axes: Axes,
    x: NDArray[np.generic],
    middle: NDArray[np.float64],
    low: NDArray[np.float64],
    high: NDArray[np.float64],
    look: Look,
) -> None:
    """A line with a band around it, marked at each point where there are few; all arrays of shape (points,)."""
    marker = look.marker if x.size <= 12 else ""
    axes.plot(x, middle, color=look.color, marker=marker, markersize=3.5, zorder=3)
    axes.fill_between(x, low, high, color=look.color, alpha=0.18, linewidth=0, zorder=2)


def scale_logarithmic(axes: Axes, low: float, high: float) -> None:
    """Make the horizontal axis logarithmic, with room beyond `low` and `high`."""
    pad = (high / low) ** 0.04
    axes.set_xscale("log")
    axes.set_xlim(low / pad, high * pad)
    label_logarithmic(axes.xaxis, low / pad, high * pad)


def finish(axes: Axes, x_label: str, y_label: str) -> None:
    """Rules across, no left edge, and what the axes are."""
    axes.grid(axis="y")
    axes.spines["left"].set_visible(False)
    axes.set_xlabel(x_label)
    axes.set_ylabel(y_label)


def _timed_band(row: GroupRow, metric: str) -> tuple[NDArray[np.float64], Band]:
    """Mean seconds at each epoch, and the band, of the counted jobs that kept the time of every epoch."""
    curves, seconds = [], []
    for job in row.counted:
        clock, rows = job.record.timings.epoch_fit_s, job.record.history
        if len(clock) == len(rows):
            curve = {entry.epoch + 1: entry.metrics[metric] for entry in rows if metric in entry.metrics}
            curves.append(curve)
            seconds.append({entry.epoch + 1: at for entry, at in zip(rows, clock, strict=True)})
    found = band(curves)
    at = [
        np.mean([times[e] for times, curve in zip(seconds, curves, strict=True) if np.isfinite(curve.get(e, np.nan))])
        for e in found.epochs
    ]
    return np.array(at, dtype=np.float64), found
