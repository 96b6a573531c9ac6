"""Pictures from outside, brought to the form that a net was trained on."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from PIL import Image
from torch import Tensor

from vision_baselines.data.picture_decoding import SIXTEEN_BIT_MAX, PictureError, decoded, prepared, quiet_pillow
from vision_baselines.errors import DataError

Pictures = np.ndarray[Any, Any] | Sequence[str | Path] | str | Path


def prepare_pictures(
    pictures: Pictures, *, image_shape: tuple[int, ...], crop: bool = True, pixel_max: int | None = None
) -> Tensor:
    """Pictures as a net of `image_shape` takes them before normalisation.

    Args:
        pictures: uint8 array (N, H, W), (N, H, W, 1) or (N, H, W, 3), or picture files.
        image_shape: (channels, height, width) in pixels; other sizes are scaled as `data=image_folder` scales them.
        crop: Whether a picture's shape is kept and its centre cropped, or it is stretched.
        pixel_max: White in 16-bit picture files, as in training; None takes all 16 bits.

    Returns:
        (N, channels, height, width), uint8.

    Raises:
        DataError: The array has another type or shape, or a file is not a picture; it is named.
    """
    if isinstance(pictures, str | Path):
        pictures = [pictures]
    channels, height, width = image_shape
    options = {"size": (height, width), "channels": channels, "crop": crop}
    if isinstance(pictures, np.ndarray):
        known = pictures.ndim in (3, 4) and pictures.shape[3:] in ((), (1,), (3,)) and min(pictures.shape[1:]) > 0
        if pictures.dtype != np.uint8 or not known:
            raise DataError(
                f"pictures are {pictures.dtype} {pictures.shape}; expected uint8 of shape (N, H, W), (N, H, W, 1) or "
                "(N, H, W, 3)"
            )
        images = [Image.fromarray(p.squeeze(-1) if p.shape[2:] == (1,) else p) for p in pictures]
        arrays = [prepared(image, **options) for image in images]  # type: ignore[arg-type]
    else:
        if not (isinstance(pictures, Sequence) and all(isinstance(path, str | Path) for path in pictures)):
            raise DataError(
                f"pictures are a {type(pictures).__name__}; expected a uint8 array of shape (N, H, W), (N, H, W, 1) or "
                "(N, H, W, 3), or a list of picture files"
            )
        arrays = []
        with quiet_pillow():
            for path in pictures:
                try:
                    white = pixel_max or SIXTEEN_BIT_MAX
                    arrays.append(decoded(Path(path), pixel_max=white, **options))  # type: ignore[arg-type]
                except (PictureError, OSError) as error:
                    raise DataError(f"{path}: {getattr(error, 'strerror', None) or error}") from error
    stacked = np.stack(arrays) if arrays else np.empty((0, *image_shape), np.uint8)
    return torch.from_numpy(np.ascontiguousarray(stacked))
