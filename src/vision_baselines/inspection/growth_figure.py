"""How the image shrinks and what a unit sees grows, layer by layer."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final

from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.patheffects import withStroke
from matplotlib.ticker import MaxNLocator

from vision_baselines.plots.style import INK, MUTED, PALETTE, PAPER, WIDTH_IN

_NAMED: Final = 14
"""Stages up to which each is named and numbered; of more, every few are named."""

_PANEL_IN, _GAP_IN = 1.3, 0.5


@dataclass(frozen=True)
class Stage:
    """One layer: its name, the side of its output in units, and what a unit sees in input pixels."""

    label: str
    output_size: int
    receptive_field: int


def growth_figure(stages: Sequence[Stage], *, input_size: int) -> Figure:
    """Output size above, receptive field below, over depth; both start at the image itself.

    Args:
        stages: The layers, in order.
        input_size: Side of the image in pixels.
    """
    every = [Stage("image", input_size, 1), *stages]
    stride = -(-len(every) // _NAMED)
    shown = list(range(0, len(every), stride))
    names = [every[index].label for index in shown]
    slanted = max(max(map(len, name.split("\n"))) for name in names) > 8
    reaches_image = max(stage.receptive_field for stage in every) >= 0.6 * input_size

    width_in = min(9.0, max(WIDTH_IN, 1.3 + 0.42 * len(every)))
    below_in = 0.95 if slanted else 0.45
    height_in = below_in + 2 * _PANEL_IN + _GAP_IN + 0.35
    left, width = 0.5 / width_in, 1 - (1.3 if reaches_image else 0.65) / width_in
    panel, lower = _PANEL_IN / height_in, below_in / height_in
    figure = Figure(figsize=(width_in, height_in))
    sizes = figure.add_axes((left, lower + panel + _GAP_IN / height_in, width, panel))
    fields = figure.add_axes((left, lower, width, panel))
    _steps(sizes, [stage.output_size for stage in every], PALETTE[0], "Output size, units along one side")
    _steps(
        fields, [stage.receptive_field for stage in every], PALETTE[1], "Receptive field, input pixels along one side"
    )
    if reaches_image:
        fields.axhline(input_size, color=MUTED, linewidth=0.8, linestyle=(0, (4, 3)))
        fields.set_ylim(top=max(fields.get_ylim()[1], 1.18 * input_size))
        place: Any = {"xycoords": ("axes fraction", "data"), "textcoords": "offset points"}
        fields.annotate(f"image: {input_size}", (1, input_size), (4, 0), **place, color=MUTED, fontsize=8, va="center")
    sizes.set_xticks(shown, [])
    fields.set_xticks(
        shown,
        names,
        fontsize=8,
        rotation=35 if slanted else 0,
        ha="right" if slanted else "center",
        va="top",
        rotation_mode="anchor" if slanted else "default",
    )
    return figure


def _steps(axes: Axes, values: Sequence[int], color: str, title: str) -> None:
    axes.set_title(title, loc="left", fontsize=9.5, color=INK, pad=8)
    axes.plot(range(len(values)), values, color=color, marker="o", markersize=4.5)
    axes.set_ylim(0, 1.22 * max(values))
    axes.set_xlim(-0.4, len(values) - 0.6)
    axes.yaxis.set_major_locator(MaxNLocator(4, integer=True))
    axes.grid(axis="y")
    if len(values) <= _NAMED:
        for index, value in enumerate(values):
            text = axes.annotate(
                f"{value:,}", (index, value), (0, 5), textcoords="offset points", ha="center", fontsize=8, color=INK
            )
            text.set_path_effects([withStroke(linewidth=2.5, foreground=PAPER)])
