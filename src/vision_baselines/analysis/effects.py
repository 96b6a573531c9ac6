"""How large a difference is for a single run: Hedges' g, and how often a new run of one beats a new run of the other.

A p-value falls with the number of runs; these do not. Both take the runs' results as normal.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from scipy import optimize, special

from vision_baselines.analysis.power import noncentral_t
from vision_baselines.analysis.statistics import satterthwaite


@dataclass(frozen=True)
class Outperformance:
    """The chance that a new run of a has a larger value than one of b; NaN without spread or below 2 runs.

    Attributes:
        probability: Estimate.
        low: Lower end of the interval.
        high: Upper end.
    """

    probability: float
    low: float
    high: float


def hedges_g(a: Sequence[float], b: Sequence[float]) -> float:
    """The difference of the means in standard deviations of a run, corrected for small numbers.

    The standard deviation is pooled over both sides, also where seeds are shared: it is that of a single run, so that
    the number can be compared between designs.

    Source: Hedges 1981, doi:10.3102/10769986006002107 (the exact factor). NaN without spread or below 2 runs a side.
    """
    left, right = np.asarray(a, dtype=np.float64), np.asarray(b, dtype=np.float64)
    degrees = left.size + right.size - 2
    if left.size < 2 or right.size < 2:
        return math.nan
    squares = float(((left - left.mean()) ** 2).sum() + ((right - right.mean()) ** 2).sum())
    if squares <= 0:
        return math.nan
    factor = math.exp(math.lgamma(degrees / 2) - math.lgamma((degrees - 1) / 2)) / math.sqrt(degrees / 2)
    return factor * float(left.mean() - right.mean()) / math.sqrt(squares / degrees)


def outperformance(a: Sequence[float], b: Sequence[float], *, paired: bool, confidence: float = 0.95) -> Outperformance:
    """P(A > B) of Bouthillier et al. 2021 (arXiv:2103.03098), with an interval that holds for a few runs too.

    For normal results it is a function of the mean difference in standard deviations, whose interval follows from the
    noncentral t distribution: exact for pairs, with Welch's degrees of freedom for others. Rejected: the percentile
    bootstrap of that paper and Newcombe's score interval (2006), which are far too short for 3 or 5 runs.

    Args:
        a: One number per run.
        b: The same for the other side.
        paired: Whether run s of both shares a seed; the new runs then share one too.
        confidence: Coverage of the interval, between 0 and 1.

    >>> found = outperformance([3.0, 5.0, 4.0], [1.0, 4.0, 2.0], paired=True)
    >>> round(found.probability, 3), round(found.low, 3)
    (0.998, 0.543)
    """
    left, right = np.asarray(a, dtype=np.float64), np.asarray(b, dtype=np.float64)
    unknown = Outperformance(math.nan, math.nan, math.nan)
    if min(left.size, right.size) < 2:
        return unknown
    if paired:
        variance = float((left - right).var(ddof=1))
        scale, degrees = math.sqrt(left.size), float(left.size - 1)
    else:
        of_left, of_right = float(left.var(ddof=1)), float(right.var(ddof=1))
        variance = of_left + of_right
        if variance > 0:
            scale = math.sqrt(variance / (of_left / left.size + of_right / right.size))
            degrees = satterthwaite(variance, [(of_left, left.size - 1), (of_right, right.size - 1)])
    if variance <= 1e-20:
        return unknown
    size = float(left.mean() - right.mean()) / math.sqrt(variance)
    low, high = (_noncentrality(size * scale, degrees, q) / scale for q in ((1 + confidence) / 2, (1 - confidence) / 2))
    return Outperformance(float(special.ndtr(size)), float(special.ndtr(low)), float(special.ndtr(high)))


def _noncentrality(t: float, degrees: float, quantile: float) -> float:
    """The noncentrality of which `t` is that quantile."""
    around = 4 * abs(t) + 10
    return float(optimize.brentq(lambda shift: noncentral_t(t, degrees, shift) - quantile, t - around, t + around))
