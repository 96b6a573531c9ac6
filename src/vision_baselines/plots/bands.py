"""Lines in bands, one for each group: what learning curves, probes' curves and a metric over a setting share."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from numpy.typing import NDArray

from vision_baselines.analysis.statistics import PairedDifference, Summary
from vision_baselines.comparison.metric import Metric
from vision_baselines.plots.scale import keep_within, scale_logarithmic, short_tick
from vision_baselines.plots.style import MUTED, Look, about, finish, new_axes

_SAID = 10  # values of a line, when it is pointed at


@dataclass(frozen=True)
class Band:
    """A line and the ends of the band around it; arrays of shape (points,), values in the metric's own unit.

    `place` and `label` are those of the group that it shows, if it shows one.
    """

    look: Look
    x: NDArray[np.float64]
    middle: NDArray[np.float64]
    low: NDArray[np.float64]
    high: NDArray[np.float64]
    place: int | None = None
    label: str = ""

    @classmethod
    def of(
        cls,
        look: Look,
        points: Sequence[tuple[float, Summary | PairedDifference]],
        place: int | None = None,
        label: str = "",
    ) -> Band:
        """Means in their 95% intervals."""
        numbers = np.array([(x, found.mean, found.ci_low, found.ci_high) for x, found in points], dtype=np.float64)
        x, middle, low, high = numbers.reshape(-1, 4).T
        return cls(look, x, middle, low, high, place, label)


def bands_figure(
    bands: Sequence[Band], metric: Metric, x_label: str, y_label: str = "", bounds: tuple[float, float] | None = None
) -> tuple[Figure, Axes]:
    """The bands on one pair of axes, whose horizontal one is left to the caller.

    A band has no width where its ends are not finite, and ends where values do.

    Args:
        bands: At least one.
        metric: Whose values they are.
        x_label: What stands below.
        y_label: What stands at the left, unit included; the metric's title by default.
        bounds: What a value can be at all; by default what the metric can be.
    """
    figure, axes = new_axes(2.9)
    bounds = bounds or metric.bounds
    for band in bands:
        ends = [np.where(np.isfinite(end), np.clip(end, *bounds), band.middle) for end in (band.low, band.high)]
        middle, low, high = (metric.scaled(1.0) * values for values in (band.middle, *ends))
        gid = about(band.place, _in_words(band, metric, x_label))
        marker = band.look.marker if band.x.size <= 12 else ""
        axes.plot(band.x, middle, color=band.look.color, marker=marker, markersize=3.5, zorder=3, gid=gid)
        axes.fill_between(band.x, low, high, color=band.look.color, alpha=0.18, linewidth=0, zorder=2, gid=gid)
    lowest, highest = (float(end(end(band.middle) for band in bands)) for end in (min, max))
    if metric.is_difference:
        axes.axhline(0, color=MUTED, linewidth=1.0, zorder=1)
    elif not metric.is_share and lowest > 0 and highest > 30 * lowest:  # a loss that falls far
        scale_logarithmic(axes.yaxis, lowest, highest, pad=1.3)
    keep_within(axes.yaxis, metric, bounds)
    finish(axes, x_label, y_label or metric.axis_label)
    return figure, axes


def _in_words(band: Band, metric: Metric, x_label: str) -> str:
    """The label, and the value at the first, the last and some places between, a line each."""
    places = sorted({round(place) for place in np.linspace(0, band.x.size - 1, min(band.x.size, _SAID))})
    said = [band.label, f"({x_label})"]
    for at in places:
        middle, low, high = (float(numbers[at]) for numbers in (band.middle, band.low, band.high))
        interval = f" {metric.interval(low, high)}" if low < high else ""
        said.append(f"{short_tick(float(band.x[at]))}: {metric.written(middle)}{interval}")
    return "\n".join(said)
