"""The order of a training epoch, as a function of (seed, epoch), entered at any batch."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import NamedTuple

import torch
from torch import Tensor
from torch.utils.data import BatchSampler, Sampler

from vision_baselines.seeding import generator


class Position(NamedTuple):
    """Where training stands: the epoch, and how many of its batches are done."""

    epoch: int
    batches_done: int


class EpochOrder(Sampler[int]):
    """A permutation of the training set for each epoch, the same whenever that epoch is run.

    It asks for its position each time it is iterated, so a run that resumes in mid-epoch continues with the next
    batch: no sample is seen twice and none is missed. The order is that of the whole training set however many
    processes train: each of them takes its part of every batch (`data.shares`).

    Args:
        num_samples: Size of the training set.
        batch_size: Samples a batch, of all processes together.
        seed: The run's seed.
        position: Called at the start of each iteration.
    """

    def __init__(
        self,
        num_samples: int,
        *,
        batch_size: int,
        seed: int,
        position: Callable[[], Position],
    ) -> None:
        self.num_samples = num_samples
        self.batch_size = batch_size
        self.seed = seed
        self.position = position
        self._permuted: tuple[int, Tensor] | None = None  # an epoch and its order

    def __len__(self) -> int:
        return self.num_samples

    def __iter__(self) -> Iterator[int]:
        return iter(self.indices().tolist())

    def indices(self) -> Tensor:
        """What is left of the current epoch, (M,) int64, in order."""
        return self.samples(self.position())

    def samples(self, at: Position, count: int | None = None) -> Tensor:
        """The next `count` samples from `at` on, or what is left of the epoch, (M,) int64, in order."""
        if self._permuted is None or self._permuted[0] != at.epoch:
            order = torch.randperm(self.num_samples, generator=generator(self.seed, "order", at.epoch))
            self._permuted = (at.epoch, order)
        left = self._permuted[1][at.batches_done * self.batch_size :]
        return left if count is None else left[:count]


class EpochBatches(BatchSampler):
    """Batches of an `EpochOrder` as index tensors, cut from one permutation without a list of numbers in between.

    Not for loading processes: a tensor on its way to another process costs more than a list.

    Args:
        sampler: The order; any other sampler is batched as torch does.
        batch_size: Samples a batch.
        drop_last: Whether a last batch that is not full is left out.
        device: Where the data lies, and with it the indices.
    """

    def __init__(
        self,
        sampler: Sampler[int],
        batch_size: int,
        drop_last: bool = False,
        device: torch.device | str = "cpu",
    ) -> None:
        super().__init__(sampler, batch_size, drop_last)
        self.device = device

    def __iter__(self) -> Iterator[list[int]]:
        if not isinstance(self.sampler, EpochOrder):
            yield from super().__iter__()
            return
        # A generator, so that the position is read when the first batch is asked for, after a restored run knows it.
        indices = self.sampler.indices().to(self.device)
        if self.drop_last:
            indices = indices[: len(indices) // self.batch_size * self.batch_size]
        # `DataLoader` hands a batch's indices to the data set as they are
        yield from torch.split(indices, self.batch_size)  # type: ignore[misc]
