"""RandAugment and TrivialAugment, one draw an image: torchvision's operations and strengths, applied to whole groups.

torchvision's own classes draw one operation for a whole batch, from the global generator. Here each image draws, and
the images that drew the same operation at the same strength go through torchvision's function together.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence

import torch
from torch import Tensor
from torchvision.transforms.v2 import functional

from vision_baselines.data.augmentations import SampleAugment
from vision_baselines.data.sample_draws import SampleDraws
from vision_baselines.errors import ConfigError

BINS = 31  # strengths of an operation, 0 … 30, as in both papers

_TRANSLATE = 150 / 331  # of a side: RandAugment's 150 pixels are of images of 331


def _affine(images: Tensor, *, translate: Sequence[int] = (0, 0), shear: Sequence[float] = (0.0, 0.0)) -> Tensor:
    centre = [0.0, 0.0] if any(shear) else None
    moved: Tensor = functional.affine(
        images, angle=0.0, translate=list(translate), scale=1.0, shear=list(shear), center=centre
    )
    return moved


def _degrees(value: float) -> float:
    return math.degrees(math.atan(value))


# What each operation does at a value; which values it takes at a strength is said by `_value`.
OPERATIONS: dict[str, Callable[[Tensor, float], Tensor]] = {
    "identity": lambda images, value: images,
    "shear_x": lambda images, value: _affine(images, shear=(_degrees(value), 0.0)),
    "shear_y": lambda images, value: _affine(images, shear=(0.0, _degrees(value))),
    "translate_x": lambda images, value: _affine(images, translate=(int(value), 0)),
    "translate_y": lambda images, value: _affine(images, translate=(0, int(value))),
    "rotate": lambda images, value: functional.rotate(images, angle=value),
    "brightness": lambda images, value: functional.adjust_brightness(images, 1.0 + value),
    "color": lambda images, value: functional.adjust_saturation(images, 1.0 + value),
    "contrast": lambda images, value: functional.adjust_contrast(images, 1.0 + value),
    "sharpness": lambda images, value: functional.adjust_sharpness(images, 1.0 + value),
    "posterize": lambda images, value: functional.posterize(images, bits=int(value)),
    "solarize": lambda images, value: functional.solarize(images, threshold=255 * value),
    "autocontrast": lambda images, value: functional.autocontrast(images),
    "equalize": lambda images, value: functional.equalize(images),
}
_NAMES = tuple(OPERATIONS)
_SIGNED = frozenset(_NAMES[1:10])


class _Policy(SampleAugment):
    """What both have in common."""

    shear, rotate, colour, bits = 0.3, 30.0, 0.9, 4  # the largest strength of each kind

    def check_places(self, image_shape: Sequence[int], *, permuted: bool) -> None:
        """Also refuse images that are neither grey nor of three colours."""
        super().check_places(image_shape, permuted=permuted)
        if image_shape[0] not in (1, 3):
            raise ConfigError(
                f"augment changes colours of 1 or 3 channels; data.image_shape has {image_shape[0]}: "
                "expected augment=crop_flip, rotate or erasing"
            )

    def value(self, operation: str, strength: int, sides: tuple[int, int]) -> float:
        """The value of an operation at a strength from 0 to `BINS` - 1, without its sign; sides are height, width."""
        share = strength / (BINS - 1)
        height, width = sides
        if operation.startswith("shear"):
            return share * self.shear
        if operation.startswith("translate"):
            return share * self.translated_px(width if operation.endswith("x") else height)
        if operation == "rotate":
            return share * self.rotate
        if operation == "posterize":
            return float(round(8 - share * self.bits))
        if operation == "solarize":
            return 1 - share
        return share * self.colour

    def translated_px(self, side: int) -> float:
        """Most pixels that an image is moved along a side."""
        return _TRANSLATE * side

    def _applied(self, images: Tensor, chosen: Tensor, strengths: Tensor, minus: Tensor) -> Tensor:
        """Each image (B, C, H, W) uint8 after the operation it drew: its number, strength and sign, (B,) each."""
        made = images.clone()
        sides = (images.shape[-2], images.shape[-1])
        keys = (chosen * BINS + strengths) * 2 + minus.long()
        for key in sorted(set(keys.tolist())):
            operation = _NAMES[key // 2 // BINS]
            value = self.value(operation, key // 2 % BINS, sides)
            taken = (keys == key).nonzero()[:, 0]
            signed = -value if key % 2 and operation in _SIGNED else value
            made[taken] = OPERATIONS[operation](images[taken], signed)
        return made


class RandAugment(_Policy):
    """Some operations one after the other, each at the same strength.

    Source: Cubuk et al. 2020, arXiv:1909.13719; operations and strengths are torchvision's.

    Args:
        operations: How many, at least 1.
        strength: From 0 to 30.

    Raises:
        ConfigError: An argument is out of range.
    """

    def __init__(self, *, operations: int = 2, strength: int = 9) -> None:
        if operations < 1:
            raise ConfigError(f"augment.operations is {operations}; expected a whole number of at least 1")
        if not 0 <= strength < BINS:
            raise ConfigError(f"augment.strength is {strength}; expected a whole number from 0 to {BINS - 1}")
        self.operations, self.strength = operations, strength

    def __call__(self, images: Tensor, draws: SampleDraws) -> Tensor:
        """See `SampleAugment`; uint8."""
        images = _whole(images)
        for number in range(self.operations):
            chosen = draws.integers(f"operation {number}", len(_NAMES))
            minus = draws.uniform(f"sign {number}")[:, 0] < 0.5
            images = self._applied(images, chosen, torch.full_like(chosen, self.strength), minus)
        return images


class TrivialAugment(_Policy):
    """One operation, at a strength that is drawn too.

    Source: Müller & Hutter 2021, arXiv:2103.10158, the wide space; operations and strengths are torchvision's, but an
    image is moved by at most 150/331 of its side, where 32 pixels would be more.
    """

    shear, rotate, colour, bits = 0.99, 135.0, 0.99, 6

    def translated_px(self, side: int) -> float:
        """See `_Policy`."""
        return min(32.0, _TRANSLATE * side)

    def __call__(self, images: Tensor, draws: SampleDraws) -> Tensor:
        """See `SampleAugment`; uint8."""
        chosen, strengths = draws.integers("operation", len(_NAMES)), draws.integers("strength", BINS)
        return self._applied(_whole(images), chosen, strengths, draws.uniform("sign")[:, 0] < 0.5)


def _whole(images: Tensor) -> Tensor:
    return images if images.dtype == torch.uint8 else images.round().clamp(0, 255).to(torch.uint8)
