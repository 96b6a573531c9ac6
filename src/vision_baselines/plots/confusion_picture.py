"""A confusion matrix as pixels, for TensorBoard: what `plots.confusion` draws for the page.

Every run shows its own, and Matplotlib takes ten times as long for its many small words.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from PIL import ImageColor

from vision_baselines.comparison.formatting import shortened
from vision_baselines.plots.confusion import SLANT, Confusion, cells, color_of_count, has_counts, margins, names_of
from vision_baselines.plots.export import PNG_DPI
from vision_baselines.plots.sheet import Pixels, Sheet
from vision_baselines.plots.style import MUTED, PALETTE, PAPER, RULE, WIDTH_IN

_ABOVE, _TITLE_PX, _BETWEEN_PX, _COLUMNS = 7, 40, 11, 3


def confusion_png(confusion: Confusion) -> bytes:
    """One matrix at the common width, as a PNG file."""
    return _sheet(confusion).png()


def confusions_png(confusions: Sequence[Confusion]) -> bytes:
    """All matrices side by side, at most three in a row, each under its group's name."""
    tiles = [_sheet(confusion).pixels() for confusion in confusions]
    columns = min(_COLUMNS, len(tiles))
    row_px, column_px = max(map(len, tiles)) + _TITLE_PX, tiles[0].shape[1] + _BETWEEN_PX
    sheet = Sheet(row_px * -(-len(tiles) // columns), column_px * columns)
    for place, (confusion, pixels) in enumerate(zip(confusions, tiles, strict=True)):
        top, left = place // columns * row_px, place % columns * column_px
        begin = round(margins(confusion).left * PNG_DPI)
        sheet.write(top + 16, left + begin, f"{shortened(confusion.label, 36)} (n = {confusion.n})", size=10)
        sheet.paste(top + _TITLE_PX, left, pixels)
    return sheet.png()


def _sheet(confusion: Confusion) -> Sheet:
    room = margins(confusion)
    left, below, side = (round(inches * PNG_DPI) for inches in (room.left, room.below, room.side))
    sheet = Sheet(_ABOVE + side + below, round(WIDTH_IN * PNG_DPI))
    sheet.paste(_ABOVE, left, _matrix(confusion, side))
    size = len(confusion.counts)
    font, middle = 8 if has_counts(confusion) else 6.5, left + side / 2
    at = [(place + 0.5) * side / size for place in range(size)]
    for place, name in zip(at, names_of(confusion), strict=False):
        sheet.put(_ABOVE + place, left - 5, name, size=font, color=MUTED, anchor="rm")
        if room.slanted:
            sheet.put(_ABOVE + side + 6, left + place + 3, name, size=font, color=MUTED, anchor="rm", turn=SLANT)
        else:
            sheet.put(_ABOVE + side + 12, left + place, name, size=font, color=MUTED)
    sheet.put(_ABOVE + side + below - 15, middle, "predicted", size=9, color=MUTED)
    sheet.put(_ABOVE + side / 2, 10, "true", size=9, color=MUTED, turn=90)
    if has_counts(confusion):
        for (true, predicted), n in np.ndenumerate(confusion.counts):
            if n:
                color = color_of_count(confusion, true, predicted)
                sheet.put(_ABOVE + at[true], left + at[predicted], f"{n}", size=7, color=color)
    return sheet


def _matrix(confusion: Confusion, side: int) -> Pixels:
    """The colours of the cells (side, side, 3), over lines between them where there are few, in a frame."""
    paper, rule, blue = (np.array(ImageColor.getrgb(color), dtype=np.float64) for color in (PAPER, RULE, PALETTE[0]))
    shares, edges = cells(confusion, most=side)
    size = len(confusion.counts)
    lines = np.zeros(side, dtype=bool)
    if has_counts(confusion):
        lines[np.round(np.arange(1, size) * side / size).astype(int)] = True
    lines[[0, -1]] = True
    cell = np.searchsorted(edges, (np.arange(side) + 0.5) * size / side, side="right") - 1
    strength, at = np.sqrt(shares)[..., None], np.ix_(cell, cell)
    on_paper, on_rule = (np.round(below + (blue - below) * strength).astype(np.uint8)[at] for below in (paper, rule))
    return np.where((lines[:, None] | lines)[..., None], on_rule, on_paper)
