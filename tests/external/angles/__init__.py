"""A package of somebody else's: by what angle was a digit rotated? A data set and a task, and nothing patched."""

from __future__ import annotations

import torch
from torch.nn.functional import affine_grid, grid_sample, mse_loss

from vision_baselines.data.sources import Digits, Split, Splits
from vision_baselines.tasks.task import Task, TestReport, constant_caveat, residual_curve


class RotatedDigits:
    """Scikit-learn's digits, each rotated by an angle from -1 to 1 rad; the angle is the target.

    Args:
        train_size: Training images that are kept; None keeps all.
    """

    def __init__(self, train_size: int | None = None) -> None:
        self.train_size = train_size

    def prepare(self) -> None:
        """The digits come with scikit-learn."""

    def load(self) -> Splits:
        """Train, val and test, images (N, 1, 16, 16), targets (N,) float32."""
        digits, draws = Digits().load(), torch.Generator().manual_seed(0)
        train = digits.train.subset(torch.arange(len(digits.train.target))[: self.train_size])
        return Splits(*(_rotated(split, draws) for split in (train, digits.val, digits.test)), class_names=())


def _rotated(split: Split, draws: torch.Generator) -> Split:
    angle = torch.rand(len(split.target), generator=draws) * 2 - 1
    zero = torch.zeros_like(angle)
    rows = [torch.stack([angle.cos(), -angle.sin(), zero], 1), torch.stack([angle.sin(), angle.cos(), zero], 1)]
    images = split.images.float()
    turned = grid_sample(images, affine_grid(torch.stack(rows, 1), list(images.shape), False), align_corners=False)
    return Split(turned.round().to(torch.uint8), angle)


class Angle(Task):
    """Mean squared error of one number an image; the mean absolute error decides, and lower is better."""

    def outputs(self, net, images):
        """The net's only output (N, 1) as (N,), in rad."""
        return net(images).squeeze(1)

    def loss(self, outputs, target):
        """Mean squared error, rad²."""
        return mse_loss(outputs, target)

    def report(self, predictions, target, class_names):
        """A residual plot."""
        return TestReport(curves=residual_curve(predictions, target, unit="rad"), caveats=constant_caveat(predictions))
