"""Images that excite a unit as much as possible, found by climbing its gradient from near the mean image.

Without a check the climb ends in noise of high frequency, so it has four, each small. The image shrinks towards the
mean by 5 % a step, and is blurred every fourth step (Yosinski et al. 2015, arXiv:1506.06579). It is moved by up to a
pixel or two before each step (Mordvintsev, Olah & Tyka 2015, "Inceptionism"; Olah et al. 2017,
doi:10.23915/distill.00007). And its pixels stay between black and white. Blur and move are left out where a unit sees
less than 8 pixels, of which they would leave nothing. The numbers were chosen by eye; nothing is measured on them.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from contextlib import suppress
from typing import Final

import torch
from torch import Tensor, nn
from torch.nn import functional

from vision_baselines.analysis.conv_units import ConvUnits, watched
from vision_baselines.analysis.layer_trace import evaluation_mode, example_of

STEP: Final = 0.08
"""Root mean square of a step's change over the pixels that the unit sees, in standard deviations of the data."""
DECAY: Final = 0.05
BLUR_PX: Final = 0.5
_BLUR_EVERY: Final = 4
_START: Final = 0.1  # standard deviation of the first image
_FINE: Final = 8  # pixels: fields smaller than that are not blurred and not moved


class _Reached(BaseException):  # past a net's own `except Exception`
    """The unit has answered: what comes behind it need not run."""


def excite(
    net: nn.Module,
    units: ConvUnits,
    channels: Sequence[int],
    *,
    low: Tensor,
    high: Tensor,
    steps: int,
    generator: torch.Generator,
) -> Tensor:
    """An image for each channel, on which the channel's central unit answers strongly.

    The net runs in evaluation mode and is left as it was.

    Args:
        net: The net that `units` belong to.
        units: A convolution.
        channels: Its channels.
        low: ``(C, 1, 1)``: black, as the net takes images.
        high: ``(C, 1, 1)``: white.
        steps: Steps of the climb.
        generator: On the CPU; first images and moves are drawn from it.

    Returns:
        float32 ``(len(channels), C, H, W)`` on the CPU, as the net takes images.
    """
    example = example_of(net)
    low, high = low.to(example), high.to(example)
    shape = (len(channels), len(low), *units.image_size)
    image = (_START * torch.randn(shape, generator=generator)).to(example)
    side = min(units.field_size or units.image_size)
    most = 0 if side < _FINE else 2 if side >= 4 * _FINE else 1
    for step in range(steps):
        by = torch.randint(-most, most + 1, (2,), generator=generator).tolist()
        image = image.roll(by, (2, 3))
        gradient = _gradient(net, units, channels, image)
        seen = (gradient != 0).flatten(1).sum(dim=1).clamp(min=1)
        size = (gradient.square().flatten(1).sum(dim=1) / seen).sqrt().clamp(min=1e-12)
        image = image + STEP * gradient / size[:, None, None, None]
        image = image.roll([-part for part in by], (2, 3)) * (1 - DECAY)
        if most and step % _BLUR_EVERY == _BLUR_EVERY - 1:
            image = _blurred(image)
        image = image.maximum(low).minimum(high)
    return image.float().cpu()


def _gradient(net: nn.Module, units: ConvUnits, channels: Sequence[int], image: Tensor) -> Tensor:
    image = image.detach().requires_grad_()
    row, column = units.centre
    answers: list[Tensor] = []

    def look(_place: int, output: Tensor) -> None:
        answers.append(output[torch.arange(len(channels)), list(channels), row, column].sum())
        raise _Reached

    with evaluation_mode(net), watched(net, [units], look), torch.enable_grad(), suppress(_Reached):
        net(image)
    if not answers or not answers[0].requires_grad:
        return torch.zeros_like(image)
    (gradient,) = torch.autograd.grad(answers[0], image, allow_unused=True)
    return torch.zeros_like(image) if gradient is None else gradient.detach()


def _blurred(image: Tensor) -> Tensor:
    weight = math.exp(-0.5 / BLUR_PX**2)
    taps = image.new_tensor([weight, 1.0, weight]) / (1 + 2 * weight)
    kernel = (taps[:, None] * taps).expand(image.shape[1], 1, 3, 3)
    padded = functional.pad(image, (1, 1, 1, 1), mode="replicate")
    return functional.conv2d(padded, kernel, groups=image.shape[1])
