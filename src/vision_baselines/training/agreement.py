"""What the processes of one run tell each other between steps; where there is one process, it is asked nobody.

Every process must call each of these at the same points. Numbers and objects go over the CPU, also where the gradients
go over CUDA.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import pytorch_lightning as pl
import torch
from torch import Tensor
from torch import distributed as dist


def largest(trainer: pl.Trainer, value: float) -> float:
    """The largest of the processes' values."""
    if trainer.world_size == 1:
        return value
    number = torch.tensor(value, dtype=torch.float64)
    dist.all_reduce(number, op=dist.ReduceOp.MAX)
    return float(number)


def mean_of(trainer: pl.Trainer, value: float) -> float:
    """The mean of the processes' values; not finite if one of them is not."""
    if trainer.world_size == 1:
        return value
    number = torch.tensor(value, dtype=torch.float64)
    dist.all_reduce(number)
    return float(number) / trainer.world_size


def gathered(trainer: pl.Trainer, value: Any) -> list[Any]:
    """Every process's value, in the order of the processes."""
    if trainer.world_size == 1:
        return [value]
    values: list[Any] = [None] * trainer.world_size
    dist.all_gather_object(values, value)
    return values


def first_ones(trainer: pl.Trainer, tensors: Iterable[Tensor]) -> None:
    """Give tensors, in place, the values that they have in the first process."""
    if trainer.world_size > 1:
        for tensor in tensors:
            dist.broadcast(tensor, src=0)
