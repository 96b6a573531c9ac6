"""Whether a net is right as often as it is sure: bins of a reliability diagram, and the calibration error over them.

The confidence of a prediction is the probability given to the predicted class. Bins have equal widths, from above k/15
to (k+1)/15, or hold equally many predictions.

Sources: Guo et al. 2017, arXiv:1706.04599, section 2; equally filled bins: Nguyen & O'Connor 2015, arXiv:1508.05154.
"""

from __future__ import annotations

from typing import Final

import numpy as np
from numpy.typing import ArrayLike, NDArray

BINS: Final = 15
"""Number of bins, as in the source and in the metric ``ece`` of the tasks."""
FEW: Final = 10
"""A bin of fewer predictions is not drawn: the share of right answers among so few says nothing."""


def reliability(confidence: ArrayLike, correct: ArrayLike) -> NDArray[np.float64]:
    """How many predictions fall into each bin of confidence, the sum of their confidences, how many are right.

    Args:
        confidence: (N,), from 0 to 1; what is not finite is left out.
        correct: (N,), whether each prediction is right.

    Returns:
        (3, BINS): counts, sums of confidences, numbers of right predictions. Tables of several runs may be added.

    >>> reliability([0.99, 0.95, 0.5], [True, False, True])[:, -1].round(2).tolist()
    [2.0, 1.94, 1.0]
    """
    sure = np.asarray(confidence, dtype=np.float64)
    right = np.asarray(correct, dtype=np.float64)[np.isfinite(sure)]
    sure = sure[np.isfinite(sure)]
    places = np.searchsorted(np.arange(1, BINS) / BINS, sure)
    weights = (None, sure, right)
    return np.array([np.bincount(places, values, minlength=BINS) for values in weights], dtype=np.float64)


def equal_reliability(confidence: ArrayLike, correct: ArrayLike) -> NDArray[np.float64]:
    """As `reliability`, in bins of equally many predictions, one more in some; for the adaptive calibration error.

    Predictions of one confidence count as right by their common share, so that their order does not matter.

    >>> equal_reliability([0.9] * 15 + [0.6] * 15, [True] * 30)[:, 0].round(2).tolist()
    [2.0, 1.2, 2.0]
    """
    sure = np.asarray(confidence, dtype=np.float64)
    right = np.asarray(correct, dtype=np.float64)[np.isfinite(sure)]
    values, places, counts = np.unique(sure[np.isfinite(sure)], return_inverse=True, return_counts=True)
    shares = np.bincount(places, right, minlength=len(values)) / np.maximum(counts, 1)
    bins = np.arange(len(right)) * BINS // max(len(right), 1)
    weights = (None, np.repeat(values, counts), np.repeat(shares, counts))
    return np.array([np.bincount(bins, values, minlength=BINS) for values in weights], dtype=np.float64)


def calibration_error(bins: NDArray[np.float64]) -> NDArray[np.float64]:
    """Expected calibration error: the mean over predictions of |share right - mean confidence| of their bin; 0 to 1.

    Args:
        bins: (..., 3, BINS), of `reliability`, of one run or of several.

    Returns:
        (...), NaN where there is no prediction.
    """
    count, sure, right = np.moveaxis(bins, -2, 0)
    n = count.sum(axis=-1)
    errors: NDArray[np.float64] = np.full(n.shape, np.nan)
    np.divide(np.abs(right - sure).sum(axis=-1), n, out=errors, where=n > 0)
    return errors
