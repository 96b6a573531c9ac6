"""Changes to a batch of images, on its device, drawn anew for each image: shift, horizontal flip, rotation.

torchvision's transforms draw once for a whole batch, so the draws are made here, one per image. They come from a
generator that the caller seeds by where training stands, so a resumed run draws what the uninterrupted one drew.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import torch
from torch import Tensor
from torch.nn.functional import affine_grid, grid_sample, pad

from vision_baselines.errors import ConfigError


def require_places(*, permuted: bool) -> None:
    """Refuse to move the pixels of images in which a pixel's place means nothing.

    Raises:
        ConfigError: They are in a random order.
    """
    if permuted:
        raise ConfigError(
            "data.permute_pixels is true, and augment moves pixels by places that are no longer theirs; "
            "expected augment=none"
        )


class Augment:
    """Random changes to training images; what comes in from outside the picture is black.

    Args:
        shift_px: Most pixels an image is moved by along each axis, either way; whole pixels.
        flip: Probability of mirroring left and right, in [0, 1].
        rotation_deg: Most degrees an image is turned by, either way; pixels are interpolated.

    Raises:
        ConfigError: An argument is out of range.
    """

    def __init__(self, *, shift_px: int = 0, flip: float = 0.0, rotation_deg: float = 0.0) -> None:
        if shift_px < 0:
            raise ConfigError(f"augment.shift_px is {shift_px}; expected a whole number of at least 0")
        if not 0 <= flip <= 1:
            raise ConfigError(f"augment.flip is {flip}; expected a probability from 0 to 1")
        if not 0 <= rotation_deg <= 180:
            raise ConfigError(f"augment.rotation_deg is {rotation_deg}; expected degrees from 0 to 180")
        self.shift_px = shift_px
        self.flip = flip
        self.rotation_deg = rotation_deg

    def check_places(self, image_shape: Sequence[int], *, permuted: bool) -> None:
        """Refuse images in which a pixel's place means nothing, or that would be moved out of their own picture.

        Args:
            image_shape: (channels, height, width) in pixels.
            permuted: Whether the pixels are in a random order.

        Raises:
            ConfigError: What is to be changed.
        """
        side = min(image_shape[1:], default=0)
        if self.shift_px >= side > 0:
            raise ConfigError(
                f"augment.shift_px is {self.shift_px}; expected less than the {side} "
                f"pixel{'s' * (side > 1)} of an image's shorter side, or augment=none"
            )
        require_places(permuted=permuted)

    def __call__(self, images: Tensor, generator: torch.Generator) -> Tensor:
        """Change each image by a draw of its own.

        Args:
            images: (B, C, H, W), pixels 0 … 255, uint8 or float.
            generator: On the images' device.

        Returns:
            (B, C, H, W); float where `rotation_deg` is above 0, else of the same type.
        """
        count, device = len(images), images.device
        if self.flip:
            mirrored = torch.rand(count, generator=generator, device=device) < self.flip
            images = torch.where(mirrored.view(-1, 1, 1, 1), images.flip(-1), images)
        if self.shift_px:
            most = self.shift_px
            by = torch.randint(-most, most + 1, (2, count), generator=generator, device=device)
            images = shifted(images, down=by[0], right=by[1])
        if self.rotation_deg:
            draws = torch.rand(count, generator=generator, device=device)
            images = rotated(images, (2 * draws - 1) * self.rotation_deg)
        return images


def shifted(images: Tensor, *, down: Tensor, right: Tensor) -> Tensor:
    """Move each image by whole pixels; what comes in is 0.

    Args:
        images: (B, C, H, W).
        down: (B,) pixels each image moves down, int64; negative is up.
        right: (B,) pixels each image moves to the right, int64; negative is left.

    Returns:
        (B, C, H, W), of the same type.
    """
    count, channels, height, width = images.shape
    most = int(max(down.abs().max(), right.abs().max()))
    padded = pad(images, (most, most, most, most))
    rows = torch.arange(height, device=images.device) + most - down.view(-1, 1)
    columns = torch.arange(width, device=images.device) + most - right.view(-1, 1)
    sides = (count, channels, height, padded.shape[-1])
    taken = padded.gather(2, rows.view(count, 1, height, 1).expand(sides))
    return taken.gather(3, columns.view(count, 1, 1, width).expand(count, channels, height, width))


def rotated(images: Tensor, degrees: Tensor) -> Tensor:
    """Turn each image about its centre, counter-clockwise, by bilinear interpolation; what comes in is 0.

    Args:
        images: (B, C, H, W).
        degrees: (B,).

    Returns:
        (B, C, H, W) float32.
    """
    angles = degrees * (math.pi / 180)
    cos, sin, zero = angles.cos(), angles.sin(), torch.zeros_like(angles)
    stretch = images.shape[-2] / images.shape[-1]  # the grid's axes run from -1 to 1, whatever the sides
    turn = torch.stack([torch.stack([cos, -sin * stretch, zero], 1), torch.stack([sin / stretch, cos, zero], 1)], 1)
    grid = affine_grid(turn, list(images.shape), align_corners=False)
    return grid_sample(images.to(torch.float32), grid, mode="bilinear", padding_mode="zeros", align_corners=False)
