"""What a learning-rate range test says: the loss over growing rates, smoothed, and where it falls steepest.

The test is of Smith 2017, arXiv:1506.01186; taking the steepest point is what Lightning's own finder does.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np

_SKIPPED_FIRST, _SKIPPED_LAST = 5, 1  # the average is of few losses there; the last is where the loss has left


def smoothed(losses: Sequence[float], decay: float = 0.9) -> list[float]:
    """The moving average of losses, corrected for its start at 0.

    >>> smoothed([2.0, 2.0, 2.0])
    [2.0, 2.0, 2.0]
    """
    average, found = 0.0, []
    for number, loss in enumerate(losses, 1):
        average = decay * average + (1 - decay) * loss
        found.append(round(average / (1 - decay**number), 12))
    return found


def has_left(losses: Sequence[float], factor: float = 4.0) -> bool:
    """Whether the last of some smoothed losses is beyond all use: not finite, or so many times the least."""
    return not math.isfinite(losses[-1]) or losses[-1] > factor * min(losses)


def steepest_rate(rates: Sequence[float], losses: Sequence[float]) -> float | None:
    """The rate at which smoothed losses fall fastest over the logarithm of the rate; None where they never fall.

    >>> rates = [10.0 ** (exponent / 4) for exponent in range(-16, 1)]
    >>> losses = [1 / (1 + (rate / 0.01) ** 2) for rate in rates]  # falls from 1 to 0, fastest at 0.01
    >>> steepest_rate(rates, losses)
    0.01
    """
    inner = slice(_SKIPPED_FIRST, len(losses) - _SKIPPED_LAST)
    if len(losses[inner]) < 2:
        return None
    slopes = np.gradient(np.asarray(losses, dtype=float), np.log(np.asarray(rates, dtype=float)))[inner]
    slopes = np.where(np.isfinite(slopes), slopes, np.inf)
    falls = slopes.min() < -1e-9 * max(abs(loss) for loss in losses[inner])  # and not by a rounding error
    return float(rates[inner][int(slopes.argmin())]) if falls else None
