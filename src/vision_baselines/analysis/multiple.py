"""Correction of p-values for the number of claims that could have been made.

Holm 1979 (jstor:4615733) keeps the chance of any false claim below the level, whatever the tests' dependence. Where a
comparison is asked two questions whose null hypotheses cannot both be true (there is no difference; there is one as
large as δ), only one of them counts: Shaffer 1986, doi:10.1080/01621459.1986.10478341.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray


def corrected(p_values: Sequence[Sequence[float]]) -> list[list[float]]:
    """p-values that may be read at the same level as a single one.

    Args:
        p_values: For each comparison the p-values of its questions, of which at most one can have a true null
            hypothesis; NaN where a question was not tested, which counts as none.

    Returns:
        The same, corrected; at most 1.

    >>> corrected([[0.01], [0.04], [0.03]])
    [[0.03], [0.06], [0.06]]
    """
    result = [[math.nan] * len(of) for of in p_values]
    waiting = [sum(math.isfinite(p) for p in of) for of in p_values]
    order = sorted((p, i, j) for i, of in enumerate(p_values) for j, p in enumerate(of) if math.isfinite(p))
    largest = 0.0
    for p, i, j in order:
        largest = max(largest, min(1.0, p * sum(left > 0 for left in waiting)))
        result[i][j] = largest
        waiting[i] -= 1
    return result


def holm(p_values: NDArray[np.float64]) -> NDArray[np.float64]:
    """Holm's corrected p-values along the last axis of an array without NaN.

    >>> holm(np.array([0.01, 0.04, 0.03])).tolist()
    [0.03, 0.06, 0.06]
    """
    order = np.argsort(p_values, axis=-1)
    count = p_values.shape[-1]
    factors = np.arange(count, 0, -1)
    rising = np.maximum.accumulate(np.take_along_axis(p_values, order, axis=-1) * factors, axis=-1)
    found = np.empty_like(p_values)
    np.put_along_axis(found, order, np.minimum(rising, 1.0), axis=-1)
    return found
