"""Sheets of misclassified images, each with its class, the answer, the probability of that, and what it is called."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from vision_baselines.comparison.formatting import one_line, shortened
from vision_baselines.comparison.mistake_lists import MistakeList, mistake_lists, summary
from vision_baselines.comparison.mistakes import Entry, GroupMistakes, short_name
from vision_baselines.plots.sheet import Pixels, Sheet, tile
from vision_baselines.plots.style import house_style
from vision_baselines.text import told_apart

SHOWN = 24
ORDER = "right class → answer, its probability, the image"
_MARGIN, _HEAD, _HEADING, _LINE = 14, 62, 32, 14
_TILE, _CELL, _COLUMNS = 84, 118, 8
_LETTERS = 17  # of a caption's line that fit into a cell
_NO_PICTURE = 236


@dataclass(frozen=True)
class Part:
    """A part of a sheet: its heading, and images with the pictures there are of them."""

    heading: str
    entries: Sequence[Entry]
    pictures: Mapping[int, Pixels]


def part_of(found: MistakeList, top: int, pictures: Mapping[int, Pixels] | None = None) -> Part:
    """The first images of a list; with the pictures that the runs kept, unless others are given."""
    kept = found.pictures if pictures is None else pictures
    return Part(f"{found.heading}: {found.counted(top)}", found.entries(top), kept)


def group_pixels(group: GroupMistakes, shown: int = SHOWN) -> Pixels:
    """What a group misclassifies most surely, as a picture (height, width, 3)."""
    with house_style():
        return _sheet(summary(group), [part_of(mistake_lists([group])[0], shown)]).pixels()


def mistakes_sheet(title: str, parts: Sequence[Part]) -> bytes:
    """Parts below each other, eight images in a line, as PNG; an image without a picture is an empty field."""
    with house_style():
        return _sheet(title, parts).png()


def _sheet(title: str, parts: Sequence[Part]) -> Sheet:
    heights = [_HEADING + -(-len(part.entries) // _COLUMNS) * (_TILE + _caption_px(part)) for part in parts]
    sheet = Sheet(_HEAD + sum(heights), 2 * _MARGIN + _COLUMNS * _CELL)
    sheet.write(_MARGIN, _MARGIN, shortened(title, 120), size=10, bold=True)
    sheet.write(_MARGIN + 20, _MARGIN, ORDER, muted=True)
    top = _HEAD
    for part, height in zip(parts, heights, strict=True):
        _draw(sheet, top, part)
        top += height
    return sheet


def _draw(sheet: Sheet, top: int, part: Part) -> None:
    sheet.write(top, _MARGIN, shortened(part.heading, 120), size=8.5, bold=True)
    line_px = _TILE + _caption_px(part)
    for place, entry in enumerate(part.entries):
        left = _MARGIN + place % _COLUMNS * _CELL
        y = top + _HEADING - 8 + place // _COLUMNS * line_px
        pixels = part.pictures.get(entry.place)
        shown = np.full((_TILE, _TILE, 3), _NO_PICTURE, np.uint8) if pixels is None else tile(pixels, _TILE)
        sheet.paste(y, left, shown)
        bold, plain = caption(entry)
        sheet.write(y + _TILE + 3, left, "\n".join(bold), size=6.5, bold=True)
        sheet.write(y + _TILE + 3 + _LINE * len(bold), left, "\n".join(plain), size=6.5, muted=True)


def _caption_px(part: Part) -> int:
    """Height of a line's captions, and the space below."""
    return _LINE * max(sum(map(len, caption(entry))) for entry in part.entries) + 12 if part.entries else 0


def caption(entry: Entry) -> tuple[list[str], list[str]]:
    """The lines below an image: its class and the answer, then how sure and how often, and what it is called.

    >>> caption(Entry(5, "5", "8", "3", 0.987, 1, 1))
    (['8 → 3'], ['0.99', '#5'])
    >>> caption(Entry(5, "a.png", "Ankle boot", "Sneaker", None, 2, 3))
    (['Ankle boot', '→ Sneaker'], ['2 of 3 wrong', 'a.png'])
    """
    right, answer = one_line(entry.right), one_line(entry.answer)
    both = f"{right} → {answer}"
    shown = told_apart([right, answer], _LETTERS - 2)
    bold = [both] if len(both) < _LETTERS else [shown[right], f"→ {shown[answer]}"]
    sure = "" if entry.probability is None else f"{entry.probability:.2f}"
    often = "" if entry.runs == 1 else f"{entry.wrong} of {entry.runs} wrong"
    lines = [", ".join(filter(None, (sure, often)))]
    if entry.others is not None and max(entry.others[1], entry.runs) > 1:
        lines.append("other: {} of {} right".format(*entry.others))
    return bold, [*filter(None, lines), short_name(entry.image, _LETTERS)]
