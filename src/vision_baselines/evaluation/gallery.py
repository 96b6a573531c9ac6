"""Predictions as one HTML page with the pictures, which opens offline and runs no script.

Each picture is shown as the file has it, and, where training changes its size or colours, as the net sees it.
"""

from __future__ import annotations

import base64
import io
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from jinja2 import Environment, PackageLoader, StrictUndefined
from markupsafe import Markup
from PIL import Image

from vision_baselines.comparison.formatting import listed, one_line, plural, printable
from vision_baselines.data.given_pictures import Fault
from vision_baselines.data.picture_decoding import PictureError, PixelArray, quiet_pillow
from vision_baselines.data.prepared import Preparation
from vision_baselines.errors import DataError
from vision_baselines.evaluation.prediction_table import class_text, disagreement_texts, percent
from vision_baselines.evaluation.predictions import Predictions
from vision_baselines.evaluation.trained import Trained
from vision_baselines.inspection.own_picture import own_picture

MOST_PICTURES = 1_000  # 10 to 60 kB each
_LONGEST_PX = 336  # twice what is shown, for fine screens
_LARGE, _SMALL = (168, 150), (64, 64)  # width and height on the page
_AS_THEY_ARE_PX = 64  # as PNG; a larger picture as JPEG


class Shown(NamedTuple):
    """An image's source, and its width and height on the page in pixels."""

    source: str
    width: int
    height: int


@dataclass(frozen=True)
class Card:
    """A picture on the page: its name, its pixels, what the net is given, the likeliest classes, the disagreement."""

    name: str
    picture: Shown | None
    seen: Shown | None
    likeliest: list[tuple[str, str, float]]
    agreement: tuple[str, str] | None


def gallery(found: Predictions, members: Sequence[Trained], faults: Sequence[Fault], top: int) -> bytes:
    """The page."""
    shown = min(len(found), MOST_PICTURES)
    with quiet_pillow():
        cards = [_card(found, row, members[0].preparation, top) for row in range(shown)]
    prepared: dict[str, list[str]] = {}
    for member in members:
        prepared.setdefault(member.preparation.in_words(), []).append(member.folder.name)
    counts = Counter(found.labels).most_common()
    text: str = _template().render(
        names=[member.folder.name for member in members],
        claim=f"{plural(len(found), 'picture')} of {plural(len(counts), 'class')}: "
        + listed([f"{class_text(name)} ({n:,})" for name, n in counts], 8)
        if counts
        else "No picture was read",
        cards=cards,
        n_left_out=len(found) - shown,
        faults=faults,
        n_members=len(members),
        prepared=list(prepared.items()),
    )
    return f"{text}\n".encode()


def _card(found: Predictions, row: int, how: Preparation, top: int) -> Card:
    assert found.files is not None
    path = Path(found.files[row])
    agreement = tuple(disagreement_texts(found, row))
    picture, seen = _pictures(path, how)
    return Card(
        printable(str(path)),
        picture,
        seen,
        [(class_text(name), percent(share), round(100 * share, 2)) for name, share in found.likeliest(row, top)],
        (agreement[0], agreement[1]) if len(agreement) == 2 else None,
    )


def _pictures(path: Path, how: Preparation) -> tuple[Shown | None, Shown | None]:
    """A picture, and what the net is given where that is another; None where it can no longer be read."""
    try:
        own = own_picture(path, longest_px=_LONGEST_PX, colour=True).pixels
        seen = how.of_file(path)
    except (DataError, PictureError, OSError):
        return None, None
    in_colour = np.broadcast_to(seen, own.shape) if seen.shape[1:] == own.shape[1:] else seen
    return _shown(own, _LARGE), None if np.array_equal(in_colour, own) else _shown(seen, _SMALL)


def _shown(pixels: PixelArray, box: tuple[int, int]) -> Shown:
    """Pixels (C, H, W) in a box of a width and a height."""
    image = Image.fromarray(np.ascontiguousarray(pixels[0] if len(pixels) == 1 else pixels.transpose(1, 2, 0)))
    kind = "png" if max(image.size) <= _AS_THEY_ARE_PX else "jpeg"
    buffer = io.BytesIO()
    image.save(buffer, format=kind, quality=85)
    scale = min(box[0] / image.width, box[1] / image.height)
    width, height = (max(1, round(side * scale)) for side in image.size)
    return Shown(f"data:image/{kind};base64,{base64.b64encode(buffer.getvalue()).decode('ascii')}", width, height)


@cache
def _template() -> Any:
    environment = Environment(
        loader=PackageLoader("vision_baselines", ""),
        autoescape=True,
        finalize=lambda value: value if isinstance(value, Markup) else printable(value),
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    for function in (plural, one_line):
        environment.filters[function.__name__] = function
    return environment.get_template("evaluation/gallery.html.j2")
