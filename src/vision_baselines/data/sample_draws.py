"""Random numbers for each image of a batch, by a hash of (seed, epoch, image): the same in whatever batch it stands.

A generator gives a batch its numbers one after the other, so that an image's depend on its place; these do not.
"""

from __future__ import annotations

import torch
from torch import Tensor

from vision_baselines.seeding import draw_seed

# The constants of SplitMix64 (Steele et al. 2014, doi:10.1145/2714064.2660195), as signed 64-bit numbers.
_GAMMA, _FIRST, _SECOND = (
    value - 2**64 if value >= 2**63 else value for value in (0x9E3779B97F4A7C15, 0xBF58476D1CE4E5B9, 0x94D049BB133111EB)
)


class SampleDraws:
    """Draws of the images of one batch.

    Args:
        samples: (B,) int64, which image of its split each one is.
        seed: The run's seed.
        epoch: The epoch.
    """

    def __init__(self, samples: Tensor, *, seed: int, epoch: int) -> None:
        self.samples, self.seed, self.epoch = samples, seed, epoch

    def uniform(self, purpose: str, count: int = 1) -> Tensor:
        """Numbers of at least 0 and below 1, (B, count) float32, new in each epoch.

        >>> draws = SampleDraws(torch.tensor([7, 3]), seed=0, epoch=2)
        >>> alone = SampleDraws(torch.tensor([3]), seed=0, epoch=2)
        >>> bool((draws.uniform("shift", 4)[1] == alone.uniform("shift", 4)[0]).all())
        True
        """
        return self._hashed(draw_seed(self.seed, purpose, self.epoch), count)

    def lasting(self, purpose: str) -> Tensor:
        """Numbers of at least 0 and below 1, (B,) float32, which an image keeps in all epochs."""
        return self._hashed(draw_seed(self.seed, purpose), 1)[:, 0]

    def integers(self, purpose: str, below: int) -> Tensor:
        """Whole numbers from 0 to `below` - 1, (B,) int64; `below` is at most 2**20."""
        return (self.uniform(purpose)[:, 0].double() * below).long()

    def _hashed(self, key: int, count: int) -> Tensor:
        places = torch.arange(count, device=self.samples.device, dtype=torch.int64)
        value = key + (self.samples.view(-1, 1) * (2**20) + places + 1) * _GAMMA  # int64 overflows as it should
        value = (value ^ _right(value, 30)) * _FIRST
        value = (value ^ _right(value, 27)) * _SECOND
        value = value ^ _right(value, 31)
        return _right(value, 40).to(torch.float32) / 2**24


def _right(value: Tensor, bits: int) -> Tensor:
    """Bits moved right as those of an unsigned number."""
    return (value >> bits) & ((1 << (64 - bits)) - 1)
