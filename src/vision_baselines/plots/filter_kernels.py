"""Filters in rows of captioned tiles on one scale: each beside the kernel it resembles, or its strongest channels."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from matplotlib.figure import Figure
from numpy.typing import NDArray

from vision_baselines.plots.filters import colored, scale_in_words
from vision_baselines.plots.style import INK, MUTED, RULE

_TILE_IN, _GAP_IN, _CAPTION_IN, _MARGIN_IN, _HEAD_IN = 0.95, 0.22, 0.34, 0.15, 0.5


def tiles_figure(title: str, tiles: Sequence[tuple[str, NDArray[np.float32]]], columns: int, limit: float) -> Figure:
    """Tiles in rows of `columns`.

    Args:
        title: Written above.
        tiles: A caption, and weights (C, H, W), for each.
        columns: Tiles in a row.
        limit: The absolute weight at the ends of the scale, > 0.
    """
    columns, lines = min(columns, len(tiles)), -(-len(tiles) // columns)
    wide = max(2 * _MARGIN_IN + columns * (_TILE_IN + _GAP_IN), 4.4)
    high = _HEAD_IN + lines * (_TILE_IN + _CAPTION_IN) + _MARGIN_IN
    figure = Figure(figsize=(wide, high))
    axes = figure.add_axes((0, 0, 1, 1))
    axes.set_xlim(0, wide)
    axes.set_ylim(high, 0)
    axes.set_axis_off()
    for index, (caption, weights) in enumerate(tiles):
        left = _MARGIN_IN + index % columns * (_TILE_IN + _GAP_IN)
        top = _HEAD_IN + index // columns * (_TILE_IN + _CAPTION_IN)
        tall, broad = weights.shape[1:]
        height, width = _TILE_IN * tall / max(tall, broad), _TILE_IN * broad / max(tall, broad)
        place = (left, left + width, top + height, top)
        axes.imshow(colored(weights[None], limit)[0], extent=place, interpolation="nearest", aspect="auto")
        frame = [left, left + width, left + width, left, left], [top, top, top + height, top + height, top]
        axes.plot(*frame, color=RULE, linewidth=0.6)
        axes.text(left, top + _TILE_IN + 0.05, caption, fontsize=6.5, va="top", color=INK)
    axes.set_xlim(0, wide)
    axes.set_ylim(high, 0)
    axes.text(_MARGIN_IN, 0.1, title, fontsize=9, va="top", color=INK)
    scale = scale_in_words(tiles[0][1].shape[0], limit)
    axes.text(_MARGIN_IN, 0.27, scale, fontsize=8, va="top", color=MUTED)
    return figure
