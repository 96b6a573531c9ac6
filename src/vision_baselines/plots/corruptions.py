"""One picture made worse in several ways: a row for each kind, a column for each strength, a number below each."""

from __future__ import annotations

from collections.abc import Sequence

from vision_baselines.plots.sheet import Pixels, Sheet, tile

_MARGIN, _LABELS, _GAP, _HEAD = 14, 76, 10, 76
_TILE = 96


def corruptions_sheet(title: str, note: str, rows: Sequence[tuple[str, Sequence[Pixels], Sequence[str]]]) -> bytes:
    """A row for each kind: its name, uint8 ``(h, w, 3)`` from strength 0 on, and what stands below each.

    Args:
        title: Written above.
        note: A line below it.
        rows: All of one length.

    Returns:
        A PNG file.
    """
    columns, row_px = len(rows[0][1]), _TILE + 30
    width = 2 * _MARGIN + _LABELS + columns * (_TILE + _GAP) - _GAP
    sheet = Sheet(_HEAD + row_px * len(rows), width)
    sheet.write(_MARGIN, _MARGIN, title, size=10.5, bold=True)
    sheet.write(_MARGIN + 21, _MARGIN, note, size=7.5, muted=True)
    for strength in range(columns):
        words = f"strength {strength}" if strength else "unchanged"
        sheet.write(_HEAD - 18, _left_of(strength), words, size=8, bold=True)
    for number, (kind, pictures, captions) in enumerate(rows):
        top = _HEAD + number * row_px
        sheet.write(top + 6, _MARGIN, kind, size=8.5, bold=True)
        for strength, (pixels, caption) in enumerate(zip(pictures, captions, strict=True)):
            made = tile(pixels, _TILE)
            sheet.paste(top, _left_of(strength), made)
            sheet.write(top + made.shape[0] + 3, _left_of(strength), caption, size=7, muted=True)
    return sheet.png()


def _left_of(strength: int) -> int:
    return _MARGIN + _LABELS + strength * (_TILE + _GAP)
