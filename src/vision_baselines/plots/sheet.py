"""A picture made of many small pictures with words beside them: what probes of a net's features draw.

The parts are laid out in pixels and drawn as they are, so that a pixel of an image stays a square. Words are in the
font of the figures, but set by Pillow: with Matplotlib a sheet of many captions takes several times as long.
"""

from __future__ import annotations

import io
import math
from functools import cache
from pathlib import Path

import matplotlib
import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw, ImageFont

from vision_baselines.plots.export import PNG_DPI
from vision_baselines.plots.style import INK, MUTED

Pixels = NDArray[np.uint8]
_LINE = 1.26  # from one baseline to the next, in sizes of the font
_ASCENT = 0.76  # of DejaVu Sans' tallest small letter
_BETWEEN = (150, 160, 172)  # between pictures, which may themselves be black, white, or grey as paper outside an image


class Sheet:
    """White paper of a size in pixels."""

    def __init__(self, height_px: int, width_px: int) -> None:
        self._paper = np.full((height_px, width_px, 3), 255, dtype=np.uint8)
        self._words: list[tuple[int, int, str, float, bool, bool]] = []
        self._placed: list[tuple[float, float, str, float, str, str, float]] = []

    def paste(self, top: int, left: int, pixels: Pixels) -> None:
        """Put a picture (height, width, 3) down, its corner at a place."""
        self._paper[top : top + pixels.shape[0], left : left + pixels.shape[1]] = pixels

    def write(
        self, top: int, left: int, text: str, *, size: float = 8.0, muted: bool = False, bold: bool = False
    ) -> None:
        """Put words down, their upper left corner at a place."""
        self._words.append((top, left, text, size * PNG_DPI / 72, muted, bold))

    def put(
        self, y: float, x: float, text: str, *, size: float, color: str, anchor: str = "mm", turn: float = 0
    ) -> None:
        """Put a line of words down, its anchor (Pillow's ``mm`` or ``rm``) at a place, turned about it by degrees."""
        self._placed.append((y, x, text, size * PNG_DPI / 72, color, anchor, turn))

    def png(self) -> bytes:
        """All of it, in 256 colours: a third of the bytes, and no difference that one sees."""
        return _in_palette(self._image())

    def pixels(self) -> Pixels:
        """All of it (height, width, 3)."""
        return np.array(self._image())

    def _image(self) -> Image.Image:
        image = Image.fromarray(self._paper)
        draw = ImageDraw.Draw(image)
        for top, left, text, size_px, muted, bold in self._words:
            for number, line in enumerate(text.split("\n")):
                baseline = top + (_ASCENT + number * _LINE) * size_px
                draw.text((left, baseline), line, MUTED if muted else INK, _font(size_px, bold), anchor="ls")
        for y, x, text, size_px, color, anchor, turn in self._placed:
            font = _font(size_px, False)
            if turn:
                _put_turned(image, (x, y), text, font, color, anchor, turn)
            else:
                draw.text((x, y), text, color, font, anchor=anchor)
        return image


def _put_turned(
    image: Image.Image,
    place: tuple[float, float],
    text: str,
    font: ImageFont.FreeTypeFont,
    color: str,
    anchor: str,
    degrees: float,
) -> None:
    _, _, width, height = font.getbbox(text, anchor="lt")
    mask = Image.new("L", (math.ceil(width), math.ceil(height)))
    ImageDraw.Draw(mask).text((0, 0), text, 255, font, anchor="lt")
    mask = mask.rotate(degrees, Image.Resampling.BICUBIC, expand=True)
    after = width / 2 if anchor == "rm" else 0.0  # from the middle of the line to its anchor
    x, y = place[0] - after * math.cos(math.radians(degrees)), place[1] + after * math.sin(math.radians(degrees))
    image.paste(color, (round(x - mask.width / 2), round(y - mask.height / 2)), mask)


@cache
def _font(size_px: float, bold: bool) -> ImageFont.FreeTypeFont:
    name = "DejaVuSans-Bold.ttf" if bold else "DejaVuSans.ttf"
    return ImageFont.truetype(Path(matplotlib.get_data_path(), "fonts", "ttf", name), size_px)


def in_palette(content: bytes) -> bytes:
    """A PNG with at most 256 colours."""
    return _in_palette(Image.open(io.BytesIO(content)).convert("RGB"))


def _in_palette(image: Image.Image) -> bytes:
    buffer = io.BytesIO()
    image.quantize(256, dither=Image.Dither.FLOYDSTEINBERG).save(buffer, format="PNG", optimize=True)
    return buffer.getvalue()


def tile(pixels: Pixels, longest_px: int) -> Pixels:
    """A picture (h, w, 3) brought to a size: up to 12 pixels by a whole factor, so that each stays a square.

    >>> tile(np.zeros((3, 2, 3), dtype=np.uint8), 32).shape, tile(np.zeros((90, 60, 3), dtype=np.uint8), 30).shape
    ((30, 20, 3), (30, 20, 3))
    """
    longest = max(pixels.shape[:2])
    factor = longest_px // longest
    if longest <= 12 or factor * longest == longest_px:
        return pixels.repeat(max(1, factor), axis=0).repeat(max(1, factor), axis=1)
    height, width = (max(1, round(side * longest_px / longest)) for side in pixels.shape[:2])
    how = Image.Resampling.BOX if longest > longest_px else Image.Resampling.BICUBIC
    return np.asarray(Image.fromarray(pixels).resize((width, height), how))


def block(patches: Pixels, longest_px: int, columns: int = 3, gap_px: int = 1) -> Pixels:
    """Pictures (n, h, w, 3) of one size beside each other, a line between them and around all."""
    tiles = [tile(patch, longest_px) for patch in patches]
    height, width = tiles[0].shape[:2]
    lines = -(-len(tiles) // columns)
    size = (lines * (height + gap_px) + gap_px, columns * (width + gap_px) + gap_px)
    made = np.broadcast_to(np.array(_BETWEEN, dtype=np.uint8), (*size, 3)).copy()
    for index, part in enumerate(tiles):
        top, left = gap_px + index // columns * (height + gap_px), gap_px + index % columns * (width + gap_px)
        made[top : top + height, left : left + width] = part
    return made
