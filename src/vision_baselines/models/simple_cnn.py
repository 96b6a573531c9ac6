"""Convolutions with batch normalisation and nothing else, no pooling and no padding, under one linear layer.

After An et al. 2020, arXiv:2008.10400; with the default channels and 3×3 kernels it is the paper's M3.
"""

from __future__ import annotations

from collections.abc import Sequence

from torch import Tensor, nn

from vision_baselines.models.arguments import checked_image_shape, whole_number, whole_numbers


class SimpleCNN(nn.Module):
    """Blocks of ``Conv2d → BatchNorm2d → ReLU``, then ``Flatten → Linear → BatchNorm1d``; no layer has a bias.

    Each convolution takes ``kernel_size - 1`` pixels from either axis. With the defaults and images of 1×28×28 it has
    1,124,180 parameters for 10 classes.

    Args:
        image_shape: (channels, height, width) of one image, in pixels.
        num_classes: Number of logits.
        channels: Output channels of each convolution.
        kernel_size: Side of the square kernels; 5 and 7 are the paper's M5 and M7, with channels of their own.

    Raises:
        ValueError: An argument is out of range, or the image is too small for the number of convolutions.
    """

    def __init__(
        self,
        image_shape: Sequence[int],
        num_classes: int,
        *,
        channels: Sequence[int] = (32, 48, 64, 80, 96, 112, 128, 144, 160, 176),
        kernel_size: int = 3,
    ) -> None:
        super().__init__()
        in_channels, *sides = checked_image_shape(image_shape)
        taken = whole_number("kernel_size", kernel_size) - 1
        whole_numbers("channels", channels, at_least=1)
        height, width = (side - taken * len(channels) for side in sides)
        if min(height, width) < 1:
            fit = (min(sides) - 1) // taken
            raise ValueError(
                f"data.image_shape is {list(image_shape)}: too small for the {len(channels)} convolutions of "
                f"model.channels, each of which takes {taken} pixels; expected at most {fit} of them, or data.resize=28"
            )
        self.features = nn.Sequential()
        for out_channels in channels:
            self.features.append(
                nn.Sequential(
                    nn.Conv2d(in_channels, out_channels, kernel_size, bias=False),
                    nn.BatchNorm2d(out_channels),
                    nn.ReLU(),
                )
            )
            in_channels = out_channels
        self.head = nn.Sequential(
            nn.Flatten(),
            nn.Linear(in_channels * height * width, num_classes, bias=False),
            nn.BatchNorm1d(num_classes),
        )

    def forward(self, images: Tensor) -> Tensor:
        """Logits (N, num_classes) for images (N, C, H, W)."""
        logits: Tensor = self.head(self.features(images))
        return logits
