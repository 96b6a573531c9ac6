"""What speaks for a net's answers, as a picture: images beside their attributions, all on one signed scale."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from vision_baselines.comparison.formatting import shortened
from vision_baselines.plots.filters import colored
from vision_baselines.plots.sheet import Pixels, Sheet, tile

_MARGIN, _LABELS, _GAP, _GROUP_GAP, _HEAD = 14, 84, 8, 34, 106
_TILE = 112  # a whole multiple of 8, 16, 28 and 56 px
_LEAST = 620  # width that the words above take
_WITHIN = 99.0  # percent of the pixels that the scale has room for: a single one would make all others white


@dataclass(frozen=True)
class Explained:
    """An image and what each of its pixels adds to the answer.

    Attributes:
        image: uint8 ``(h, w, 3)``.
        values: ``(h, w)``.
        caption: A line above, of at most 34 letters.
    """

    image: Pixels
    values: NDArray[np.float64]
    caption: str


def saliency_sheet(
    title: str, note: str, rows: Sequence[tuple[str, Sequence[Explained | None]]], names: Sequence[str]
) -> bytes:
    """A row for each class, in it an image beside its attributions for each of `names`.

    Args:
        title: Written above.
        note: A line below it; another says what the colours mean.
        rows: What stands at the left, and an entry for each of `names`; None where there is no such image.
        names: What the columns are.

    Returns:
        A PNG file.
    """
    shown = {id(cell): _seen(cell.values) for _, cells in rows for cell in cells if cell is not None}
    limit = scale_limit(list(shown.values()))
    group_px, row_px = 2 * _TILE + _GAP, _TILE + 26
    width = 2 * _MARGIN + _LABELS + len(names) * (group_px + _GROUP_GAP) - _GROUP_GAP
    sheet = Sheet(_HEAD + row_px * len(rows) + 6, max(width, _LEAST))
    sheet.write(_MARGIN, _MARGIN, title, size=10.5, bold=True)
    colours = (
        "Red speaks for the predicted class, blue against it, white is 0.\n"
        f"One scale for all images, ±{limit:.2g} a pixel; 1 % lie beyond."
    )
    sheet.write(_MARGIN + 21, _MARGIN, f"{note}\n{colours}", size=7.5, muted=True)
    for place, name in enumerate(names):
        sheet.write(_HEAD - 20, _left_of(place), name, size=8.5, bold=True)
    for number, (label, cells) in enumerate(rows):
        top = _HEAD + number * row_px
        sheet.write(top + 14, _MARGIN, shortened(label, 13), size=8.5, bold=True)
        for place, cell in enumerate(cells):
            if cell is None:
                sheet.write(top + 14, _left_of(place), "none", size=7.5, muted=True)
                continue
            sheet.write(top - 1, _left_of(place), cell.caption, size=6.5, muted=True)
            sheet.paste(top + 13, _left_of(place), tile(cell.image, _TILE))
            signed = colored(shown[id(cell)][None, None], limit)[0, ..., :3]
            sheet.paste(top + 13, _left_of(place) + _TILE + _GAP, tile(signed, _TILE))
    return sheet.png()


def _seen(values: NDArray[np.float64]) -> NDArray[np.float32]:
    """Values ``(h, w)`` at the size they are drawn at, if they are larger: means over what becomes one pixel."""
    longest = max(values.shape)
    single = values.astype(np.float32)
    if longest <= _TILE:
        return single
    height, width = (max(1, round(side * _TILE / longest)) for side in values.shape)
    return np.asarray(Image.fromarray(single).resize((width, height), Image.Resampling.BOX))


def scale_limit(values: Sequence[NDArray[np.float32]]) -> float:
    """The absolute value at the ends of the scale that all images share: 99 % of the pixels lie within; never 0."""
    sizes = np.abs(np.concatenate([of.ravel() for of in values])) if values else np.zeros(1)
    return float(np.percentile(sizes, _WITHIN)) or float(sizes.max()) or 1.0


def _left_of(place: int) -> int:
    return _MARGIN + _LABELS + place * (2 * _TILE + _GAP + _GROUP_GAP)
