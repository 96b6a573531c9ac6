"""Axes whose labels read as numbers: short ticks, and a logarithmic scale with round parts of each decade."""

from __future__ import annotations

import itertools
import math
from collections.abc import Collection

from matplotlib.axis import Axis, XAxis
from matplotlib.ticker import FixedLocator, FuncFormatter, LogLocator, MaxNLocator, NullFormatter, NullLocator

from vision_baselines.comparison.metric import Metric

_LOGARITHMIC = ", logarithmic"


def spans_widely(low: float, high: float) -> bool:
    """Whether values that are read along an axis call for a logarithmic one: all positive, and more than 20-fold apart.

    >>> spans_widely(0.01, 1.0), spans_widely(0.0, 4.0), spans_widely(0.1, 1.0)
    (True, False, False)
    """
    return low > 0 and high > 20 * low


def short_tick(value: float) -> str:
    """A tick as a short number.

    >>> short_tick(0.05), short_tick(1500.0), short_tick(500_000.0), short_tick(1e6)
    ('0.05', '1500', '500 k', '1 M')
    """
    for start, divisor, unit in ((1e9, 1e9, " G"), (1e6, 1e6, " M"), (1e4, 1e3, " k")):
        if value >= start:
            return f"{value / divisor:g}{unit}"
    return f"{value:g}"


def label_shortly(axis: Axis) -> None:
    """Write an axis's ticks as `short_tick`."""
    axis.set_major_formatter(FuncFormatter(lambda value, _: short_tick(value)))


def label_roundly(axis: Axis) -> None:
    """Give a linear axis at most eight steps of 1, 2, 2.5 or 5 times a power of ten."""
    axis.set_major_locator(MaxNLocator(nbins=8, steps=[1, 2, 2.5, 5, 10]))
    label_shortly(axis)


def label_steps(axis: Axis, places: Collection[float]) -> None:
    """Label a linear axis of steps, such as epochs: at whole numbers if all are whole, at a single one alone."""
    if len(set(places)) == 1:
        [place] = set(places)
        _set_limits(axis, place - 0.5, place + 0.5)
        axis.set_major_locator(FixedLocator([place]))
        label_shortly(axis)
    else:
        label_roundly(axis)
        if all(place == int(place) for place in places):
            axis.set_major_locator(MaxNLocator(nbins=8, integer=True, steps=[1, 2, 2.5, 5, 10]))


def keep_within(axis: Axis, metric: Metric, bounds: tuple[float, float]) -> None:
    """Let an axis of a metric's scaled values, with room around what is drawn, end where values do."""
    shown = sorted(axis.axes.get_xlim() if isinstance(axis, XAxis) else axis.axes.get_ylim())
    low, high = map(metric.scaled, bounds)
    _set_limits(axis, max(shown[0], low), min(shown[1], high))


def scale_logarithmic(axis: Axis, low: float, high: float, pad: float | None = None) -> None:
    """Make an axis logarithmic, with room beyond `low` and `high` by the factor `pad`; its label says so."""
    pad = pad or (high / low) ** 0.04
    (axis.axes.set_xscale if isinstance(axis, XAxis) else axis.axes.set_yscale)("log")
    _set_limits(axis, low / pad, high * pad)
    label_logarithmic(axis, low / pad, high * pad)
    name_axis(axis, axis.get_label_text())


def name_axis(axis: Axis, label: str) -> None:
    """Give an axis its label, which says where the scale is logarithmic; once, in whatever order both are set.

    >>> from matplotlib.figure import Figure
    >>> axis = Figure().add_subplot().yaxis
    >>> scale_logarithmic(axis, 0.01, 1)
    >>> name_axis(axis, "loss")
    >>> axis.get_label_text()
    'loss, logarithmic'
    """
    is_said = not label or label.endswith(_LOGARITHMIC) or axis.get_scale() != "log"
    axis.set_label_text(label if is_said else label + _LOGARITHMIC)


def _set_limits(axis: Axis, low: float, high: float) -> None:
    (axis.axes.set_xlim if isinstance(axis, XAxis) else axis.axes.set_ylim)(low, high)


def label_places(axis: Axis, places: Collection[float]) -> bool:
    """Label an axis at `places` alone, on whatever scale it has, if they are few and leave room; says whether.

    >>> from matplotlib.figure import Figure
    >>> axis = Figure().add_subplot().xaxis
    >>> label_places(axis, [0.1, 0.5, 1]), label_places(axis, [0.01, 0.02, 1])
    (True, False)
    """
    at = [math.log(x) if axis.get_scale() == "log" else x for x in sorted(set(places))]
    gaps = [after - before for before, after in itertools.pairwise(at)]
    if not 1 < len(at) <= 8 or min(gaps) < 0.08 * (at[-1] - at[0]):
        return False
    axis.set_major_locator(FixedLocator(sorted(set(places))))
    label_shortly(axis)
    return True


def label_logarithmic(axis: Axis, low: float, high: float) -> None:
    """Give a logarithmic axis that shows `low` to `high` between about three and ten labels."""
    decades = math.log10(high / low)
    if decades > 2.5:
        parts: tuple[float, ...] = (1.0,)
    else:
        parts = (1.0, 2.0, 5.0) if decades > 1 else (1.0, 1.5, 2.0, 3.0, 4.0, 5.0, 7.0)
    axis.set_major_locator(LogLocator(subs=parts, numticks=12))
    axis.set_minor_locator(NullLocator())
    axis.set_minor_formatter(NullFormatter())
    label_shortly(axis)
