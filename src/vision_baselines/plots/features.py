"""What each convolution of a net answers to, as pictures: patches, feature maps, images that were climbed to, numbers.

Arrays of pixels come in; which channels and images they are of is decided elsewhere.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TypeVar

import matplotlib
import numpy as np
from matplotlib.figure import Figure
from numpy.typing import NDArray

from vision_baselines.plots.scale import label_roundly, label_steps
from vision_baselines.plots.sheet import Pixels, Sheet, block, tile
from vision_baselines.plots.style import MUTED, PALETTE, SIGNED, finish
from vision_baselines.runs.record import Curve

T = TypeVar("T")

MOST_ROWS = 8  # layers in a picture of several
_MARGIN, _LABELS, _GAP, _GROUP_GAP, _LINE = 14, 168, 10, 30, 15
_TILE = 26
_BLOCK = 3 * _TILE + 4  # with the lines between


@dataclass(frozen=True)
class LayerPatches:
    """A convolution's channels.

    Attributes:
        title: Its name.
        facts: What there is to say of it, a few short lines.
        channels: The channels' numbers; the other arrays are in their order.
        after: uint8 ``(channels, 9, h, w, 3)``: the patches that excite the trained net most, strongest first.
        before: The same of the untrained net; None where there is none.
        climbed: uint8 ``(channels, h, w, 3)``: what a climb of the gradient led to; None without.
    """

    title: str
    facts: tuple[str, ...]
    channels: tuple[int, ...]
    after: Pixels
    before: Pixels | None = None
    climbed: Pixels | None = None


def hierarchy_sheet(title: str, note: str, layers: Sequence[LayerPatches]) -> bytes:
    """A row for each layer, at most `MOST_ROWS` of them: patches before and after training, and climbed images."""
    shown = spread(layers, MOST_ROWS)
    named = (
        ("before", "Before training"),
        ("after", "After training"),
        ("climbed", "After training, by gradient ascent (full contrast)"),
    )
    groups = [(key, name) for key, name in named if any(getattr(layer, key) is not None for layer in shown)]
    columns = max(len(layer.channels) for layer in shown)
    group_px = columns * (_BLOCK + _GAP) - _GAP
    width = 2 * _MARGIN + _LABELS + len(groups) * (group_px + _GROUP_GAP) - _GROUP_GAP
    head, row_px = 70, _BLOCK + 28
    sheet = Sheet(head + row_px * len(shown) + 6, width)
    sheet.write(_MARGIN, _MARGIN, title, size=10.5, bold=True)
    sheet.write(_MARGIN + 20, _MARGIN, note, muted=True)
    for place, (_, name) in enumerate(groups):
        sheet.write(head - 18, _MARGIN + _LABELS + place * (group_px + _GROUP_GAP), name, size=8.5, bold=True)
    for number, layer in enumerate(shown):
        top = head + number * row_px
        sheet.write(top + 14, _MARGIN, layer.title, size=8.5, bold=True)
        sheet.write(top + 32, _MARGIN, "\n".join(layer.facts), size=7.5, muted=True)
        for place, (key, _) in enumerate(groups):
            arrays = getattr(layer, key)
            for column, channel in enumerate(layer.channels if arrays is not None else ()):
                left = _MARGIN + _LABELS + place * (group_px + _GROUP_GAP) + column * (_BLOCK + _GAP)
                pixels = arrays[column]
                sheet.write(top, left, f"channel {channel}", size=6.5, muted=True)
                sheet.paste(
                    top + 13, left, block(pixels[None], _BLOCK - 2, 1) if key == "climbed" else block(pixels, _TILE)
                )
    return sheet.png()


def patches_sheet(title: str, layer: LayerPatches, columns: int = 4) -> bytes:
    """Every channel of one layer: the patches before training (left) and after it (right)."""
    parts = [array for array in (layer.before, layer.after) if array is not None]
    blocks = [[block(part[index], 30) for part in parts] for index in range(len(layer.channels))]
    height, one = blocks[0][0].shape[:2]
    cell_px = len(parts) * (one + 6) + 18
    columns = min(columns, len(layer.channels))
    lines = -(-len(layer.channels) // columns)
    head, row_px = 64, height + 24
    sheet = Sheet(head + lines * row_px + 4, max(2 * _MARGIN + columns * cell_px - 18, 560))
    sheet.write(_MARGIN, _MARGIN, title, size=10, bold=True)
    order = "left: before training; right: after it" if len(parts) == 2 else "after training"
    sheet.write(_MARGIN + 19, _MARGIN, f"{', '.join(layer.facts)}; {order}", muted=True)
    for place, (channel, pair) in enumerate(zip(layer.channels, blocks, strict=True)):
        top, left = head + place // columns * row_px, _MARGIN + place % columns * cell_px
        sheet.write(top, left, f"channel {channel}", size=6.5, muted=True)
        for index, part in enumerate(pair):
            sheet.paste(top + 13, left + index * (one + 6), part)
    return sheet.png()


def maps_sheet(
    title: str, image: Pixels, rows: Sequence[tuple[str, tuple[int, ...], NDArray[np.float32]]], tile_px: int = 72
) -> bytes:
    """One image's feature maps: a row for each layer, at most `MOST_ROWS`, white is 0 and a layer has one scale.

    Args:
        title: Written above.
        image: uint8 ``(h, w, 3)``.
        rows: A layer's name, the channels shown and their maps ``(channels, h, w)``.
        tile_px: Side of a map in the picture.
    """
    shown = spread(rows, MOST_ROWS)
    columns = max(len(channels) for _, channels, _ in shown)
    head, row_px, labels = 50, tile_px + 26, 150
    left_of_maps = _MARGIN + tile_px + 20 + labels
    sheet = Sheet(head + row_px * len(shown), left_of_maps + columns * (tile_px + 8) + _MARGIN)
    sheet.write(_MARGIN, _MARGIN, title, size=10, bold=True)
    sheet.paste(head + 13, _MARGIN, tile(image, tile_px))
    for number, (name, channels, maps) in enumerate(shown):
        top, limit = head + number * row_px, float(np.abs(maps).max(initial=0.0)) or 1.0
        colours = matplotlib.colormaps[SIGNED](0.5 + 0.5 * maps / limit)[..., :3]
        size = f"{maps.shape[1]}×{maps.shape[2]}, ±{limit:.2g}"
        sheet.write(top + 16, _MARGIN + tile_px + 20, name, size=8, bold=True)
        sheet.write(top + 32, _MARGIN + tile_px + 20, size, size=7.5, muted=True)
        for column, channel in enumerate(channels):
            left = left_of_maps + column * (tile_px + 8)
            sheet.write(top, left, f"channel {channel}", size=6.5, muted=True)
            sheet.paste(top + 13, left, tile(np.round(255 * colours[column]).astype(np.uint8), tile_px))
    return sheet.png()


def depth_figure(title: str, panels: Sequence[tuple[str, Mapping[str, Curve]]]) -> Figure:
    """Numbers over depth: a panel for each measure with a line for the trained net and for others.

    Args:
        title: Written above.
        panels: What is measured and its curves, the trained net's first; the key is the line's name.
    """
    lines = -(-len(panels) // 2)
    figure = Figure(figsize=(9.6, 0.75 + 2.55 * lines), layout="constrained")
    figure.suptitle(title, x=0.01, ha="left", fontsize=10.5, fontweight="bold")
    looks = ((PALETTE[0], "-"), (MUTED, "--"), (PALETTE[1], ":"))
    for axes, (name, curves) in zip(figure.subplots(lines, 2, squeeze=False).flat, panels, strict=False):
        for (label, curve), (color, style) in zip(curves.items(), looks, strict=False):
            axes.plot(curve.x, curve.y, color=color, linestyle=style, marker="o", markersize=3, label=label)
        axes.set_title(name, loc="left", fontsize=9)
        first = next(iter(curves.values()))
        label_roundly(axes.yaxis)
        label_steps(axes.xaxis, first.x)
        finish(axes, first.x_label, first.y_label)
        low, high = axes.get_ylim()
        axes.set_ylim(min(0.0, low), high + 0.08 * (high - min(0.0, low)))
        axes.legend(frameon=False, fontsize=8)
    for axes in figure.axes[len(panels) :]:
        axes.set_axis_off()
    return figure


def spread(items: Sequence[T], most: int) -> list[T]:
    """At most so many of a sequence, evenly, with its first and its last.

    >>> spread(range(20), 4)
    [0, 6, 13, 19]
    """
    if len(items) <= most:
        return list(items)
    return [items[round(place)] for place in np.linspace(0, len(items) - 1, most)]
