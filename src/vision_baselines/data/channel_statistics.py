"""Mean and standard deviation of each channel, and whether those a config states are those of the images.

Wrong ones break nothing and make every figure a little worse, so nobody notices: they are said, with the right ones.
Not refused: a net that was trained elsewhere wants the figures it was trained with.
"""

from __future__ import annotations

import logging
from collections.abc import Sequence

import torch
from torch import Tensor

# Five of 256 levels. Published figures, and those of a part of the training set, are much nearer.
TOLERANCE = 0.02
_MOST_VALUES = 2**26  # counted in about 50 ms on one core; a larger data set is sampled evenly

logger = logging.getLogger(__name__)


def channel_statistics(images: Tensor) -> tuple[list[float], list[float]]:
    """Mean and standard deviation (over all pixels, not corrected) of each channel, of pixels scaled to [0, 1].

    Args:
        images: (N, C, H, W), uint8. Of very many every n-th image counts.

    >>> channel_statistics(torch.tensor([0, 255], dtype=torch.uint8).view(1, 1, 1, 2))
    ([0.5], [0.5])
    """
    sampled = images[:: -(-images.numel() // _MOST_VALUES)]
    levels = torch.arange(256, dtype=torch.float64) / 255
    means, deviations = [], []
    for channel in range(images.shape[1]):
        counts = torch.bincount(sampled[:, channel].flatten(), minlength=256).double()
        mean = (counts @ levels) / counts.sum()
        means.append(mean.item())
        deviations.append(((counts @ (levels - mean).square()) / counts.sum()).sqrt().item())
    return means, deviations


def warn_if_far_off(images: Tensor, *, mean: Sequence[float], std: Sequence[float]) -> None:
    """Log the measured figures where one that is stated differs by more than `TOLERANCE`.

    Args:
        images: (N, C, H, W), uint8: the training images.
        mean: Stated, per channel, of pixels scaled to [0, 1].
        std: Stated, per channel, of pixels scaled to [0, 1].
    """
    measured = channel_statistics(images)
    pairs = zip([*mean, *std], [*measured[0], *measured[1]], strict=True)
    if max(abs(stated - found) for stated, found in pairs) > TOLERANCE:
        logger.warning(
            "data.mean and data.std are %s and %s; the training images have data.mean=%s data.std=%s: "
            "data.mean=auto data.std=auto takes these",
            *map(_short, (mean, std, *measured)),
        )


def _short(numbers: Sequence[float]) -> str:
    return f"[{','.join(f'{number:.4g}' for number in numbers)}]"
