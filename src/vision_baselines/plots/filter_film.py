"""The first layer's filters over training: an animated picture, and a contact sheet for paper.

All frames share one scale, so that a filter that grows is seen to grow.
"""

from __future__ import annotations

import io
from collections.abc import Mapping

import numpy as np
from matplotlib.figure import Figure
from numpy.typing import NDArray
from PIL import Image, ImageDraw, ImageFont

from vision_baselines.plots.filters import mosaic, scale_in_words
from vision_baselines.plots.style import INK, MUTED, PAPER, RULE

Frames = Mapping[int, NDArray[np.float32]]
_MOST_COLUMNS = 13  # of the sheet: more would make its filters too small to see
_FILM_MS, _SHORTEST_MS, _LONGEST_MS, _LAST_MS = 8_000, 60, 500, 2_000
_MARGIN_PX, _HEAD_PX, _FOOT_PX, _LEAST_WIDTH_PX = 12, 30, 26, 330


def film_gif(frames: Frames) -> bytes:
    """An animated GIF that runs for about 8 seconds and begins again.

    Args:
        frames: Filters (n, C, H, W) by the number of epochs that they were trained for; every frame has the same shape.
    """
    limit, last = _limit(frames), max(frames)
    pictures = [_frame(frames[epochs], epochs, last, limit) for epochs in sorted(frames)]
    each = max(_SHORTEST_MS, min(_LONGEST_MS, _FILM_MS // len(pictures)))
    durations = [*[each] * (len(pictures) - 1), _LAST_MS]
    buffer = io.BytesIO()
    pictures[0].save(
        buffer, format="GIF", save_all=True, append_images=pictures[1:], duration=durations, loop=0, optimize=False
    )
    return buffer.getvalue()


def film_sheet(frames: Frames) -> Figure:
    """A row for each filter and a column for each frame, or for every k-th and the last, 13 at most.

    Args:
        frames: As of `film_gif`.
    """
    there = sorted(frames)
    every = max(1, -(-(len(there) - 1) // (_MOST_COLUMNS - 1)))
    chosen = sorted({*there[::every], there[-1]})
    n, channels, height, width = frames[there[0]].shape
    tiles = np.stack([frames[epochs] for epochs in chosen], axis=1).reshape(-1, channels, height, width)
    pixels = mosaic(tiles, _limit(frames), columns=len(chosen))
    step_y, step_x = pixels.shape[0] / n, pixels.shape[1] / len(chosen)
    inches = pixels.shape[1] / 100, pixels.shape[0] / 100
    figure = Figure(figsize=(max(inches[0] + 0.7, 4.2), inches[1] + 0.95))
    wide, high = figure.get_size_inches()
    axes = figure.add_axes((0.5 / wide, 0.1 / high, inches[0] / wide, inches[1] / high))
    axes.imshow(pixels, interpolation="nearest", aspect="equal")
    axes.set_anchor("W")
    axes.xaxis.tick_top()
    axes.xaxis.set_label_position("top")
    axes.set_xticks([(i + 0.45) * step_x for i in range(len(chosen))], [f"{epochs}" for epochs in chosen])
    axes.set_yticks([(i + 0.45) * step_y for i in range(n)], [f"{i}" for i in range(n)])
    axes.set_xlabel("epochs trained")
    axes.set_ylabel("filter")
    axes.tick_params(length=0)
    axes.spines[:].set_visible(False)
    title = f"First-layer filters while they are trained\n{scale_in_words(channels, _limit(frames))}"
    figure.text(0.1 / wide, 1 - 0.08 / high, title, fontsize=9, va="top", color=INK)
    return figure


def _limit(frames: Frames) -> float:
    """The largest absolute weight of all frames; never 0."""
    return max(float(np.abs(weights).max(initial=0.0)) for weights in frames.values()) or 1.0


def _frame(weights: NDArray[np.float32], epochs: int, last: int, limit: float) -> Image.Image:
    tiles = Image.fromarray(mosaic(weights, limit))
    width = max(tiles.width, _LEAST_WIDTH_PX) + 2 * _MARGIN_PX
    frame = Image.new("RGB", (width, tiles.height + _HEAD_PX + _FOOT_PX), PAPER)
    frame.paste(tiles, (_MARGIN_PX, _HEAD_PX), tiles)
    draw = ImageDraw.Draw(frame)
    after = "before training" if epochs == 0 else f"after {epochs} epoch{'s' if epochs > 1 else ''}"
    draw.text((_MARGIN_PX, 8), f"first-layer filters {after}", fill=INK, font=ImageFont.load_default(14))
    draw.text(
        (_MARGIN_PX, frame.height - 21),
        scale_in_words(weights.shape[1], limit),
        fill=MUTED,
        font=ImageFont.load_default(12),
    )
    draw.rectangle((0, frame.height - 3, width, frame.height), fill=RULE)
    draw.rectangle((0, frame.height - 3, round(width * epochs / max(last, 1)), frame.height), fill=MUTED)
    return frame
