"""What a convolution would cost as a dense layer between the same two images.

The count is arithmetic only: the dense layer, often of billions of weights, is never built.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass

from torch import nn

from vision_baselines.analysis.conv_arithmetic import output_size


@dataclass(frozen=True)
class DenseEquivalent:
    """Parameters of a convolution beside those of its dense equivalent.

    Attributes:
        output_shape: ``(C_out, H_out, W_out)`` of the convolution.
        conv_weights: Weights of the convolution, without bias.
        conv_params: Weights and bias of the convolution.
        dense_weights: Weights of the dense layer: inputs times outputs.
        dense_params: Weights and bias; the dense layer has a bias exactly if the convolution has.
        weight_ratio: ``dense_weights / conv_weights``, biases left out of both.
    """

    output_shape: tuple[int, int, int]
    conv_weights: int
    conv_params: int
    dense_weights: int
    dense_params: int
    weight_ratio: float


def dense_equivalent(conv: nn.Conv2d, input_shape: Sequence[int]) -> DenseEquivalent:
    """Count the `nn.Linear` that maps the same flattened input to the same flattened output.

    Args:
        conv: The convolution; its weights are not read, only their shapes.
        input_shape: ``(C_in, H, W)`` of one image.

    Raises:
        ValueError: The shape is not ``(C_in, H, W)``, its channels are not the convolution's, or the
            kernel does not fit.

    >>> dense_equivalent(nn.Conv2d(3, 16, kernel_size=3, padding=1), (3, 32, 32)).dense_params
    50348032
    """
    if len(input_shape) != 3 or input_shape[0] != conv.in_channels:
        raise ValueError(
            f"input_shape: expected ({conv.in_channels}, H, W) for this convolution, got {tuple(input_shape)}"
        )
    height, width = (_output_side(conv, input_shape[1 + axis], axis) for axis in (0, 1))
    inputs, outputs = math.prod(input_shape), conv.out_channels * height * width
    conv_weights, dense_weights = conv.weight.numel(), inputs * outputs
    has_bias = conv.bias is not None
    return DenseEquivalent(
        output_shape=(conv.out_channels, height, width),
        conv_weights=conv_weights,
        conv_params=conv_weights + has_bias * conv.out_channels,
        dense_weights=dense_weights,
        dense_params=dense_weights + has_bias * outputs,
        weight_ratio=dense_weights / conv_weights,
    )


def _output_side(conv: nn.Conv2d, input_size: int, axis: int) -> int:
    if conv.padding == "same":  # torch allows it at stride 1 only, where it keeps the size.
        return input_size
    padding = 0 if isinstance(conv.padding, str) else conv.padding[axis]
    return output_size(input_size, conv.kernel_size[axis], conv.stride[axis], padding, conv.dilation[axis])
