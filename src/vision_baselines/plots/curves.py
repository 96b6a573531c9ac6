"""Learning curves: the mean over a group's seeds at each epoch, by epoch or by second, in a band of one deviation.

Epochs are numbered from 0, as in the record, the CSV files and TensorBoard.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from matplotlib.figure import Figure
from numpy.typing import NDArray

from vision_baselines.comparison.metric import Metric
from vision_baselines.comparison.rows import GroupRow
from vision_baselines.comparison.table import ComparisonTable
from vision_baselines.plots.bands import Band, bands_figure
from vision_baselines.plots.scale import label_roundly, label_steps, scale_logarithmic, spans_widely
from vision_baselines.plots.style import Look


@dataclass(frozen=True)
class Curve:
    """A group's curve; all arrays of shape (epochs,). `std` is 0 where fewer than two seeds got that far."""

    epochs: NDArray[np.int64]
    mean: NDArray[np.float64]
    std: NDArray[np.float64]
    n: NDArray[np.int64]


def mean_curve(curves: Iterable[Mapping[int, float]]) -> Curve:
    """Mean and standard deviation (``ddof=1``) at each epoch, over the curves that have a finite value there.

    >>> found = mean_curve([{1: 0.5, 2: 0.75}, {1: 0.25}])
    >>> found.mean.tolist(), found.n.tolist()
    ([0.375, 0.75], [2, 1])
    """
    by_epoch: dict[int, list[float]] = {}
    for curve in curves:
        for epoch, value in curve.items():
            if np.isfinite(value):
                by_epoch.setdefault(epoch, []).append(value)
    epochs = sorted(by_epoch)
    return Curve(
        np.array(epochs, dtype=np.int64),
        np.array([np.mean(by_epoch[epoch]) for epoch in epochs], dtype=np.float64),
        np.array([np.std(by_epoch[e], ddof=1) if len(by_epoch[e]) > 1 else 0.0 for e in epochs], dtype=np.float64),
        np.array([len(by_epoch[epoch]) for epoch in epochs], dtype=np.int64),
    )


def group_curve(row: GroupRow, metric: str) -> Curve:
    """The curve of a group's counted jobs."""
    return mean_curve(
        {entry.epoch: entry.metrics[metric] for entry in job.record.history if metric in entry.metrics}
        for job in row.counted
    )


def curves_figure(table: ComparisonTable, rows: Sequence[GroupRow], name: str) -> Figure | None:
    """Curves of the metric called `name` for `rows`; None if no job logged it."""
    curves = [(row, group_curve(row, name)) for row in rows]
    bands = [_band(table, row, curve.epochs, curve) for row, curve in curves if curve.epochs.size]
    if not bands:
        return None
    figure, axes = bands_figure(bands, Metric(name), "epoch, from 0")
    label_steps(axes.xaxis, [float(epoch) for band in bands for epoch in band.x])
    return figure


def timed_curves_figure(table: ComparisonTable, rows: Sequence[GroupRow], name: str) -> Figure | None:
    """The same curves by the mean second at which a group's runs had done each epoch; None where no job kept the time.

    The axis is logarithmic where one group trains more than twenty times as long as another.
    """
    curves = [(row, *_timed_curve(row, name)) for row in rows]
    bands = [_band(table, row, seconds, curve) for row, seconds, curve in curves if seconds.size]
    if not bands:
        return None
    figure, axes = bands_figure(bands, Metric(name), "training time, s (mean)")
    lasts = [float(band.x[-1]) for band in bands]
    if spans_widely(min(lasts), max(lasts)):
        scale_logarithmic(axes.xaxis, min(float(band.x[0]) for band in bands), max(lasts))
    else:
        axes.set_xlim(0, max(lasts) * 1.03)
        label_roundly(axes.xaxis)
    return figure


def _band(table: ComparisonTable, row: GroupRow, x: NDArray[np.float64] | NDArray[np.int64], curve: Curve) -> Band:
    place = table.rows.index(row)
    ends = (curve.mean, curve.mean - curve.std, curve.mean + curve.std)
    return Band(Look.of(place), x.astype(np.float64), *ends, place=place, label=row.label)


def _timed_curve(row: GroupRow, metric: str) -> tuple[NDArray[np.float64], Curve]:
    """Mean seconds at each epoch, and the curve, of the counted jobs that kept the time of every epoch."""
    curves, seconds = [], []
    for job in row.counted:
        clock, rows = job.record.timings.epoch_fit_s, job.record.history
        if len(clock) == len(rows):
            curves.append({entry.epoch: entry.metrics[metric] for entry in rows if metric in entry.metrics})
            seconds.append({entry.epoch: at for entry, at in zip(rows, clock, strict=True)})
    found = mean_curve(curves)
    at = [
        np.mean([times[e] for times, curve in zip(seconds, curves, strict=True) if np.isfinite(curve.get(e, np.nan))])
        for e in found.epochs
    ]
    return np.array(at, dtype=np.float64), found
