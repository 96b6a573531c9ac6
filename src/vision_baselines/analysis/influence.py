"""Which input pixels move one unit, by backpropagation: the receptive field, measured instead of computed.

It shares nothing of the arithmetic of `conv_arithmetic` and `layer_trace`, so where the two agree both are
right. How much each pixel counts inside the field is the effective receptive field (Luo et al. 2016,
arXiv:1701.04128), which fades towards the edge.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

import torch
from torch import Tensor, nn

from vision_baselines.analysis.layer_trace import evaluation_mode, example_of

_IMAGES: Final = 8
"""Images to average over: one alone leaves out what ReLU and max pooling happen to shut off."""


@dataclass(frozen=True)
class Box:
    """A rectangle of pixels; `top` and `left` are the first row and column inside it."""

    top: int
    left: int
    height: int
    width: int


def influence(net: nn.Module, image_shape: Sequence[int], layer: str, *, call: int = -1) -> Tensor:
    """How strongly each pixel moves one central unit of a layer, averaged over images of noise.

    The net runs in evaluation mode and is left as it was; the noise is the same every time.

    Args:
        net: Any module that takes ``(N, C, H, W)``.
        image_shape: ``(C, H, W)``.
        layer: Name of the module, as in `named_modules`. Of an output ``(1, C, H, W)`` the unit at
            ``(H // 2, W // 2)`` is taken, summed over channels; of any other, the middle number.
        call: Which of its calls in a pass; the last by default.

    Returns:
        float32 ``(H, W)`` on the CPU: the mean over images of the absolute gradient, summed over input channels;
        zero everywhere where no gradient flows.

    Raises:
        ValueError: The net did not call the layer, or not so often.
    """
    example = example_of(net)
    noise = torch.randn(_IMAGES, *image_shape, generator=torch.Generator().manual_seed(0))
    units: list[Tensor | None] = []

    def hook(_module: nn.Module, _args: object, output: object) -> None:
        # Read off at once: a ReLU that works in place would change it.
        units.append(_central_unit(output))

    handle = net.get_submodule(layer).register_forward_hook(hook)
    total = torch.zeros(*image_shape[1:])
    with handle, evaluation_mode(net):
        for one in noise:  # One at a time: a deep net's activations for all of them would fill the memory.
            image = one[None].to(example).requires_grad_()
            units.clear()
            with torch.enable_grad():
                net(image)
            if not -len(units) <= call < len(units):
                raise ValueError(f"layer {layer!r}: expected the net to call it{' so often' if units else ''}")
            total += _gradient(units[call], image).abs().sum(dim=0).float().cpu()
    return total / _IMAGES


def nonzero_box(pixels: Tensor) -> Box | None:
    """The smallest rectangle around everything in ``(H, W)`` that is not zero; None where all is.

    >>> nonzero_box(torch.tensor([[0, 0, 0], [0, 2, 1]]))
    Box(top=1, left=1, height=1, width=2)
    """
    rows, columns = pixels.nonzero(as_tuple=True)
    if len(rows) == 0:
        return None
    top, left = int(rows.min()), int(columns.min())
    return Box(top, left, int(rows.max()) - top + 1, int(columns.max()) - left + 1)


def effective_side(pixels: Tensor, share: float = 0.95) -> float:
    """Side of a square as large as the fewest pixels of ``(H, W)`` that hold a share of the influence; 0 without any.

    The effective receptive field as one number. Luo et al. 2016 take the square root of the number of pixels above
    4.55 % of the strongest instead, which a single strong pixel decides.

    >>> effective_side(torch.tensor([[8.0, 8.0, 0.0], [8.0, 8.0, 1.0]]))
    2.0
    """
    ordered = pixels.flatten().double().sort(descending=True).values
    if not float(ordered.sum()) > 0:
        return 0.0
    held = ordered.cumsum(0) / ordered.sum()
    return math.sqrt(float((held < share - 1e-12).sum()) + 1)


def _central_unit(output: object) -> Tensor | None:
    if not isinstance(output, Tensor):
        return None
    if output.ndim == 4:
        return output[0, :, output.shape[2] // 2, output.shape[3] // 2].sum()
    flat = output.flatten()
    return flat[len(flat) // 2]


def _gradient(unit: Tensor | None, image: Tensor) -> Tensor:
    """Gradient of the unit, ``(C, H, W)``; zero where none flows, as through a frozen part under `no_grad`."""
    if unit is None or not unit.requires_grad:
        return torch.zeros_like(image[0])
    (gradient,) = torch.autograd.grad(unit, image, allow_unused=True)
    return torch.zeros_like(image[0]) if gradient is None else gradient[0]
