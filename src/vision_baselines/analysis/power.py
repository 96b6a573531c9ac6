"""What a number of runs can find: power of the paired t test, from the noncentral t distribution.

Source: Cohen 1988, "Statistical Power Analysis for the Behavioral Sciences", chapter 2. The spread is that of the runs
at hand; with three of them it is known badly, and so is what follows from it.
"""

from __future__ import annotations

import math
from functools import cache, lru_cache
from typing import Final

import numpy as np
from numpy.polynomial.legendre import leggauss
from numpy.typing import NDArray
from scipy import optimize, special

POWER: Final = 0.8
MAX_RUNS: Final = 100_000


def noncentral_t(t: float, degrees: float, noncentrality: float) -> float:
    """The distribution function of the noncentral t distribution; to 1e-5 for t within 30.

    SciPy's own is not a number for t below 0 or a large noncentrality.

    >>> round(noncentral_t(2.0, 4, 1.0), 4)
    0.7646
    """
    _, weights = _quadrature()
    return float(weights @ special.ndtr(t * _spreads(degrees) - noncentrality)) / 2


@cache
def _quadrature() -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Nodes and weights for the chance from 0 to 1; 256 change nothing by more than 1e-5."""
    return leggauss(128)


@lru_cache(maxsize=64)
def _spreads(degrees: float) -> NDArray[np.float64]:
    """Quantiles of an estimated standard deviation, in units of the true one."""
    return np.asarray(np.sqrt(special.chdtri(degrees, (1 - _quadrature()[0]) / 2) / degrees))


def power(difference: float, std: float, n: int, level: float = 0.05) -> float:
    """The chance that a two-sided paired t test finds a true difference.

    Args:
        difference: True mean difference.
        std: Standard deviation of the pairs' differences, above 0.
        n: Pairs, at least 2.
        level: At which a difference counts as found.

    >>> round(power(1.0, 1.0, 10), 4)
    0.8031
    """
    # the tail on the other side is left out as below 1e-6 where the power is of use
    critical = float(special.stdtrit(n - 1, 1 - level / 2))
    return 1.0 - noncentral_t(critical, n - 1, abs(difference) / std * math.sqrt(n))


def detectable_difference(std: float, n: int, *, level: float = 0.05, wanted: float = POWER) -> float:
    """The smallest true mean difference that n pairs find with the wanted power, in the unit of `std`.

    NaN for less than 2 pairs or without spread.

    >>> round(detectable_difference(1.0, 10), 4)
    0.996
    """
    return std * _detectable(n, level, wanted) if n > 1 and std > 0 else math.nan


@lru_cache(maxsize=2**10)  # groups of a comparison have the same number of pairs, or nearly
def _detectable(n: int, level: float, wanted: float) -> float:
    """The same in units of `std`."""
    high = 2 * (float(special.stdtrit(n - 1, 1 - level / 2)) + 3) / math.sqrt(n)
    while power(high, 1.0, n, level) < wanted:
        high *= 2
    return float(optimize.brentq(lambda size: power(size, 1.0, n, level) - wanted, 1e-9, high))


@lru_cache(maxsize=2**12)  # a sweep asks again after each job, of which most groups have nothing new
def runs_needed(difference: float, std: float, *, level: float = 0.05, wanted: float = POWER) -> int | None:
    """The smallest number of pairs that finds a true difference with the wanted power.

    Returns:
        At least 3; None without spread or for more than `MAX_RUNS`.

    >>> runs_needed(1.0, 1.0), runs_needed(0.5, 1.0)
    (10, 34)
    """
    if not (std > 0 and abs(difference) > 0):
        return None
    low, high = 3, 4
    while power(difference, std, high, level) < wanted:
        low, high = high, 2 * high
        if low >= MAX_RUNS:
            return None
    while low < high:
        middle = (low + high) // 2
        if power(difference, std, middle, level) < wanted:
            low = middle + 1
        else:
            high = middle
    return low
