"""Units of one trained net: how far its gates are open for each class, its dead ReLUs, and the plane of 2-D data."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
from matplotlib.axes import Axes
from matplotlib.colors import LinearSegmentedColormap, to_rgb
from matplotlib.figure import Figure
from numpy.typing import NDArray

from vision_baselines.comparison.formatting import shortened
from vision_baselines.plots.style import INK, MUTED, PALETTE, PAPER, RULE, WIDTH_IN, Look, finish

_OPEN = LinearSegmentedColormap.from_list("open", [PAPER, PALETTE[0]])
_NAMED_CLASSES = 20
_LAYERS = 40
_NAMED_ON_PLANE = 4
_PLANE_HEAD_IN = 0.75


def gate_figure(
    name: str, means: NDArray[np.float64], classes: Sequence[str], closed: float, switching: float
) -> Figure:
    """A gate's mean by class and unit.

    Args:
        name: The gate's module.
        means: (classes, units) in [0, 1]; drawn in the order of the class that opens a unit most.
        classes: Names of the rows.
        closed: Share of units and inputs at which the gate is closed.
        switching: Share of units that it closes for some inputs and not for others.
    """
    rows, units = means.shape
    centre = np.arange(rows) @ means / np.maximum(means.sum(axis=0), 1e-12)
    shown = means[:, np.lexsort((means.mean(axis=0), centre.round(6)))]
    left, below, head = 0.95, 0.5, 0.62
    side = min(0.26, max(0.05, 5.5 / rows)) if rows > 3 else 0.42
    figure = Figure(figsize=(WIDTH_IN + 1.4, below + head + side * rows))
    width, height = figure.get_size_inches()
    axes = figure.add_axes((left / width, below / height, (width - left - 0.95) / width, side * rows / height))
    image = axes.imshow(shown, cmap=_OPEN, vmin=0, vmax=1, aspect="auto", interpolation="nearest")
    named = range(rows) if rows <= _NAMED_CLASSES else range(0)
    axes.set_yticks(named, [shortened(classes[index], 12) for index in named])
    axes.set_xticks([0, units - 1] if units > 1 else [0], ["1", f"{units}"] if units > 1 else ["1"])
    axes.set_xlabel(f"{units} units, in the order of the class that opens them most")
    axes.tick_params(length=0)
    axes.spines[:].set_visible(True)
    bar = figure.add_axes(((width - 0.8) / width, below / height, 0.12 / width, side * rows / height))
    figure.colorbar(image, cax=bar, ticks=[0, 0.5, 1])
    bar.set_ylabel("mean gate", fontsize=8)
    said = f"closed for {closed:.1%} of units and inputs; {switching:.0%} of units close for some inputs only"
    figure.text(0.1 / width, 1 - 0.1 / height, f"How far the gate {shortened(name, 40)} is open", va="top", color=INK)
    figure.text(0.1 / width, 1 - 0.3 / height, said, fontsize=8, va="top", color=MUTED)
    return figure


def dead_figure(dead: Mapping[str, float], sizes: Sequence[int]) -> Figure:
    """A bar for each ReLU, in the order of the net: the share of its units that never fire.

    Args:
        dead: Shares in [0, 1] by the ReLU's name.
        sizes: Units of each.
    """
    shown = list(zip(dead.items(), sizes, strict=True))[:_LAYERS]
    left, below, head = 1.7, 0.5, 0.4
    figure = Figure(figsize=(WIDTH_IN + 0.6, below + head + 0.26 * len(shown)))
    width, height = figure.get_size_inches()
    box = (left / width, below / height, (width - left - 0.75) / width, 0.26 * len(shown) / height)
    axes = figure.add_axes(box)
    shares = [100 * share for (_, share), _ in shown]
    axes.barh(range(len(shown)), shares, height=0.62, color=PALETTE[0])
    for index, (((_, share), size), value) in enumerate(zip(shown, shares, strict=True)):
        text = f" {round(share * size)} of {size}"
        axes.text(value, index, text, va="center", fontsize=8, color=MUTED)
    axes.set_yticks(range(len(shown)), [shortened(name, 24) for (name, _), _ in shown])
    axes.set_ylim(len(shown) - 0.4, -0.6)
    axes.set_xlim(0, max(5.0, 1.18 * max(shares)))
    finish(axes, "units that never fire on the test split, %", "")
    axes.grid(axis="x")
    axes.grid(visible=False, axis="y")
    more = f" ({_LAYERS} of {len(dead)} are drawn)" if len(dead) > _LAYERS else ""
    figure.text(0.1 / width, 1 - 0.1 / height, f"Dead units of each ReLU{more}", va="top", color=INK)
    return figure


def plane_figure(
    probabilities: NDArray[np.float32],
    extent: tuple[float, float, float, float],
    points: NDArray[np.float64],
    target: NDArray[np.int64],
    classes: Sequence[str],
    units: Sequence[tuple[str, NDArray[np.float32]]],
) -> Figure:
    """Two-dimensional data: the likeliest class at each place, the test points, and gates over the same plane.

    Args:
        probabilities: (X, Y, classes) on a grid over the plane.
        extent: Least and largest x, least and largest y.
        points: (N, 2).
        target: (N,), the points' classes.
        classes: Names.
        units: A caption, and a gate's values (X, Y) in [0, 1], for each unit shown; at most 12.
    """
    side, small, columns = 3.3, 0.98, 4
    extra = 0.35 + columns * (small + 0.12) if units else 0.0
    figure = Figure(figsize=(0.55 + side + extra + 0.1, side + _PLANE_HEAD_IN + 0.5))
    width, height = figure.get_size_inches()
    axes = figure.add_axes((0.55 / width, 0.5 / height, side / width, side / height))
    _draw_decisions(axes, probabilities, extent, points, target)
    axes.set_xlabel("first number")
    axes.set_ylabel("second number")
    figure.text(0.1 / width, 1 - 0.1 / height, "Where the net decides for which class", va="top", color=INK)
    said = f"the line: where two classes are as likely; {len(points):,} test points"
    figure.text(0.1 / width, 1 - 0.3 / height, said, fontsize=8, va="top", color=MUTED)
    for index, name in enumerate(classes[:_NAMED_ON_PLANE]):
        place = (0.55 + index * side / _NAMED_ON_PLANE) / width, 1 - 0.5 / height
        figure.text(*place, f"● {shortened(name, 12)}", fontsize=8, va="top", color=Look.of(index).color)
    for index, (caption, values) in enumerate(units):
        left = 0.55 + side + 0.35 + index % columns * (small + 0.12)
        top = _PLANE_HEAD_IN + 0.12 + index // columns * (small + 0.22)
        one = figure.add_axes((left / width, (height - top - small) / height, small / width, small / height))
        one.imshow(values.T, origin="lower", extent=extent, aspect="auto", cmap=_OPEN, vmin=0, vmax=1)
        one.set_xticks([])
        one.set_yticks([])
        one.spines[:].set_visible(True)
        one.set_title(shortened(caption, 22), fontsize=6.5, pad=2)
    if units:
        start = (0.9 + side) / width
        text = f"Gates over the same plane, the {len(units)} that change most: white is closed, blue open"
        figure.text(start, 1 - 0.3 / height, text, fontsize=8, va="top", color=MUTED)
    return figure


def _draw_decisions(
    axes: Axes,
    probabilities: NDArray[np.float32],
    extent: tuple[float, float, float, float],
    points: NDArray[np.float64],
    target: NDArray[np.int64],
) -> None:
    colors = np.array([to_rgb(Look.of(index).color) for index in range(probabilities.shape[2])])
    regions = 1 - 0.22 * (1 - colors[probabilities.argmax(axis=2)])
    axes.imshow(regions.swapaxes(0, 1), origin="lower", extent=extent, aspect="auto", interpolation="nearest")
    x = np.linspace(extent[0], extent[1], probabilities.shape[0])
    y = np.linspace(extent[2], extent[3], probabilities.shape[1])
    for index in range(probabilities.shape[2]):
        lead = probabilities[..., index] - np.delete(probabilities, index, axis=2).max(axis=2)
        if lead.min() < 0 < lead.max():
            axes.contour(x, y, lead.T, levels=[0], colors=INK, linewidths=1.1)
    axes.scatter(points[:, 0], points[:, 1], s=5, c=colors[target], linewidths=0)
    axes.set_xlim(*extent[:2])
    axes.set_ylim(*extent[2:])
    axes.spines[:].set_visible(True)
    axes.spines[:].set_color(RULE)
