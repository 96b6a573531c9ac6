"""What every variant trains on: the same images, the same nets, the same number of steps."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

from vision_baselines.models.cnn import CNN
from vision_baselines.models.fc import FC
from vision_baselines.seeding import generator

IMAGE_SHAPE = (1, 28, 28)
NUM_CLASSES = 10
MEAN, STD = 0.1307, 0.3081


@dataclass(frozen=True)
class Workload:
    """One measurement's task.

    Args:
        model: ``cnn`` or ``fc``.
        batch_size: Images a step.
        steps: Steps that are timed.
        warmup: Steps before them that are not.
        images: uint8 (N, 1, 28, 28), N = (warmup + steps) · batch_size.
        target: int64 (N,).
        precision: Lightning's name of it: ``32-true`` or ``bf16-mixed``.
        device: Where to train.
        compiled: Options of `torch.compile` for the project's net, in ours and the limit; none leaves it as it is.
        clock: ``wall`` or ``cpu``.
    """

    model: str
    batch_size: int
    steps: int
    warmup: int
    images: Tensor
    target: Tensor
    precision: str = "32-true"
    device: str = "cpu"
    compiled: Mapping[str, Any] | None = None
    clock: str = "wall"

    @property
    def total_steps(self) -> int:
        """Steps with the warm-up."""
        return self.warmup + self.steps

    def net(self) -> nn.Module:
        """The project's net, with fresh weights."""
        return CNN(IMAGE_SHAPE, NUM_CLASSES) if self.model == "cnn" else FC(IMAGE_SHAPE, NUM_CLASSES)

    def autocast(self) -> torch.autocast:
        """The forward pass's context at this precision."""
        mixed = self.precision == "bf16-mixed"
        return torch.autocast(torch.device(self.device).type, dtype=torch.bfloat16, enabled=mixed)


def made_up(model: str, batch_size: int, *, steps: int, warmup: int, seed: int = 0, **more: Any) -> Workload:
    """A workload of MNIST's shape whose pixels are random: speed does not depend on them."""
    count = (steps + warmup) * batch_size
    draws = generator(seed, "benchmark")
    images = torch.randint(0, 256, (count, *IMAGE_SHAPE), generator=draws, dtype=torch.uint8)
    target = torch.randint(0, NUM_CLASSES, (count,), generator=draws)
    return Workload(model, batch_size, steps, warmup, images, target, **more)


def plain_net(model: str, image_shape: tuple[int, ...] = IMAGE_SHAPE) -> nn.Module:
    """The net as a tutorial writes it: torch's own dropout, ReLU before pooling, default memory layout."""
    channels, height, width = image_shape
    if model == "fc":
        return nn.Sequential(
            nn.Flatten(),
            nn.Linear(channels * height * width, 512),
            nn.ReLU(),
            nn.Dropout(0.5),
            nn.Linear(512, 256),
            nn.ReLU(),
            nn.Dropout(0.5),
            nn.Linear(256, NUM_CLASSES),
        )
    return nn.Sequential(
        nn.Conv2d(channels, 32, 3, padding=1),
        nn.BatchNorm2d(32),
        nn.ReLU(),
        nn.MaxPool2d(2),
        nn.Conv2d(32, 64, 3, padding=1),
        nn.BatchNorm2d(64),
        nn.ReLU(),
        nn.MaxPool2d(2),
        nn.Flatten(),
        nn.Linear(64 * (height // 4) * (width // 4), 128),
        nn.ReLU(),
        nn.Dropout(0.5),
        nn.Linear(128, NUM_CLASSES),
    )
