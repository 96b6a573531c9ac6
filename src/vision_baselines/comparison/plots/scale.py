"""Axes whose labels read as numbers: short ticks, and a logarithmic scale with round parts of each decade."""

from __future__ import annotations

import math

from matplotlib.axis import Axis
from matplotlib.ticker import FuncFormatter, LogLocator, NullFormatter, NullLocator


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
