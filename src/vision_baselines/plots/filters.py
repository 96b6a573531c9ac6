"""First-layer filters of each group, as mosaics on one symmetric scale for all groups.

Zero is white and sign is colour for one input channel; for three, zero is mid-grey and channels are red,
green and blue. Other numbers of channels are averaged to one, because a tile per channel would no longer be a tile
per filter. The files hold the filters already; no checkpoint is read. Rejected: stretching each filter to its own
range (torchvision's ``make_grid(scale_each=True)``), which makes noise look as strong as structure.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import matplotlib
import numpy as np
from matplotlib.colors import to_hex
from matplotlib.figure import Figure
from numpy.typing import NDArray

from vision_baselines.comparison.formatting import shortened
from vision_baselines.comparison.rows import GroupRow
from vision_baselines.plots.sheet import Sheet
from vision_baselines.plots.style import SIGNED
from vision_baselines.runs.files import FILTERS_FILE

SHOWN = 32
COLUMNS = 8
_TILE_PX = 60
_HEAD_PX, _FOOT_PX, _SIDE_PX, _LEAST_WIDTH_PX = 50, 24, 38, 520  # around a labelled mosaic


@dataclass(frozen=True)
class Filters:
    """The first filters of a group's first seed: `weights` of shape (at most `SHOWN`, C, H, W)."""

    label: str
    seed: int
    weights: NDArray[np.float32]
    total: int

    @property
    def largest(self) -> float:
        """The largest absolute weight shown."""
        return float(np.abs(self.weights).max(initial=0.0))

    def caption(self) -> str:
        """How many there are, of which size and seed."""
        shown, channels, height, width = self.weights.shape
        part = f"{shown} of {self.total}" if shown < self.total else f"{self.total}"
        plural = "filter" if part == "1" else "filters"
        return f"{part} {plural}, {height} × {width} px, {channels} ch, seed {self.seed}"


def read_filters(row: GroupRow) -> Filters | None:
    """Filters of the lowest counted seed that has a readable file; None if none has."""
    for job in row.counted:
        try:
            stored = np.load(job.folder / FILTERS_FILE, mmap_mode="r", allow_pickle=False)
            weights = np.array(stored[:SHOWN], dtype=np.float32)
        except (OSError, ValueError, TypeError, IndexError, EOFError):
            continue
        if weights.ndim == 4 and weights.size and np.isfinite(weights).all():
            return Filters(row.label, job.record.seed, weights, len(stored))
    return None


def shared_limit(found: Sequence[Filters]) -> float:
    """The absolute weight at the ends of the scale that all groups share; never 0."""
    return max((filters.largest for filters in found), default=0.0) or 1.0


def ramp(steps: int = 9) -> tuple[str, ...]:
    """Colours of the scale from its negative to its positive end, as ``#rrggbb``."""
    return tuple(to_hex(color) for color in matplotlib.colormaps[SIGNED](np.linspace(0, 1, steps)))


def scale_in_words(channels: int, limit: float) -> str:
    """What a colour says of filters with so many input channels.

    >>> scale_in_words(1, 0.4217)
    'white is 0, the ends of the scale are ±0.42'
    """
    return f"{'grey' if channels == 3 else 'white'} is 0, the ends of the scale are ±{limit:.2g}"


def mosaic(weights: NDArray[np.float32], limit: float, columns: int = COLUMNS) -> NDArray[np.uint8]:
    """Tiles in rows, transparent between, each filter enlarged by a whole factor.

    Args:
        weights: Filters, shape (n, C, H, W).
        limit: Absolute weight at the ends of the scale, > 0.
        columns: Tiles in a row.

    Returns:
        RGBA pixels, shape (height, width, 4).
    """
    n, _, height, width = weights.shape
    factor = max(1, round(_TILE_PX / max(height, width)))
    gap = max(3, round(0.08 * factor * max(height, width)))
    columns, lines = min(columns, n), -(-n // columns)
    step_y, step_x = height * factor + gap, width * factor + gap
    pixels = np.zeros((lines * step_y - gap, columns * step_x - gap, 4), dtype=np.uint8)
    for position, tile in enumerate(colored(weights, limit)):
        top, left = position // columns * step_y, position % columns * step_x
        large = tile.repeat(factor, axis=0).repeat(factor, axis=1)
        pixels[top : top + large.shape[0], left : left + large.shape[1]] = large
    return pixels


def labelled_mosaic(weights: NDArray[np.float32], title: str) -> NDArray[np.uint8]:
    """The `mosaic` of filters under a title and what its colours say, with their numbers along the edges.

    A run draws it: numbers to pixels, without a figure of Matplotlib's, which takes ten times as long.

    Args:
        weights: Filters, shape (n, C, H, W), finite.
        title: What they are, in one line.

    Returns:
        RGB pixels, shape (height, width, 3).
    """
    limit = float(np.abs(weights).max(initial=0.0)) or 1.0
    tiles = mosaic(weights, limit)
    opaque = tiles[..., 3:] > 0
    pixels = np.where(opaque, tiles[..., :3], np.uint8(255))
    columns, rows = min(COLUMNS, len(weights)), -(-len(weights) // COLUMNS)
    step_y, step_x = tiles.shape[0] / rows, tiles.shape[1] / columns
    sheet = Sheet(tiles.shape[0] + _HEAD_PX + _FOOT_PX, max(tiles.shape[1] + _SIDE_PX + 10, _LEAST_WIDTH_PX))
    sheet.write(8, 10, f"{title}\n{scale_in_words(weights.shape[1], limit)}", size=9.0)
    sheet.paste(_HEAD_PX, _SIDE_PX, pixels)
    for row in range(rows):
        sheet.write(_HEAD_PX + round((row + 0.5) * step_y) - 8, 10, f"{row * columns}", size=7.0, muted=True)
    for column in range(columns):
        place = _SIDE_PX + round((column + 0.5) * step_x) - 8
        sheet.write(_HEAD_PX + tiles.shape[0] + 5, place, f"+{column}", size=7.0, muted=True)
    return sheet.pixels()


def filters_figure(found: Sequence[Filters]) -> Figure:
    """All groups side by side on one scale, at most three in a row, each under its name."""
    limit = shared_limit(found)
    mosaics = [mosaic(filters.weights, limit) for filters in found]
    columns = min(3, len(found))
    lines = -(-len(found) // columns)
    tallest = max(picture.shape[0] / picture.shape[1] for picture in mosaics)
    cell_w, cell_h = 4.4, 4.2 * tallest + 0.7
    figure = Figure(figsize=(cell_w * columns, cell_h * lines + 0.3))
    width, height = figure.get_size_inches()
    for position, (filters, picture) in enumerate(zip(found, mosaics, strict=True)):
        left, below = cell_w * (position % columns) + 0.1, height - cell_h * (position // columns + 1)
        axes = figure.add_axes((left / width, (below + 0.1) / height, 4.2 / width, (cell_h - 0.7) / height))
        axes.imshow(picture, interpolation="nearest", aspect="equal")
        axes.set_anchor("NW")
        axes.set_axis_off()
        axes.set_title(f"{shortened(filters.label, 44)}\n{filters.caption()}", fontsize=9, loc="left")
    figure.text(0.1 / width, 0.1 / height, f"one scale for all: ±{limit:.3g}, zero is neutral", fontsize=9)
    return figure


def colored(weights: NDArray[np.float32], limit: float) -> NDArray[np.uint8]:
    """RGBA of shape (n, H, W, 4)."""
    scaled = np.clip(0.5 + 0.5 * weights / limit, 0, 1)
    if weights.shape[1] == 3:
        rgb = np.moveaxis(scaled, 1, -1)
        rgba = np.concatenate([rgb, np.ones((*rgb.shape[:-1], 1), dtype=rgb.dtype)], axis=-1)
    else:
        rgba = matplotlib.colormaps[SIGNED](scaled.mean(axis=1))
    return np.asarray(np.round(255 * rgba), dtype=np.uint8)
