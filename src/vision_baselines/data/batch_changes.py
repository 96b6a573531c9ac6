"""What training batches are cut from and changed by: augmentation, and mixing of images and targets."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor

from vision_baselines.data.augmentations import SampleAugment
from vision_baselines.data.mixing import Mix
from vision_baselines.data.perturbations import Augment
from vision_baselines.data.sample_draws import SampleDraws
from vision_baselines.data.sampler import Position
from vision_baselines.errors import ConfigError
from vision_baselines.seeding import generator

_ALIGNED_BYTES = 64  # as torch allocates on a CPU, and enough for an accelerator's kernels


def changed(
    batch: tuple[Tensor, Tensor],
    samples: Tensor,
    at: Position,
    augment: Augment | SampleAugment | None,
    mix: Mix | None,
    *,
    num_classes: int,
    seed: int,
) -> tuple[Tensor, Tensor]:
    """Images (B, C, H, W) and targets (B,) as the net learns them; mixed, targets are shares (B, num_classes).

    Draws are the same in each of several processes: they share the batch after it has been changed.

    Args:
        batch: On its device.
        samples: Which images of the training split these are, (B,) int64.
        at: Where training stands before this batch.
        augment: Changes images; None for nothing.
        mix: Mixes images and their targets; None for nothing.
        num_classes: Number of classes.
        seed: The run's.
    """
    images, target = batch
    draws = SampleDraws(samples, seed=seed, epoch=at.epoch)
    if isinstance(augment, SampleAugment):
        images = augment(images, draws)
    elif augment is not None:
        images = augment(images, generator(seed, "augment", at.epoch, at.batches_done, 0, device=images.device))
    return (images, target) if mix is None else mix(images, target, num_classes, draws)


def in_batches(whole: tuple[Tensor, Tensor], size: int) -> list[tuple[Tensor, Tensor]]:
    """Images and targets (k·B, …) cut into batches (B, …), each as aligned as memory of its own.

    Kernels choose their way by the alignment, and with it the last bits of what they compute.
    """
    images, target = (map(_aligned, torch.split(part, size)) for part in whole)
    return list(zip(images, target, strict=True))


def _aligned(part: Tensor) -> Tensor:
    return part.clone() if part.data_ptr() % _ALIGNED_BYTES else part


def are_by_image(augment: Augment | SampleAugment | None, mix: Mix | None) -> bool:
    """Whether each image is changed by itself, so that it does not matter which others are in its batch."""
    return mix is None and (augment is None or isinstance(augment, SampleAugment))


def check_augment(augment: Any, image_shape: Sequence[int]) -> None:
    """Refuse what does not turn images and a generator into images of the same shape, as other libraries' classes.

    Raises:
        ConfigError: It does not.
    """
    images = torch.zeros(2, *image_shape, dtype=torch.uint8)
    by_image = SampleDraws(torch.arange(2), seed=0, epoch=0)
    try:
        made = augment(images, by_image if isinstance(augment, SampleAugment) else generator(0, "augment"))
    except (TypeError, ValueError, RuntimeError, AttributeError) as error:
        raise ConfigError(f"augment cannot be used: {' '.join(str(error).split())}") from error
    if not isinstance(made, Tensor) or made.shape != images.shape:
        raise ConfigError(
            f"augment makes {type(made).__name__} of two images; expected images of the same shape from "
            "augment(images, generator)"
        )
