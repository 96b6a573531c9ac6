"""Changes to training images by draws that belong to the image: crop and flip, rotation, erasing, or a chain of them.

What an image becomes in an epoch depends on the seed, the epoch and the image, not on its batch (`sample_draws`).
`perturbations` holds the older class `Augment`, whose draws belong to the place in the batch.
"""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence

import torch
from torch import Tensor

from vision_baselines.data.perturbations import require_places, rotated, shifted
from vision_baselines.data.sample_draws import SampleDraws
from vision_baselines.errors import ConfigError

_TRIES = 10


class SampleAugment(ABC):
    """Random changes to training images, each by draws of its own."""

    flip: float = 0.0

    @abstractmethod
    def __call__(self, images: Tensor, draws: SampleDraws) -> Tensor:
        """Change each image.

        Args:
            images: (B, C, H, W), pixels 0 … 255, uint8 or float.
            draws: Of these images, on their device.

        Returns:
            (B, C, H, W), uint8 or float.
        """

    def check_places(self, image_shape: Sequence[int], *, permuted: bool) -> None:
        """Refuse images in which a pixel's place means nothing, or that this cannot change.

        Args:
            image_shape: (channels, height, width) in pixels.
            permuted: Whether the pixels are in a random order.

        Raises:
            ConfigError: What is to be changed.
        """
        require_places(permuted=permuted)


class CropFlip(SampleAugment):
    """Moved by whole pixels, and mirrored left and right: a random crop of the padded image.

    Args:
        crop_px: Most pixels an image is moved by along each axis, either way.
        flip: Probability of mirroring, in [0, 1].
        alternate: Mirror each image in every second epoch instead; which of the two is first is drawn for it once.
            Source: Jordan 2024, arXiv:2404.00498, section 3.6.
        fill: What comes in: ``black``, or ``reflect``, the image's own border, mirrored.

    Raises:
        ConfigError: An argument is out of range.
    """

    def __init__(self, *, crop_px: int = 4, flip: float = 0.5, alternate: bool = False, fill: str = "black") -> None:
        if crop_px < 0:
            raise ConfigError(f"augment.crop_px is {crop_px}; expected a whole number of at least 0")
        if not 0 <= flip <= 1:
            raise ConfigError(f"augment.flip is {flip}; expected a probability from 0 to 1")
        if fill not in ("black", "reflect"):
            raise ConfigError(f"augment.fill is {fill!r}; expected black or reflect")
        if alternate and flip != 0.5:
            raise ConfigError(
                f"augment.flip is {flip} beside augment.alternate=true, which is half of all; expected 0.5"
            )
        self.crop_px, self.flip, self.alternate, self.fill = crop_px, flip, alternate, fill

    def check_places(self, image_shape: Sequence[int], *, permuted: bool) -> None:
        """Also refuse a crop that would leave the image."""
        super().check_places(image_shape, permuted=permuted)
        side = min(image_shape[1:], default=0)
        if self.crop_px >= side > 0:
            raise ConfigError(
                f"augment.crop_px is {self.crop_px}; expected less than the {side} pixel{'s' * (side > 1)} "
                "of an image's shorter side, or augment=none"
            )

    def __call__(self, images: Tensor, draws: SampleDraws) -> Tensor:
        """See `SampleAugment`; the type of the images stays."""
        if self.flip:
            if self.alternate:
                mirrored = ((draws.lasting("flip") < 0.5).long() + draws.epoch) % 2 == 1
            else:
                mirrored = draws.uniform("flip")[:, 0] < self.flip
            images = torch.where(mirrored.view(-1, 1, 1, 1), images.flip(-1), images)
        if self.crop_px:
            down, right = (draws.integers(f"crop {axis}", 2 * self.crop_px + 1) - self.crop_px for axis in ("y", "x"))
            move = shifted if self.fill == "black" else _shifted_with_border
            images = move(images, down=down, right=right)
        return images


class Rotate(SampleAugment):
    """Turned about the centre by up to so many degrees either way; what comes in is black.

    Args:
        degrees: At most, from 0 to 180.

    Raises:
        ConfigError: It is out of range.
    """

    def __init__(self, *, degrees: float = 15.0) -> None:
        if not 0 <= degrees <= 180:
            raise ConfigError(f"augment.degrees is {degrees}; expected degrees from 0 to 180")
        self.degrees = degrees

    def __call__(self, images: Tensor, draws: SampleDraws) -> Tensor:
        """See `SampleAugment`; float32, for pixels are interpolated."""
        return rotated(images, (2 * draws.uniform("rotate")[:, 0] - 1) * self.degrees)


class Erasing(SampleAugment):
    """A rectangle of the image is painted over.

    Source: Zhong et al. 2020, arXiv:1708.04896; drawn as torchvision's `RandomErasing` draws it.

    Args:
        share: Probability that an image has one, in [0, 1].
        area: Least and largest share of the image's area.
        ratio: Least and largest ratio of height to width.
        value: Of the painted pixels, 0 (black) to 255.

    Raises:
        ConfigError: An argument is out of range.
    """

    def __init__(
        self,
        *,
        share: float = 0.5,
        area: Sequence[float] = (0.02, 0.33),
        ratio: Sequence[float] = (0.3, 3.3),
        value: int = 0,
    ) -> None:
        if not 0 <= share <= 1:
            raise ConfigError(f"augment.share is {share}; expected a probability from 0 to 1")
        if len(area) != 2 or not 0 < area[0] <= area[1] <= 1:
            raise ConfigError(
                f"augment.area is {list(area)}; expected two shares above 0 and up to 1, the smaller first"
            )
        if len(ratio) != 2 or not 0 < ratio[0] <= ratio[1]:
            raise ConfigError(f"augment.ratio is {list(ratio)}; expected two numbers above 0, the smaller first")
        if not 0 <= value <= 255:
            raise ConfigError(f"augment.value is {value}; expected a pixel from 0 to 255")
        self.share, self.area, self.ratio, self.value = share, tuple(area), tuple(ratio), value

    def __call__(self, images: Tensor, draws: SampleDraws) -> Tensor:
        """See `SampleAugment`; the type of the images stays."""
        height, width = images.shape[-2:]
        area = _between(draws.uniform("erase area", _TRIES), *self.area) * (height * width)
        ratio = _between(draws.uniform("erase ratio", _TRIES), *map(math.log, self.ratio)).exp()
        rows, columns = (area * ratio).sqrt().round(), (area / ratio).sqrt().round()
        fits = (rows < height) & (columns < width)
        first = fits.to(torch.uint8).argmax(dim=1, keepdim=True)  # as torchvision tries until one fits
        rows, columns = rows.gather(1, first)[:, 0], columns.gather(1, first)[:, 0]
        top = (draws.uniform("erase top")[:, 0] * (height - rows + 1)).floor()
        left = (draws.uniform("erase left")[:, 0] * (width - columns + 1)).floor()
        is_erased = fits.any(dim=1) & (draws.uniform("erase")[:, 0] < self.share)
        box = inside(top, left, top + rows, left + columns, height=height, width=width)
        return torch.where(box & is_erased.view(-1, 1, 1, 1), torch.full_like(images, self.value), images)


class Chain(SampleAugment):
    """Some changes, one after the other.

    Args:
        parts: By any name, in their order.

    Raises:
        ConfigError: A part draws otherwise than by image.
    """

    def __init__(self, parts: Mapping[str, SampleAugment]) -> None:
        self.parts = {name: part for name, part in parts.items() if part}
        for name, part in self.parts.items():
            if not isinstance(part, SampleAugment):
                raise ConfigError(
                    f"augment.parts.{name} is a {type(part).__name__}; expected one of data.augmentations"
                )
        self.flip = max((part.flip for part in self.parts.values()), default=0.0)

    def check_places(self, image_shape: Sequence[int], *, permuted: bool) -> None:
        """Ask each part."""
        for part in self.parts.values():
            part.check_places(image_shape, permuted=permuted)

    def __call__(self, images: Tensor, draws: SampleDraws) -> Tensor:
        """See `SampleAugment`."""
        for part in self.parts.values():
            images = part(images, draws)
        return images


def inside(top: Tensor, left: Tensor, bottom: Tensor, right: Tensor, *, height: int, width: int) -> Tensor:
    """Which pixels lie in each image's box (its end is outside), (B, 1, height, width) bool; sides are (B,)."""
    rows = torch.arange(height, device=top.device).view(1, -1)
    columns = torch.arange(width, device=top.device).view(1, -1)
    in_rows = (rows >= top.view(-1, 1)) & (rows < bottom.view(-1, 1))
    in_columns = (columns >= left.view(-1, 1)) & (columns < right.view(-1, 1))
    return (in_rows.unsqueeze(2) & in_columns.unsqueeze(1)).unsqueeze(1)


def _between(draws: Tensor, least: float, most: float) -> Tensor:
    return least + (most - least) * draws


def _shifted_with_border(images: Tensor, *, down: Tensor, right: Tensor) -> Tensor:
    """As `shifted`, but what comes in is the image, mirrored at its border, which is not repeated."""
    count, channels, height, width = images.shape
    rows = _mirrored(torch.arange(height, device=images.device) - down.view(-1, 1), height)
    columns = _mirrored(torch.arange(width, device=images.device) - right.view(-1, 1), width)
    taken = images.gather(2, rows.view(count, 1, height, 1).expand(count, channels, height, width))
    return taken.gather(3, columns.view(count, 1, 1, width).expand(count, channels, height, width))


def _mirrored(places: Tensor, side: int) -> Tensor:
    """Places beyond a side, less than one side away, brought back into it."""
    places = places.abs()
    return torch.where(places < side, places, 2 * (side - 1) - places)
