"""`Binary`: one of two classes for each image, learned on a single logit with binary cross-entropy."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.functional import binary_cross_entropy_with_logits

from vision_baselines.errors import ConfigError
from vision_baselines.tasks.classification import Classification


class Binary(Classification):
    """Binary cross-entropy on a net of one output z (N, 1) and labels (N,) of 0 and 1.

    Everything else sees the two logits (0, z): their softmax is (1 - σ(z), σ(z)) and the larger one is the class, so
    metrics, confusion and predictions are those of `Classification`. The gradient differs from that of a net with two
    outputs, which has a row of weights more.

    Args:
        num_classes: 2.
        options: As for `Classification`; no smoothing of labels and no weights of classes.

    Raises:
        ConfigError: The data has another number of classes, or an option is not for two classes.
    """

    def __init__(self, num_classes: int, **options: Any) -> None:
        if num_classes != 2:
            raise ConfigError(f"task=binary learns two classes; the data has data.num_classes={num_classes}")
        super().__init__(num_classes, **options)
        if self.label_smoothing or self.weight is not None or self._balanced:
            raise ConfigError("task=binary has no task.label_smoothing and no task.class_weights")

    def outputs(self, net: nn.Module, images: Tensor) -> Tensor:
        """Two logits (N, 2), of which the first is 0, for normalised images (N, C, H, W).

        Raises:
            ConfigError: The net puts out something else than one number an image.
        """
        found = net(images)
        if not isinstance(found, Tensor) or found.numel() != images.shape[0]:
            shape = tuple(found.shape) if isinstance(found, Tensor) else type(found).__name__
            raise ConfigError(f"task=binary needs one output an image; the net's are {shape}: set model.num_classes=1")
        logit = found.reshape(-1, 1)
        return torch.cat([torch.zeros_like(logit), logit], dim=1)

    def loss(self, outputs: Tensor, target: Tensor) -> Tensor:
        """Mean binary cross-entropy of the logits (N, 2), of which the first is 0, and labels (N,) or shares (N, 2)."""
        target = target[:, 1] if target.dim() == 2 else target
        return binary_cross_entropy_with_logits(outputs[:, 1], target.to(outputs.dtype))

    def eval_loss(self, outputs: Tensor, target: Tensor) -> Tensor:
        """The same as `loss`."""
        return self.loss(outputs, target)
