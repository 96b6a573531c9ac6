"""How sure a share of right answers is for other seeds and other test images: a two-way random-effects model.

Every run answers the same test images, so a table of runs times images has two causes of chance that cross: a run may
be lucky, an image may be hard. The variance of the mean of S runs on N images is estimated as

    V_runs / S + V_images / N - V_residual / (S N)

from the variance of the runs' means, of the images' means, and of what is left; a component that comes out negative
counts as zero. Degrees of freedom are Satterthwaite's (1946, doi:10.2307/3002019); for a share, Student's t is
Banerjee's (1961, a t for each part, weighted by its variance) where that is larger. Rejected: a crossed bootstrap
(Owen 2007, doi:10.1214/07-AOAS122), which resamples 3 runs as badly as 3 numbers always resample.

Shares stay inside [0, 1] by Wilson's score interval (1927, doi:10.1080/01621459.1927.10502953) with as many images as
would give that variance if images were all that varies (the effective sample size of Korn & Graubard 1998). Where fewer
than `FEW` images on average are wrong, or right, they are no more than the real ones: the spread between so few says
too little. So a table without a mistake has Wilson's interval for N images. How often such intervals hold the truth
stands in docs/statistics.md.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy import special

from vision_baselines.analysis.statistics import satterthwaite

FEW: Final = 5
"""Wrong (or right) images, on average over the runs, below which their spread is not believed to be small."""


@dataclass(frozen=True)
class OverImages:
    """A mean over runs and images, or a difference of two.

    Attributes:
        mean: Mean over all runs and images.
        low: Lower end of the interval; NaN for a difference without any spread.
        high: Upper end.
        p_value: Of no difference, two-sided; NaN for a share, and for a difference without any spread.
        images_part: The part of the variance that is due to the choice of images, from 0 to 1: what more runs cannot
            take away; NaN without any spread.
    """

    mean: float
    low: float
    high: float
    p_value: float
    images_part: float


@dataclass(frozen=True)
class _Parts:
    """Mean squares of a table of runs times images, each divided by the number of its cells."""

    mean: float
    n_runs: int
    n_images: int
    runs: float
    images: float
    residual: float

    @property
    def runs_alone(self) -> float:
        return max(self.runs - self.residual, 0.0)


def share_interval(correct: ArrayLike, confidence: float = 0.95) -> OverImages:
    """The share of right answers of more such runs on more such images.

    Args:
        correct: Of shape ``(S, N)``: whether a run was right on an image; at least 2 runs and 2 images. A single run,
            ``(1, N)``, has an interval for that run on other images.
        confidence: Coverage, between 0 and 1.

    Raises:
        ValueError: Another shape, or a confidence outside (0, 1).

    >>> found = share_interval([[1] * 9 + [0], [1] * 8 + [0] * 2, [1] * 9 + [0]])
    >>> round(found.low, 2), round(found.high, 2)
    (0.51, 0.98)
    """
    table = _table(correct, min_runs=1)
    n_runs, n_images = table.shape
    mean = float(table.mean())
    t = float(special.ndtri((1 + confidence) / 2))
    images_part = math.nan
    effective = float(n_images)
    if 0 < mean < 1 and n_runs > 1:
        parts = _parts(table)
        images = max(parts.images - parts.residual, 0.0)
        variance = parts.runs_alone + images + parts.residual
        images_part = images / variance
        effective = mean * (1 - mean) / variance
        if n_images * min(mean, 1 - mean) < FEW:
            effective = min(effective, n_images)
        # Satterthwaite's degrees are too many where few runs vary most; Banerjee's sum of squares (1961) is not
        by_parts = (variance - parts.runs_alone) * _t(n_images - 1, confidence) ** 2
        by_parts += parts.runs_alone * _t(n_runs - 1, confidence) ** 2
        t = max(_t(_degrees([parts], parts.images, variance), confidence), math.sqrt(by_parts / variance))
    return OverImages(mean, *wilson_interval(mean, effective, t), math.nan, images_part)


def wilson_interval(share: float, n: float, quantile: float) -> tuple[float, float]:
    """Wilson's score interval of a share of `n` images; it lies inside [0, 1].

    Args:
        share: From 0 to 1; a mean of several runs need be no whole number of images.
        n: Number of images, or the number that would give the variance; above 0.
        quantile: Of the normal distribution or Student's t, 1.96 for 95%.

    >>> [round(end, 3) for end in wilson_interval(1.0, 36, 1.96)]
    [0.904, 1.0]
    """
    centre = (share + quantile**2 / (2 * n)) / (1 + quantile**2 / n)
    half = math.sqrt(share * (1 - share) / n + quantile**2 / (4 * n**2)) * quantile / (1 + quantile**2 / n)
    return max(min(centre - half, share), 0.0), min(max(centre + half, share), 1.0)


def difference_interval(a: ArrayLike, b: ArrayLike, *, paired: bool, confidence: float = 0.95) -> OverImages:
    """The difference ``a - b`` in the share of right answers, of more such runs on more such images.

    Args:
        a: Of shape ``(S, N)``: whether a run was right on an image; at least 2 runs and 2 images.
        b: The same for the other side, on the same images in the same order.
        paired: Whether row s of both shares a seed, so that the luck of a seed cancels. Else the rows' numbers may
            differ, and only the images are shared.
        confidence: Coverage, between 0 and 1.

    Raises:
        ValueError: Shapes that do not fit, or a confidence outside (0, 1).
    """
    left, right = _table(a), _table(b)
    if left.shape[1] != right.shape[1] or (paired and left.shape != right.shape):
        raise ValueError(f"a, b: expected the same images{' and runs' * paired}, got {left.shape} and {right.shape}")
    if paired:
        sides = [_parts(left - right)]
        mean, images = sides[0].mean, sides[0].images
    else:
        sides = [_parts(left), _parts(right)]
        mean = sides[0].mean - sides[1].mean
        images = float((left.mean(axis=0) - right.mean(axis=0)).var(ddof=1)) / left.shape[1]
    residual = sum(side.residual for side in sides)
    images_alone = max(images - residual, 0.0)
    variance = sum(side.runs_alone for side in sides) + images_alone + residual
    if variance < 1e-20:  # shares are sums of at most some 10^8 numbers that are 0 or 1
        return OverImages(mean, math.nan, math.nan, math.nan, math.nan)
    degrees = _degrees(sides, images, variance)
    error = math.sqrt(variance)
    half = _t(degrees, confidence) * error
    p_value = 2 * float(special.stdtr(degrees, -abs(mean) / error))
    return OverImages(mean, max(mean - half, -1.0), min(mean + half, 1.0), p_value, images_alone / variance)


def _table(values: ArrayLike, min_runs: int = 2) -> NDArray[np.float64]:
    table = np.asarray(values, dtype=np.float64)
    if table.ndim != 2 or table.shape[0] < min_runs or table.shape[1] < 2:
        raise ValueError(f"expected (runs >= {min_runs}, images >= 2), got shape {table.shape}")
    return table


def _parts(table: NDArray[np.float64]) -> _Parts:
    n_runs, n_images = table.shape
    mean, cells = float(table.mean()), table.size
    of_runs = n_images * float(((table.mean(axis=1) - mean) ** 2).sum())
    of_images = n_runs * float(((table.mean(axis=0) - mean) ** 2).sum())
    total = float(np.square(table).sum()) - cells * mean**2
    rest = max(total - of_runs - of_images, 0.0) / ((n_runs - 1) * (n_images - 1))
    return _Parts(
        mean,
        n_runs,
        n_images,
        of_runs / (n_runs - 1) / cells,
        of_images / (n_images - 1) / cells,
        rest / cells,
    )


def _degrees(sides: Sequence[_Parts], images: float, variance: float) -> float:
    """Degrees of freedom of a sum of mean squares."""
    of_images = sides[0].n_images - 1
    parts = [(images, of_images)]
    for side in sides:
        of_runs = side.n_runs - 1
        parts += [(side.runs, of_runs), (side.residual, of_runs * of_images)]
    return satterthwaite(variance, parts)


def _t(degrees: float, confidence: float) -> float:
    if not 0 < confidence < 1:
        raise ValueError(f"confidence: expected a number between 0 and 1, got {confidence!r}")
    value: Any = special.stdtrit(degrees, (1 + confidence) / 2)
    return float(value)
