"""Filters that whiten the patches of images: the principal directions of the patches, scaled to unit variance."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn.functional import unfold


def whitening_filters(images: Tensor, kernel_size: tuple[int, int], *, eps: float = 5e-4) -> Tensor:
    """Filters whose answers to the patches of images are uncorrelated and of about unit variance, strongest first.

    Source: Jordan 2024, arXiv:2404.00498, section 3.2; the patches' mean is not taken off there either.

    Args:
        images: (N, C, H, W), as the net sees them.
        kernel_size: Height and width of a filter, in pixels.
        eps: Added to each variance before its root is taken, so that directions of nearly none stay small.

    Returns:
        (C · height · width, C, height, width) float64; the largest number of each filter is positive, so that the
        sign is no accident of the solver.

    Raises:
        ValueError: A filter is larger than an image.
    """
    height, width = kernel_size
    channels = images.shape[1]
    if height > images.shape[2] or width > images.shape[3]:
        raise ValueError(f"filters of {height}×{width} do not fit images of {images.shape[2]}×{images.shape[3]}")
    size = channels * height * width
    moment, count = torch.zeros(size, size, dtype=torch.float64), 0
    for part in torch.split(images, 256):  # so that memory does not grow with the number of images
        patches = unfold(part.double(), (height, width)).transpose(1, 2).reshape(-1, size)
        moment += patches.T @ patches
        count += len(patches)
    variances, directions = torch.linalg.eigh(moment / count)
    filters = (directions / (variances.clamp(min=0) + eps).sqrt()).T.flip(0)
    largest = filters.gather(1, filters.abs().argmax(dim=1, keepdim=True))
    whitened: Tensor = (filters * largest.sign()).view(size, channels, height, width)
    return whitened
