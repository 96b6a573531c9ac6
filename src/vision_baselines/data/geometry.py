"""How large the pictures are and where they stand: scaled to another size, or put on a wider black canvas.

Both are changes of a whole data set, made once when it is read, as those of `split_changes`; shifts that are drawn anew
for each batch are left to `perturbations`. None depends on the run's seed.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Final

import torch
from torch import Tensor
from torch.nn.functional import interpolate

from vision_baselines.data.memory import require_room
from vision_baselines.data.splits import Split, Splits, frozen_draws
from vision_baselines.errors import ConfigError

# No meaning but that it is fixed.
PLACE_SEED: Final = 20_240_303
_PLACES: Final = ("left", "right", "both")
_AT_A_TIME: Final = 1024  # images as floats


def check_geometry(resize: int | None, place: Mapping[str, str] | None) -> None:
    """Refuse what is neither a side in pixels nor a place for train and for test.

    Raises:
        ConfigError: The key, what it is and what was expected.
    """
    if resize is not None and (not isinstance(resize, int) or isinstance(resize, bool) or resize < 1):
        raise ConfigError(f"data.resize is {resize!r}; expected a whole number of pixels of at least 1, or null")
    if place is None:
        return
    found = dict(place) if isinstance(place, Mapping) else place
    if not isinstance(found, dict) or set(found) != {"train", "test"} or not set(found.values()) <= set(_PLACES):
        raise ConfigError(
            f"data.place is {found!r}; expected {{train: left, test: right}}, each of them left, right or both, or null"
        )


def framed_shape(
    image_shape: Sequence[int], resize: int | None, place: Mapping[str, str] | None
) -> tuple[int, int, int]:
    """(channels, height, width) of an image after `resized` and `placed`.

    >>> framed_shape([1, 28, 28], 56, None), framed_shape([1, 16, 16], None, {"train": "left", "test": "right"})
    ((1, 56, 56), (1, 16, 32))
    """
    channels, height, width = image_shape
    if resize:
        height = width = resize
    return channels, height, 2 * width if place else width


def resized(splits: Splits, side: int) -> Splits:
    """Scale every image of every split to `side` × `side` pixels, bilinear, smoothed first where it shrinks.

    An image that is not square is stretched.
    """
    images = sum(len(split.images) for split in splits.by_name().values())
    needed = images * splits.train.images.shape[1] * side**2
    require_room(needed, f"{images:,} images of {side:,}×{side:,} px", "data.resize")

    train, val, test = (replace(split, images=scaled(split.images, side)) for split in splits.by_name().values())
    return replace(splits, train=train, val=val, test=test)


def scaled(images: Tensor, side: int) -> Tensor:
    """Images (N, C, H, W), uint8, as (N, C, side, side), uint8, as `resized` scales them."""
    shrinks = side < min(images.shape[-2:])
    options = {"size": (side, side), "mode": "bilinear", "align_corners": False, "antialias": shrinks}
    parts = [interpolate(part.float(), **options) for part in torch.split(images, _AT_A_TIME) if len(part)]  # type: ignore[arg-type]
    empty = images.new_zeros(0, images.shape[1], side, side)
    return torch.cat([empty, *(part.round().clamp(0, 255).to(torch.uint8) for part in parts)])


def placed(splits: Splits, place: Mapping[str, str]) -> Splits:
    """Put every image into the left or the right half of a black canvas that is twice as wide.

    Args:
        splits: The whole data set.
        place: Where the images of ``train``, and val with it, and those of ``test`` stand: ``left``, ``right``, or
            ``both``, half of the images each, drawn once and for all.
    """
    where = {"train": place["train"], "val": place["train"], "test": place["test"]}
    found = {name: replace(split, images=_on_canvas(split, where[name])) for name, split in splits.by_name().items()}
    words = ", ".join(f"{name} {side}" for name, side in where.items())
    report = replace(splits.report, notes=(*splits.report.notes, f"halves that images stand in: {words} (data.place)"))
    return replace(splits, train=found["train"], val=found["val"], test=found["test"], report=report)


def _on_canvas(split: Split, side: str) -> Tensor:
    count = len(split.images)
    is_right = torch.full((count,), side == "right")
    if side == "both":
        is_right = torch.from_numpy(frozen_draws(PLACE_SEED).permutation(count) % 2 == 1)
    return on_canvas(split.images, is_right)


def on_canvas(images: Tensor, is_right: Tensor) -> Tensor:
    """Images (N, C, H, W) on black canvases (N, C, H, 2 W), in the right half where `is_right`, (N,), says so."""
    count, channels, height, width = images.shape
    canvas = images.new_zeros(count, channels, height, 2 * width)
    canvas[~is_right, :, :, :width] = images[~is_right]
    canvas[is_right, :, :, width:] = images[is_right]
    return canvas
