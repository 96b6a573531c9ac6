"""Pictures from outside, brought to the form that a net was trained on, up to normalisation.

The steps are those of training and in its order: a picture becomes an image as the source's images are (`decoded`, as
for `data=image_folder`), then `data.resize`, `data.place` and `data.permute_pixels` act on it. Where training placed
test images into both halves of a canvas, a picture stands in the left one.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import torch
from PIL import Image

from vision_baselines.data.datamodule import ImageDataModule
from vision_baselines.data.geometry import on_canvas, scaled
from vision_baselines.data.image_folder import ImageFolder
from vision_baselines.data.picture_decoding import (
    MAX_PIXELS,
    SIXTEEN_BIT_MAX,
    PixelArray,
    decoded,
    prepared,
)
from vision_baselines.data.split_changes import pixel_permutation
from vision_baselines.errors import ConfigError, DataError

Pictures = np.ndarray[Any, Any] | Sequence[str | Path] | str | Path

# Height and width of the images of sources whose config does not say it, for records that do not say it either.
_SIZES = {"Digits": (16, 16), "Cifar10": (32, 32), "Cifar100": (32, 32)}
_SIZES |= dict.fromkeys(("Mnist", "FashionMnist", "Kmnist"), (28, 28))


class Preparation(NamedTuple):
    """What becomes of a picture.

    Attributes:
        channels: 3 for RGB, 1 for grey.
        size: Height and width of an image of the source, in pixels; None leaves a picture its own, as `resize` is the
            only step that then changes it.
        crop: Whether a picture's shape is kept and its centre cropped, or it is stretched.
        max_pixels: A picture that states more is refused.
        pixel_max: White in 16-bit pictures.
        resize: Side that images of the source were scaled to; None leaves them.
        half: ``left`` or ``right`` of a canvas twice as wide; None for no canvas.
        permuted: Whether the pixels stand in the fixed random order.
    """

    channels: int
    size: tuple[int, int] | None
    crop: bool = True
    max_pixels: int = MAX_PIXELS
    pixel_max: int = SIXTEEN_BIT_MAX
    resize: int | None = None
    half: str | None = None
    permuted: bool = False

    def of_file(self, path: Path) -> PixelArray:
        """A picture file as (channels, height, width), uint8.

        Raises:
            PictureError: It is damaged, no picture, too large, or of unknown range.
            OSError: It cannot be read.
        """
        return self._changed(
            decoded(
                path,
                size=self.size,
                channels=self.channels,
                crop=self.crop,
                max_pixels=self.max_pixels,
                pixel_max=self.pixel_max,
            )
        )

    def of_array(self, picture: PixelArray) -> PixelArray:
        """Pixels (H, W), (H, W, 1) or (H, W, 3), uint8, as (channels, height, width), uint8."""
        image = Image.fromarray(picture.squeeze(-1) if picture.shape[2:] == (1,) else picture)
        return self._changed(prepared(image, size=self.size, channels=self.channels, crop=self.crop))

    def in_words(self) -> str:
        """What is done to a picture of another size, as in ``scaled to cover 16×16 pixels, the centre cropped``."""
        height, width = self.size or (self.resize, self.resize)
        how = f"scaled to cover {width}×{height} pixels, the centre cropped"
        if self.size is None or not self.crop:
            how = f"stretched to {width}×{height} pixels"
        return f"{how}, {'in colour' if self.channels == 3 else 'in grey'}"

    def _changed(self, pixels: PixelArray) -> PixelArray:
        if self.resize is None and self.half is None and not self.permuted:
            return pixels
        images = torch.from_numpy(np.array(pixels))[None]
        if self.resize is not None:
            images = scaled(images, self.resize)
        if self.half is not None:
            images = on_canvas(images, torch.tensor([self.half == "right"]))
        if self.permuted:
            order = pixel_permutation(*images.shape[-2:])
            images = images.flatten(2).index_select(2, order).view(images.shape)
        return images[0].numpy()


def preparation_of(
    datamodule: ImageDataModule, pixel_max: int | None = None, source_shape: Sequence[int] | None = None
) -> Preparation:
    """What a data module's config does to a picture.

    Args:
        datamodule: Its data need not be read.
        pixel_max: White in 16-bit pictures, where training found one.
        source_shape: (C, H, W) of an image as the source gave it to training, where that is known.

    Raises:
        ConfigError: Its images have neither one channel nor three, so that no picture can be one.
    """
    channels, height, width = datamodule.image_shape
    if channels not in (1, 3):
        raise ConfigError(f"its net takes {channels} channels (data.image_shape); a picture has 1 or 3")
    source, resize, place = datamodule.source, datamodule.resize, datamodule.place
    size: tuple[int, int] | None = (height, width // 2 if place else width)
    if resize is not None:
        size = (source_shape[1], source_shape[2]) if source_shape else _SIZES.get(type(source).__name__)
    folder = source if isinstance(source, ImageFolder) else None
    if folder is not None and isinstance(folder.image_size, int):
        size = (folder.image_size, folder.image_size)
    half = None if place is None else "right" if place["test"] == "right" else "left"
    return Preparation(
        channels,
        size,
        crop=folder.crop if folder is not None else True,
        max_pixels=folder.max_pixels if folder is not None else MAX_PIXELS,
        pixel_max=pixel_max or SIXTEEN_BIT_MAX,
        resize=resize,
        half=half,
        permuted=datamodule.permute_pixels,
    )


def check_array(pictures: np.ndarray[Any, Any]) -> None:
    """Refuse an array that does not hold pictures.

    Raises:
        DataError: Its type or shape is another.
    """
    known = pictures.ndim in (3, 4) and pictures.shape[3:] in ((), (1,), (3,)) and min(pictures.shape[1:]) > 0
    if pictures.dtype != np.uint8 or not known:
        raise DataError(
            f"pictures are {pictures.dtype} {pictures.shape}; expected uint8 of shape (N, H, W), (N, H, W, 1) or "
            "(N, H, W, 3)"
        )


def files_of(pictures: Any) -> Sequence[str | Path]:
    """Files that were given one by one or as a list.

    Raises:
        DataError: It is something else.
    """
    if isinstance(pictures, str | Path):
        return [pictures]
    if not (isinstance(pictures, Sequence) and all(isinstance(path, str | Path) for path in pictures)):
        raise DataError(
            f"pictures are a {type(pictures).__name__}; expected a uint8 array of shape (N, H, W), (N, H, W, 1) or "
            "(N, H, W, 3), or a list of picture files"
        )
    return pictures
