"""Tensors to batches: one gather for a whole batch instead of one call per image."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor
from torch.utils.data import Dataset


class BatchedImages(Dataset[tuple[Tensor, Tensor]]):
    """Images and targets in memory, handed out a batch at a time.

    `DataLoader` asks ``__getitems__`` for all indices of a batch when it is there; with `as_is` for its
    ``collate_fn`` the gathered batch passes through untouched.

    Args:
        images: (N, C, H, W), any dtype; uint8 stays uint8 until the batch is on its device.
        target: (N,), int64.
    """

    def __init__(self, images: Tensor, target: Tensor) -> None:
        self.images = images
        self.target = target

    def __len__(self) -> int:
        return len(self.target)

    def __getitem__(self, index: int) -> tuple[Tensor, Tensor]:
        """One image (C, H, W) and its target, a scalar."""
        return self.images[index], self.target[index]

    def __getitems__(self, indices: Sequence[int] | Tensor) -> tuple[Tensor, Tensor]:
        """A batch: images (B, C, H, W) and targets (B,)."""
        index = torch.as_tensor(indices, device=self.images.device)
        return self.images.index_select(0, index), self.target.index_select(0, index)


def as_is(batch: tuple[Tensor, Tensor]) -> tuple[Tensor, Tensor]:
    """Collate nothing: the batch is gathered already."""
    return batch
