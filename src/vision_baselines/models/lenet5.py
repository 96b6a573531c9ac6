"""LeNet-5 as it is usually written today: two 5×5 convolutions, two poolings and linear layers of 120, 84 and logits.

After LeCun et al. 1998, "Gradient-based learning applied to document recognition", section II.B. The paper differs:
its poolings have a trained scale and bias, each map of its second convolution sees some of the six maps alone, its
activation is a scaled tanh, and its output is the distance to a drawn picture of each class.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal, get_args

from torch import Tensor, nn

from vision_baselines.models.arguments import checked_image_shape, one_of

Activation = Literal["relu", "tanh"]
Pool = Literal["max", "avg"]

_PAPERS_SIDE = 32


class LeNet5(nn.Module):
    """``Conv2d(6) → act → pool → Conv2d(16) → act → pool → Linear(120) → act → Linear(84) → act → Linear``.

    An image of less than 32 pixels a side is padded by 2 on each side, as MNIST's 28×28 become the paper's 32×32. With
    the defaults and images of 1×28×28 it has 61,706 parameters for 10 classes.

    Args:
        image_shape: (channels, height, width) of one image, in pixels.
        num_classes: Number of logits.
        activation: ``relu``, or ``tanh`` as in the paper, without its scale.
        pool: The largest or the mean of 2×2 pixels, ``max`` or ``avg``; the paper's is ``avg``.

    Raises:
        ValueError: An argument is out of range, or the image is smaller than 12×12.
    """

    def __init__(
        self,
        image_shape: Sequence[int],
        num_classes: int,
        *,
        activation: Activation = "relu",
        pool: Pool = "max",
    ) -> None:
        super().__init__()
        in_channels, *sides = checked_image_shape(image_shape)
        act = {"relu": nn.ReLU, "tanh": nn.Tanh}[one_of("activation", activation, get_args(Activation))]
        half = {"max": nn.MaxPool2d, "avg": nn.AvgPool2d}[one_of("pool", pool, get_args(Pool))]
        padding = 2 if min(sides) < _PAPERS_SIDE else 0
        height, width = (((side + 2 * padding - 4) // 2 - 4) // 2 for side in sides)
        if min(height, width) < 1:
            raise ValueError(
                f"data.image_shape is {list(image_shape)}: too small for two 5×5 convolutions and poolings; expected "
                "at least 12×12, such as data.resize=28"
            )
        self.features = nn.Sequential(
            nn.Sequential(nn.Conv2d(in_channels, 6, kernel_size=5, padding=padding), act(), half(2)),
            nn.Sequential(nn.Conv2d(6, 16, kernel_size=5), act(), half(2)),
        )
        self.head = nn.Sequential(
            nn.Flatten(),
            nn.Linear(16 * height * width, 120),
            act(),
            nn.Linear(120, 84),
            act(),
            nn.Linear(84, num_classes),
        )

    def forward(self, images: Tensor) -> Tensor:
        """Logits (N, num_classes) for images (N, C, H, W)."""
        logits: Tensor = self.head(self.features(images))
        return logits
