"""Pictures made worse, in four kinds and five strengths, by draws that depend on the seed and the sample alone.

=========  =================================================================================  =======================
kind       at strength k = 1 … 5                                                              Hendrycks & Dietterich
=========  =================================================================================  =======================
noise      normal, σ = 0.08, 0.12, 0.18, 0.26, 0.38 of the range, each channel by itself      as ImageNet-C's
blur       Gaussian, σ = k/64 of the shorter side: k/8 px at 8, k/2 px at 32, 3.5·k px at 224  1 to 6 px at 224
contrast   what differs from the channel's mean is left by 0.4, 0.3, 0.2, 0.1, 0.05           as ImageNet-C's
occlusion  a grey square of k/8 of the shorter side, in whole pixels, wholly inside           none
=========  =================================================================================  =======================

Noise and contrast have no length and need no scale. Blur and squares grow with the picture, so that a strength hides
as much of a digit of 8 px as of a photograph of 224 px. At 224 px strength 2 is a blur just beyond ImageNet-C's fifth;
at 32 px it is CIFAR-10-C's fifth, whose noise (0.04 to 0.10) and contrast (0.75 to 0.15) are milder than these.
Pictures are rounded to 8 bits, and not written as JPEG as theirs are.

Sources: Hendrycks & Dietterich 2019, arXiv:1903.12261, and the constants in their ``make_imagenet_c.py``; grey squares
as in Zeiler & Fergus 2014, arXiv:1311.2901.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Final

import torch
from torch import Tensor

from vision_baselines.seeding import generator

KINDS: Final = ("noise", "blur", "contrast", "occlusion")
IN_SPACE: Final = ("blur", "contrast", "occlusion")
"""Kinds that do nothing sensible to an image of one pixel."""
OF_PLACES: Final = ("blur", "occlusion")
"""Kinds that mean nothing where pixels stand in a random order."""
STRENGTHS: Final = 5
_NOISE: Final = (0.08, 0.12, 0.18, 0.26, 0.38)
_CONTRAST: Final = (0.4, 0.3, 0.2, 0.1, 0.05)
_GREY: Final = 128


def draw(kind: str, images: Tensor, *, seed: int, samples: Sequence[int]) -> Tensor:
    """What is random in one kind, the same for all strengths, so that they differ by nothing else.

    Args:
        kind: One of `KINDS`.
        images: ``(B, C, H, W)``.
        seed: Of the run.
        samples: What tells each image from the others, such as its place in the split.

    Returns:
        float32 on the CPU: for noise normal ``(B, C, H, W)``; for occlusion ``(B, 2)`` in [0, 1), where the square
        lies; ``(B, 0)`` for others.
    """
    shape = {"noise": tuple(images.shape[1:]), "occlusion": (2,)}.get(kind, (0,))
    make = torch.randn if kind == "noise" else torch.rand
    if 0 in shape:
        return torch.zeros(len(images), 0)
    return torch.stack([make(shape, generator=generator(seed, "corruptions", kind, sample)) for sample in samples])


def corrupted(kind: str, images: Tensor, strength: int, drawn: Tensor) -> Tensor:
    """Pictures made worse.

    Args:
        kind: One of `KINDS`.
        images: uint8 ``(B, C, H, W)``.
        strength: 1 to `STRENGTHS`.
        drawn: Of `draw`, for this kind and these images.

    Returns:
        uint8 ``(B, C, H, W)``.
    """
    if kind == "noise":
        return _rounded(images + 255 * _NOISE[strength - 1] * drawn.to(images.device))
    if kind == "blur":
        return _rounded(blurred(images.float(), strength / 64 * min(images.shape[2:])))
    if kind == "contrast":
        means = images.float().mean(dim=(2, 3), keepdim=True)
        return _rounded(means + _CONTRAST[strength - 1] * (images - means))
    return _occluded(images, square_side(images.shape[2:], strength), drawn.to(images.device))


def blurred(images: Tensor, sigma: float) -> Tensor:
    """Images ``(B, C, H, W)`` under a Gaussian whose weights are integrals over pixels; edges are repeated outside.

    Args:
        images: Floats.
        sigma: In pixels, above 0.
    """
    down, right = (_blur_matrix(side, sigma).to(images.device, images.dtype) for side in images.shape[2:])
    return down @ images @ right.T


def square_side(size: Sequence[int], strength: int) -> int:
    """Side in pixels of the square that hides a part of an image of ``(height, width)``: at least 1.

    >>> [square_side((8, 8), k) for k in range(1, 6)], square_side((224, 300), 5)
    ([1, 2, 3, 4, 5], 140)
    """
    return max(1, math.floor(strength * min(size) / 8 + 0.5))


def _rounded(images: Tensor) -> Tensor:
    return images.clamp(0, 255).round().to(torch.uint8)


def _blur_matrix(side: int, sigma: float) -> Tensor:
    """Float64 ``(side, side)``: what each pixel of a line takes from each; the last stand for those beyond."""
    reach = math.ceil(4 * sigma)
    ends = (torch.arange(-reach, reach + 2, dtype=torch.float64) - 0.5) / (sigma * math.sqrt(2))
    weights = torch.erf(ends).diff()
    matrix = torch.zeros(side, side, dtype=torch.float64)
    places = torch.arange(side)
    for offset, weight in zip(range(-reach, reach + 1), weights / weights.sum(), strict=True):
        matrix.index_put_((places, (places + offset).clamp(0, side - 1)), weight, accumulate=True)
    return matrix


def _occluded(images: Tensor, side: int, drawn: Tensor) -> Tensor:
    """A square of `side` pixels, grey, by `drawn` (B, 2) at a place of each image's own."""
    inside = torch.ones(len(images), 1, 1, 1, dtype=torch.bool, device=images.device)
    for axis, length in enumerate(images.shape[2:]):
        first = (drawn[:, axis] * (length - side + 1)).floor().view(-1, 1)
        places = torch.arange(length, device=images.device)
        covered = (places >= first) & (places < first + side)
        inside = inside & (covered[:, None, :, None] if axis == 0 else covered[:, None, None, :])
    return torch.where(inside, torch.tensor(_GREY, dtype=images.dtype, device=images.device), images)
