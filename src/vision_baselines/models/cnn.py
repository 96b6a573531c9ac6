"""The convolutional baseline: blocks of convolution, normalisation, ReLU and pooling under a small classifier head."""

from __future__ import annotations

from collections.abc import Sequence

from torch import Tensor, nn

from vision_baselines.analysis.conv_arithmetic import output_size
from vision_baselines.models.dropout import Dropout


class CNN(nn.Module):
    """Blocks of ``Conv2d → BatchNorm2d → ReLU → MaxPool2d(2)``, then ``Linear → ReLU → Dropout → Linear``.

    ReLU is computed after the pooling, which gives the same values for less work.

    With the defaults and images of 1×28×28 it has 421,834 parameters for 10 classes.

    Args:
        image_shape: (channels, height, width) of one image, in pixels.
        num_classes: Number of logits.
        channels: Output channels of each block.
        kernel_size: Side of the square kernels, odd, so that padding keeps the image's size.
        hidden_features: Width of the layer between the flattened feature maps and the logits.
        dropout: Probability of zeroing a hidden feature in training, in [0, 1).

    Raises:
        ValueError: An argument is out of range, or the image is too small for the number of blocks.
    """

    def __init__(
        self,
        image_shape: Sequence[int],
        num_classes: int,
        *,
        channels: Sequence[int] = (32, 64),
        kernel_size: int = 3,
        hidden_features: int = 128,
        dropout: float = 0.5,
    ) -> None:
        super().__init__()
        if min(channels, default=0) < 1:
            raise ValueError(f"model.channels is {list(channels)}; expected whole numbers of at least 1")
        if kernel_size < 1 or kernel_size % 2 == 0:
            raise ValueError(
                f"model.kernel_size is {kernel_size}; expected an odd number, so that padding keeps the size"
            )
        in_channels, height, width = image_shape
        blocks: list[nn.Module] = []
        for out_channels in channels:
            padding = kernel_size // 2
            blocks.append(
                nn.Sequential(
                    nn.Conv2d(in_channels, out_channels, kernel_size, padding=padding),
                    nn.BatchNorm2d(out_channels),
                    # ReLU is monotone, so it and the maximum may trade places: the same function, less work.
                    nn.MaxPool2d(2),
                    nn.ReLU(),
                )
            )
            if min(height, width) < 2:
                raise ValueError(
                    f"data.image_shape is {list(image_shape)}: too small for the {len(channels)} blocks of "
                    "model.channels, each of which halves it"
                )
            height, width = (
                output_size(output_size(side, kernel_size, padding=padding), kernel_size=2, stride=2)
                for side in (height, width)
            )
            in_channels = out_channels
        self.features = nn.Sequential(*blocks)
        self.head = nn.Sequential(
            nn.Flatten(),
            nn.Linear(in_channels * height * width, hidden_features),
            nn.ReLU(),
            Dropout(dropout),
            nn.Linear(hidden_features, num_classes),
        )

    def forward(self, images: Tensor) -> Tensor:
        """Logits (N, num_classes) for images (N, C, H, W)."""
        logits: Tensor = self.head(self.features(images))
        return logits
