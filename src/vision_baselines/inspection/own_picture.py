"""A picture of the user's own, made small enough to look at pixel by pixel."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from vision_baselines.data.picture_decoding import PictureError, decoded, quiet_pillow, upright_size
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
            height, width = upright_size(path) or (1, 1)  # what is no picture is said by `decoded`
            scale = min(1.0, longest_px / max(height, width))
            size = (max(1, round(height * scale)), max(1, round(width * scale)))
            pixels = decoded(path, size=size, channels=3 if colour else 1, crop=False)
    except PictureError as error:
        raise DataError(f"{str(path)!r} cannot be used as a picture: {error}") from error
    return OwnPicture(pixels, (height, width))
