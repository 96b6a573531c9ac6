"""The order of a training epoch, as a function of (seed, epoch), entered at any batch."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import NamedTuple

import torch
from torch.utils.data import Sampler

from vision_baselines.seeding import generator


class Position(NamedTuple):
    """Where training stands: the epoch, and how many of its batches are done."""

    epoch: int
    batches_done: int


class EpochOrder(Sampler[int]):
    """A permutation of the training set for each epoch, the same whenever that epoch is run.

    It asks for its position each time it is iterated, so a run that resumes in mid-epoch goes on with the next
    batch: no sample is seen twice and none is missed. Under several processes each takes every `world_size`-th
    sample, padded from the front so that all have the same number of batches.

    Args:
        num_samples: Size of the training set.
        batch_size: Samples a batch, per process.
        seed: The run's seed.
        position: Called at the start of each iteration.
        rank: This process's number among `world_size`.
        world_size: Number of processes that share the epoch.
    """

    def __init__(
        self,
        num_samples: int,
        *,
        batch_size: int,
        seed: int,
        position: Callable[[], Position],
        rank: int = 0,
        world_size: int = 1,
    ) -> None:
        self.num_samples = num_samples
        self.batch_size = batch_size
        self.seed = seed
        self.position = position
        self.rank = rank
        self.world_size = world_size

    def __len__(self) -> int:
        return -(-self.num_samples // self.world_size)

    def __iter__(self) -> Iterator[int]:
        position = self.position()
        order = torch.randperm(self.num_samples, generator=generator(self.seed, "order", position.epoch))
        if missing := len(self) * self.world_size - self.num_samples:
            order = order.repeat(self.world_size)[: self.num_samples + missing]
        own = order[self.rank :: self.world_size]
        return iter(own[position.batches_done * self.batch_size :].tolist())
