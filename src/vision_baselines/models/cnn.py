"""The convolutional baseline: blocks of convolution, normalisation, ReLU and downsampling under a classifier head."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal, get_args

from torch import Tensor, nn

from vision_baselines.analysis.conv_arithmetic import output_size
from vision_baselines.models.arguments import checked_image_shape, one_of, whole_number, whole_numbers
from vision_baselines.models.dropout import Dropout

Downsample = Literal["max_pool", "avg_pool", "stride", "none"]
Head = Literal["flatten", "global_avg_pool"]
Norm = Literal["batch", "group", "none"]


class CNN(nn.Module):
    """Blocks of ``Conv2d → BatchNorm2d → ReLU → MaxPool2d(2)``, then ``Linear → ReLU → Dropout → Linear``.

    With the defaults and images of 1×28×28 it has 421,834 parameters for 10 classes.

    Args:
        image_shape: (channels, height, width) of one image, in pixels.
        num_classes: Number of logits.
        channels: Output channels of each block.
        kernel_size: Side of the square kernels, odd, so that padding keeps the image's size.
        conv_per_block: Convolutions in each block, each with its normalisation and ReLU.
        norm: ``batch``; ``group``, in groups of 16 channels, the best of Wu & He 2018, arXiv:1803.08494, or in one
            group where 16 do not divide them; or ``none``.
        downsample: How a block halves the image: ``max_pool`` or ``avg_pool`` after the last ReLU (2×2, an odd last
            row or column is dropped); ``stride``: its last convolution takes every second pixel, and nothing is
            pooled; or ``none``: the image keeps its size.
        head: What the linear layers see of the last block: ``flatten``, every pixel, or ``global_avg_pool``, each
            channel's mean over the image.
        hidden_features: Width of a layer between those features and the logits; none goes straight to the logits.
        dropout: Probability of zeroing an input of the last layer in training, in [0, 1].

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
        conv_per_block: int = 1,
        norm: Norm = "batch",
        downsample: Downsample = "max_pool",
        head: Head = "flatten",
        hidden_features: int | None = 128,
        dropout: float = 0.5,
    ) -> None:
        super().__init__()
        in_channels, height, width = checked_image_shape(image_shape)
        whole_numbers("channels", channels, at_least=1)
        whole_number("conv_per_block", conv_per_block)
        one_of("norm", norm, get_args(Norm))
        one_of("downsample", downsample, get_args(Downsample))
        one_of("head", head, get_args(Head))
        if whole_number("kernel_size", kernel_size) % 2 == 0:
            raise ValueError(
                f"model.kernel_size is {kernel_size}; expected an odd number, so that padding keeps the size"
            )
        self.features = nn.Sequential()
        for out_channels in channels:
            if min(height, width) < 2 and downsample != "none":
                raise ValueError(
                    f"data.image_shape is {list(image_shape)}: too small for the {len(channels)} blocks of "
                    "model.channels, each of which halves it"
                )
            widths = [in_channels, *[out_channels] * conv_per_block]
            self.features.append(_block(widths, kernel_size=kernel_size, norm=norm, downsample=downsample))
            height, width = (_size_after(side, kernel_size, downsample) for side in (height, width))
            in_channels = out_channels
        layers: list[nn.Module] = [nn.Flatten()]
        in_features = in_channels * height * width
        if head == "global_avg_pool":
            layers.insert(0, nn.AdaptiveAvgPool2d(1))
            in_features = in_channels
        if hidden_features is not None:
            layers += [nn.Linear(in_features, whole_number("hidden_features", hidden_features)), nn.ReLU()]
            in_features = hidden_features
        self.head = nn.Sequential(*layers, Dropout(dropout), nn.Linear(in_features, num_classes))

    def forward(self, images: Tensor) -> Tensor:
        """Logits (N, num_classes) for images (N, C, H, W)."""
        logits: Tensor = self.head(self.features(images))
        return logits


def _block(widths: Sequence[int], *, kernel_size: int, norm: Norm, downsample: Downsample) -> nn.Sequential:
    layers: list[nn.Module] = []
    num_convs = len(widths) - 1
    for number in range(num_convs):
        in_channels, out_channels = widths[number], widths[number + 1]
        is_last = number == num_convs - 1
        stride = 2 if is_last and downsample == "stride" else 1
        layers.append(nn.Conv2d(in_channels, out_channels, kernel_size, stride=stride, padding=kernel_size // 2))
        if norm == "batch":
            layers.append(nn.BatchNorm2d(out_channels))
        elif norm == "group":
            layers.append(nn.GroupNorm(out_channels // 16 if out_channels % 16 == 0 else 1, out_channels))
        if is_last and downsample == "max_pool":
            # ReLU is monotone, so it and the maximum may trade places: the same function, less work.
            layers.append(nn.MaxPool2d(2))
        layers.append(nn.ReLU())
    if downsample == "avg_pool":
        layers.append(nn.AvgPool2d(2))
    return nn.Sequential(*layers)


def _size_after(side: int, kernel_size: int, downsample: Downsample) -> int:
    if downsample == "none":
        return side
    if downsample == "stride":
        return output_size(side, kernel_size, stride=2, padding=kernel_size // 2)
    return output_size(side, kernel_size=2, stride=2)
