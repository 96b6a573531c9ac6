"""What a channel of a convolution tells apart, and what it does not mind: numbers from 0 to 1 for each channel.

Each stays the same when a channel is scaled by a positive number or moved by any: so the output of a convolution can be
measured itself, whatever normalisation and activation follow, and a trained net be held against an untrained one. A
channel that never varies has none of them, and is NaN.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Final

import torch
from torch import Tensor

ORIENTATIONS: Final = 12
PHASES: Final = 8
_WAVELENGTHS_PX: Final = (4, 8, 16)
_VARIES: Final = 1e-10  # share of the mean square below which a variance is rounding


def gratings(image_shape: Sequence[int]) -> Tensor:
    """Sine gratings over a whole image and, first, a blank one: what orientation is measured with.

    Wavelengths of 4, 8 and 16 pixels as far as they fit into the shorter side (at least that of 4), 12 orientations,
    8 phases, in grey, from black to white around mid-grey, which the blank is.

    Args:
        image_shape: ``(C, H, W)``.

    Returns:
        float32 ``(1 + wavelengths · 12 · 8, C, H, W)``, pixels from 0 to 255.
    """
    channels, height, width = image_shape
    y, x = (torch.arange(side, dtype=torch.float64) - (side - 1) / 2 for side in (height, width))
    angles = torch.arange(ORIENTATIONS, dtype=torch.float64) * (math.pi / ORIENTATIONS)
    phases = torch.arange(PHASES, dtype=torch.float64) * (2 * math.pi / PHASES)
    across = angles.cos()[:, None, None] * x + angles.sin()[:, None, None] * y[:, None]
    waves = [
        torch.sin(across[:, None] * (2 * math.pi / wavelength) + phases[:, None, None])
        for wavelength in _WAVELENGTHS_PX
        if wavelength <= max(4, min(height, width))
    ]
    images = 127.5 * (1 + torch.cat([torch.zeros(1, height, width), *(wave.flatten(0, 1) for wave in waves)]))
    return images.float()[:, None].expand(-1, channels, -1, -1)


def orientation_selectivity(responses: Tensor) -> Tensor:
    """One minus the circular variance over orientations: 1 for a channel that answers to one, 0 to all alike.

    A response is what the best phase adds to that of the blank, at the wavelength to which the channel answers most;
    what it takes away counts as none.

    Args:
        responses: ``(1 + wavelengths · 12 · 8, C)``, to `gratings`.

    Returns:
        float64 ``(C,)``; NaN for a channel to which no grating adds anything.

    Source: Ringach, Shapley & Hawken 2002, J. Neurosci. 22:5639 (circular variance); Mazurek, Kager & Van Hooser 2014,
    doi:10.3389/fncir.2014.00092 (blank subtracted; recommended over indices of two orientations).

    >>> angles = torch.arange(ORIENTATIONS).repeat_interleave(PHASES)
    >>> answers = torch.stack([(angles == 3).float(), torch.ones(len(angles))], dim=1)
    >>> orientation_selectivity(torch.cat([torch.zeros(1, 2), answers])).tolist()
    [1.0, 0.0]
    """
    blank, answers = responses[0].double(), responses[1:].double()
    added = (answers - blank).clamp(min=0).reshape(-1, ORIENTATIONS, PHASES, responses.shape[1]).amax(dim=2)
    best = added.amax(dim=1).argmax(dim=0)
    tuning = added[best, :, torch.arange(responses.shape[1])]
    angles = torch.arange(ORIENTATIONS, dtype=torch.float64) * (2 * math.pi / ORIENTATIONS)
    length = torch.hypot(tuning @ angles.cos(), tuning @ angles.sin())
    total = tuning.sum(dim=1)
    selectivity = torch.where(length < 1e-9 * total, 0.0, length / total)
    rounding = _VARIES**0.5 * answers.abs().amax(dim=0)
    return torch.where(tuning.amax(dim=1) > rounding, selectivity, math.nan)


class ClassVariance:
    """Share of the variance of each channel's response, over images, that the class explains (epsilon squared).

    The share found in a sample is above 0 by chance, the more so the more classes there are, and is corrected for that:
    0 on average where class and response have nothing to do with each other, hence also below.

    Source: Kelley 1935, doi:10.1073/pnas.21.9.554.
    """

    def __init__(self, num_classes: int) -> None:
        self._count = torch.zeros(num_classes, dtype=torch.float64)
        self._sum: Tensor | None = None
        self._squares = torch.zeros(())

    def update(self, responses: Tensor, target: Tensor) -> None:
        """Add the responses ``(B, C)`` to images of the classes ``(B,)``."""
        values = responses.double()
        if self._sum is None:
            self._sum = torch.zeros(len(self._count), values.shape[1], dtype=torch.float64)
            self._squares = torch.zeros(values.shape[1], dtype=torch.float64)
            self._origin = values[0].clone()  # of sums near zero little is lost to rounding
        values = values - self._origin
        self._count += torch.bincount(target, minlength=len(self._count))
        self._sum.index_add_(0, target, values)
        self._squares += values.square().sum(dim=0)

    def compute(self) -> Tensor:
        """float64 ``(C,)``; NaN for a channel that does not vary, and where there are fewer images than classes."""
        if self._sum is None:
            return torch.empty(0, dtype=torch.float64)
        present = self._count > 0
        images, classes = float(self._count.sum()), int(present.sum())
        mean = self._sum.sum(dim=0) / images
        between = (self._sum[present].square() / self._count[present, None]).sum(dim=0) - images * mean.square()
        total = self._squares - images * mean.square()
        if classes < 2 or images <= classes:
            return torch.full_like(total, math.nan)
        explained = 1 - (1 - between / total) * (images - 1) / (images - classes)
        return torch.where(total > _VARIES * (self._squares + images * self._origin.square()), explained, math.nan)


class ShiftCorrelation:
    """Correlation of each unit's response to an image with its response to the moved image, over images, by channel.

    1 where no unit notices the move. Covariances and variances are summed over a channel's units before they are
    divided, so that units which hardly vary hardly count.

    Invariance to a change as in Goodfellow et al. 2009, "Measuring invariances in deep networks", NIPS 22, with a
    correlation in place of a threshold on firing, which would need a choice for each channel.
    """

    def __init__(self) -> None:
        self._n = 0
        self._sums: list[Tensor] = []

    def update(self, still: Tensor, moved: Tensor) -> None:
        """Add the responses ``(B, C, H, W)`` to images and to the same images after a move."""
        a, b = still.double(), moved.double()
        if not self._sums:
            self._origin = a[0].clone()
            self._sums = [torch.zeros_like(self._origin) for _ in range(5)]
        a, b = a - self._origin, b - self._origin
        for total, part in zip(self._sums, (a, b, a * b, a * a, b * b), strict=True):
            total += part.sum(dim=0)
        self._n += len(a)

    def compute(self) -> Tensor:
        """float64 ``(C,)``; NaN for a channel of which no unit varies."""
        if not self._sums:
            return torch.empty(0, dtype=torch.float64)
        a, b, ab, aa, bb = self._sums
        products = ((ab, a, b), (aa, a, a), (bb, b, b))
        covariance, *variances = (
            (product - left * right / self._n).sum(dim=(1, 2)) for product, left, right in products
        )
        scale = (aa + self._n * self._origin.square()).sum(dim=(1, 2))
        varies = (variances[0] > _VARIES * scale) & (variances[1] > _VARIES * scale)
        return torch.where(varies, covariance / (variances[0] * variances[1]).sqrt(), math.nan).clamp(-1, 1)
