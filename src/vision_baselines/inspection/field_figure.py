"""What one unit sees, on a real image: the pixels with a gradient, layer by layer, and how much each counts."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from matplotlib.axes import Axes
from matplotlib.colors import LinearSegmentedColormap
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.patches import Rectangle
from numpy.typing import NDArray

from vision_baselines.analysis.influence import Box
from vision_baselines.inspection.sample_image import SampleImage
from vision_baselines.plots.style import INK, MUTED, PALETTE, PAPER

MOST_LAYERS = 5
# From the first layer to the last. Frames lie within each other in the legend's order: colour is not the only sign.
_COLORS = (PALETTE[4], PALETTE[5], PALETTE[2], PALETTE[3], PALETTE[1])
_PAPER_TO_BLUE = LinearSegmentedColormap.from_list("influence", [PAPER, PALETTE[0]])
_PANEL_IN, _GAP_IN, _EDGE_IN, _TOP_IN, _LINE_IN = 2.7, 0.25, 0.12, 0.4, 0.19


@dataclass(frozen=True)
class SeenArea:
    """A layer's name, what its unit should see in words, and the pixels that were measured to move it."""

    layer: str
    field: str
    box: Box


def field_figure(image: SampleImage, areas: Sequence[SeenArea], pixels: NDArray[np.float32]) -> Figure:
    """The areas as frames on the image, and beside it the influence of each pixel on the last of them.

    Args:
        image: What to draw on.
        areas: From the first layer to the last, at most `MOST_LAYERS`.
        pixels: ``(H, W)``, >= 0; how strongly each pixel moves the unit of the last area.
    """
    height, width = image.pixels.shape[:2]
    wide, high = (_PANEL_IN, _PANEL_IN * height / width) if width >= height else (_PANEL_IN * width / height, _PANEL_IN)
    below_in = 0.3 + _LINE_IN * len(areas)
    figure_in = (2 * wide + _GAP_IN + 2 * _EDGE_IN, _TOP_IN + high + below_in)
    figure = Figure(figsize=figure_in)

    def panel(left_in: float) -> Axes:
        axes = figure.add_axes(
            (left_in / figure_in[0], below_in / figure_in[1], wide / figure_in[0], high / figure_in[1])
        )
        axes.set_xticks([])
        axes.set_yticks([])
        for spine in axes.spines.values():
            spine.set_visible(True)
        return axes

    photo, gradient = panel(_EDGE_IN), panel(_EDGE_IN + wide + _GAP_IN)
    colors = _COLORS[-len(areas) :]
    photo.imshow(image.pixels, cmap="gray", vmin=0, vmax=255, interpolation="nearest")
    photo.set_title("What a central unit sees", loc="left", fontsize=9.5, color=INK)
    strongest = float(pixels.max()) or 1.0
    gradient.imshow(pixels / strongest, cmap=_PAPER_TO_BLUE, vmin=0, vmax=1, interpolation="nearest")
    gradient.set_title("How much each pixel moves the last", loc="left", fontsize=9.5, color=INK)
    for area, color in zip(areas, colors, strict=True):
        photo.add_patch(_frame(area.box, color))
    gradient.add_patch(_frame(areas[-1].box, colors[-1]))

    handles = [Line2D([], [], color=color, linewidth=2.2) for color in colors]
    names = [f"{area.layer}: {area.field}" for area in areas]
    left, top = _EDGE_IN / figure_in[0], (below_in - 0.06) / figure_in[1]
    figure.legend(
        handles,
        names,
        loc="upper left",
        bbox_to_anchor=(left, top),
        frameon=False,
        fontsize=8.5,
        handlelength=1.4,
        labelspacing=0.3,
        borderaxespad=0.0,
        borderpad=0.0,
    )
    second = (_EDGE_IN + wide + _GAP_IN) / figure_in[0]
    figure.text(second, top, f"Image: {image.caption}.\nWeights: random, untrained.", fontsize=8, color=MUTED, va="top")
    return figure


def _frame(box: Box, color: str) -> Rectangle:
    corner = (box.left - 0.5, box.top - 0.5)
    return Rectangle(corner, box.width, box.height, fill=False, edgecolor=color, linewidth=2.2, clip_on=False)
