"""Mixup and CutMix: each training image takes a part of the one before it in the batch, and its target with it.

How much is drawn for each image by (seed, epoch, image). torchvision's classes draw one number for a whole batch, from
the global generator; their partner, the batch rolled by one, is the same here.
"""

from __future__ import annotations

import torch
from scipy.special import betaincinv
from torch import Tensor
from torch.nn.functional import one_hot

from vision_baselines.data.augmentations import inside
from vision_baselines.data.sample_draws import SampleDraws
from vision_baselines.errors import ConfigError


class Mix:
    """Images and targets of a batch, mixed.

    Sources: Zhang et al. 2018, arXiv:1710.09412 (mixup); Yun et al. 2019, arXiv:1905.04899 (CutMix).

    Args:
        mixup: Both parameters of the beta distribution of the share that an image keeps when its pixels are averaged
            with the other's; 0 never does.
        cutmix: The same for the area that it keeps when a box of it is replaced; 0 never does. Where both are above 0,
            each image draws which.
        share: Probability that an image is changed at all, in [0, 1].

    Raises:
        ConfigError: An argument is out of range, or nothing would be mixed.
    """

    def __init__(self, *, mixup: float = 0.0, cutmix: float = 0.0, share: float = 1.0) -> None:
        for key, value in {"mixup": mixup, "cutmix": cutmix}.items():
            if not 0 <= value <= 1000:
                raise ConfigError(f"mix.{key} is {value}; expected a number from 0 to 1000")
        if not mixup and not cutmix:
            raise ConfigError("mix.mixup and mix.cutmix are 0; expected one of them above 0, or mix=none")
        if not 0 <= share <= 1:
            raise ConfigError(f"mix.share is {share}; expected a probability from 0 to 1")
        self.mixup, self.cutmix, self.share = mixup, cutmix, share

    def __call__(self, images: Tensor, target: Tensor, num_classes: int, draws: SampleDraws) -> tuple[Tensor, Tensor]:
        """Mix a batch.

        Args:
            images: (B, C, H, W), pixels 0 … 255, uint8 or float.
            target: (B,) labels, int64.
            num_classes: Number of classes.
            draws: Of these images, on their device.

        Returns:
            Images (B, C, H, W), float32, and a probability of each class, (B, num_classes) float32.
        """
        others = images.roll(1, 0).to(torch.float32)
        images = images.to(torch.float32)
        cuts = draws.uniform("cut or average")[:, 0] < (0.5 if self.mixup else 1.0) if self.cutmix else None
        changed = draws.uniform("mix")[:, 0] < self.share
        kept = torch.ones(len(images), device=images.device)
        made = images
        if self.mixup:
            averages = changed if cuts is None else changed & ~cuts
            drawn = _beta(draws.uniform("average")[:, 0], self.mixup)
            kept = torch.where(averages, drawn, kept)
            weight = kept.view(-1, 1, 1, 1)
            made = torch.where(averages.view(-1, 1, 1, 1), weight * images + (1 - weight) * others, made)
        if cuts is not None:
            height, width = images.shape[-2:]
            half = 0.5 * (1 - _beta(draws.uniform("cut")[:, 0], self.cutmix)).sqrt()
            rows, columns = (half * height).floor(), (half * width).floor()
            y = (draws.uniform("cut y")[:, 0] * height).floor()
            x = (draws.uniform("cut x")[:, 0] * width).floor()
            box = inside(y - rows, x - columns, y + rows, x + columns, height=height, width=width)
            box = box & (changed & cuts).view(-1, 1, 1, 1)
            made = torch.where(box, others, made)
            kept = torch.where(changed & cuts, 1 - box.flatten(1).float().mean(dim=1), kept)
        own = one_hot(target, num_classes).to(torch.float32)
        weight = kept.view(-1, 1)
        return made, weight * own + (1 - weight) * own.roll(1, 0)


def _beta(uniform: Tensor, parameter: float) -> Tensor:
    """Numbers of the symmetric beta distribution, (B,) float32, from uniform ones, by its inverse distribution."""
    values = betaincinv(parameter, parameter, uniform.double().cpu().numpy())
    return torch.from_numpy(values).to(uniform.device, torch.float32)
