"""A picture of the user's own, made small enough to look at pixel by pixel."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import ExifTags, Image

from vision_baselines.data.picture_decoding import FORMATS, MAX_PIXELS, PictureError, decoded, quiet_pillow
from vision_baselines.errors import DataError


@dataclass(frozen=True)
class OwnPicture:
    """Pixels as uint8 ``(C, H, W)``, and the height and width that the file has, in pixels."""

    pixels: NDArray[np.uint8]
    size: tuple[int, int]

    @property
    def was_shrunk(self) -> bool:
        """Whether the file holds more pixels."""
        return self.pixels.shape[1:] != self.size


def own_picture(path: Path, *, longest_px: int, colour: bool = False) -> OwnPicture:
    """Read any picture: upright, without transparency, 8 bits a channel, its longer side at most `longest_px`.

    Args:
        path: The file.
        longest_px: Pixels of the longer side, beyond which the picture is made smaller; never larger.
        colour: Three channels, red, green and blue, in place of one of grey.

    Raises:
        DataError: There is no such file, it is damaged, not a picture, or too large.
    """
    if not path.is_file():
        raise DataError(f"{str(path)!r} is {'a folder' if path.is_dir() else 'not a file'}; expected a picture")
    try:
        with quiet_pillow():
            height, width = _upright_size(path)
            scale = min(1.0, longest_px / max(height, width))
            size = (max(1, round(height * scale)), max(1, round(width * scale)))
            pixels = decoded(path, size=size, channels=3 if colour else 1, crop=False)
    except PictureError as error:
        raise DataError(f"{str(path)!r} cannot be used as a picture: {error}") from error
    return OwnPicture(pixels, (height, width))


def _upright_size(path: Path) -> tuple[int, int]:
    """Height and width as people see it; a file that is not a picture is left to `decoded`, which says so."""
    too_large = f"expected at most {MAX_PIXELS:,} pixels"
    try:
        with Image.open(path, formats=FORMATS) as image:
            width, height = image.size
            orientation: Any = image.getexif().get(ExifTags.Base.Orientation, 1)
    except Image.DecompressionBombError as error:
        raise PictureError(too_large) from error
    except Exception:  # Pillow's readers raise almost anything on damaged bytes
        return 1, 1
    if width * height > MAX_PIXELS:
        raise PictureError(f"{width:,}×{height:,}; {too_large}")
    on_its_side = isinstance(orientation, int) and orientation >= 5
    return (width, height) if on_its_side else (height, width)
