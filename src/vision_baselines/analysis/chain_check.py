"""A chain of layers built in PyTorch: its sizes, and its receptive fields by gradient (exercise 3 of the tutorial).

It shares nothing of the arithmetic of `conv_arithmetic`, so where the two agree both are right. One side is built,
as a picture one pixel high.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from typing import Final

import torch
from torch import Tensor, nn

from vision_baselines.analysis.conv_arithmetic import LayerStep

MOST_PX: Final = 1_000_000
"""Of the image, or of all layers' images together."""

# Not float32, for which oneDNN compiles a convolution anew for every size.
_DTYPE: Final = torch.float64


@dataclass(frozen=True)
class Measured:
    """What PyTorch gives for a layer: its output's side, and the input pixels that have a gradient from one unit."""

    output_size: int
    receptive_field: int


def measured_chain(steps: Sequence[LayerStep], input_size: int, pools: Collection[int] = ()) -> list[Measured]:
    """Sizes by `nn.Conv2d`, and by `nn.MaxPool2d` where it takes the padding; fields by backpropagation.

    Args:
        steps: The layers, as `trace_chain` gives them; of their results only the centres are used, to choose a unit
            whose field does not reach into the padding.
        input_size: Side of the image, in pixels.
        pools: Indices of the layers, from 0, that are known to be poolings.

    Raises:
        ValueError: An image of more than `MOST_PX` pixels would be needed, the two kinds of layer differ in size,
            or `nn.MaxPool2d` does not take the padding of a layer in `pools`.
    """
    for index in pools:
        if steps[index].padding > steps[index].kernel_size // 2:
            half = f"at most half the kernel, {steps[index].kernel_size // 2}"
            raise ValueError(
                f"layer {index + 1} is a pooling with padding {steps[index].padding}; PyTorch takes {half}"
            )
    units = [max(0, -int(-((step.receptive_field - 1) / 2 - step.center) // step.jump)) for step in steps]
    ends = [
        int(step.center + unit * step.jump + (step.receptive_field - 1) / 2)
        for step, unit in zip(steps, units, strict=True)
    ]
    side = max(ends) + 1
    if max(input_size, side * len(steps), *(step.output_size for step in steps)) > MOST_PX:
        raise ValueError(f"expected a chain on at most {MOST_PX:,} pixels to build it in PyTorch")
    layers = [_convolution(step) for step in steps]
    sizes, fields = _sizes(steps, layers, input_size), _fields(layers, side, units)
    return [Measured(size, field) for size, field in zip(sizes, fields, strict=True)]


def _convolution(step: LayerStep) -> nn.Conv2d:
    # First without weights: whatever fills them draws from the random state. Of ones no two paths cancel.
    layer = nn.Conv2d(
        1,
        1,
        (1, step.kernel_size),
        (1, step.stride),
        (0, step.padding),
        (1, step.dilation),
        bias=False,
        device="meta",
        dtype=_DTYPE,
    ).to_empty(device="cpu")
    nn.init.ones_(layer.weight)
    return layer


def _pooling(step: LayerStep) -> nn.MaxPool2d:
    return nn.MaxPool2d((1, step.kernel_size), (1, step.stride), (0, step.padding), (1, step.dilation))


def _sizes(steps: Sequence[LayerStep], layers: Sequence[nn.Conv2d], input_size: int) -> list[int]:
    sizes, image = [], torch.zeros(1, 1, 1, input_size, dtype=_DTYPE)
    with torch.no_grad():
        for number, (step, layer) in enumerate(zip(steps, layers, strict=True), start=1):
            pooled = _pooling(step)(image) if step.padding <= step.kernel_size // 2 else None
            image = layer(image)
            sizes.append(image.shape[-1])
            if pooled is not None and pooled.shape[-1] != sizes[-1]:
                raise ValueError(f"layer {number}: MaxPool2d gives {pooled.shape[-1]} px, Conv2d {sizes[-1]}")
    return sizes


def _fields(layers: Sequence[nn.Conv2d], side: int, units: Sequence[int]) -> list[int]:
    """For a unit of each layer, the pixels from the first to the last that have a gradient, on an image of `side`."""
    inputs = [torch.zeros(1, 1, 1, side, dtype=_DTYPE)]
    with torch.no_grad():
        for layer in layers:
            inputs.append(layer(inputs[-1]))
    # One row for each layer whose unit is followed down to the image: all go through a layer together.
    reached = torch.zeros(0, *inputs.pop().shape[1:], dtype=_DTYPE)
    for layer, given, unit in zip(reversed(layers), reversed(inputs), reversed(units), strict=True):
        own = torch.zeros(1, *reached.shape[1:], dtype=_DTYPE)
        own[..., unit] = 1
        reached = torch.cat([own, reached])
        pixels = given.expand(len(reached), -1, -1, -1).clone().requires_grad_()
        (gradient,) = torch.autograd.grad(layer(pixels), pixels, reached)
        # Only where it is not zero: the numbers themselves overflow in a deep chain.
        reached = (gradient != 0).to(_DTYPE)
    return [_extent(row) for row in reached]


def _extent(reached: Tensor) -> int:
    (pixels,) = reached.flatten().nonzero(as_tuple=True)
    return int(pixels[-1] - pixels[0]) + 1 if len(pixels) else 0
