"""Correction of p-values for the number of claims that could have been made.

Holm 1979 (jstor:4615733) keeps the chance of any false claim below the level, whatever the tests' dependence. Where a
comparison is asked two questions whose null hypotheses cannot both be true (there is no difference; there is one as
large as δ), only one of them counts: Shaffer 1986, doi:10.1080/01621459.1986.10478341.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Final

LEVEL: Final = 0.05
"""p-values below it are a finding."""


def corrected(p_values: Sequence[Sequence[float]], others: int = 0, *, single_step: bool = False) -> list[list[float]]:
    """p-values that may be read at the same level as a single one.

    Args:
        p_values: For each comparison the p-values of its questions, of which at most one can have a true null
            hypothesis; NaN where a question was not tested, which counts as none.
        others: Comparisons that could have been claimed too and whose p-values are not known; they are taken as large,
            which only makes the correction stronger.
        single_step: Whether each is multiplied by the number of all comparisons (Bonferroni), so that it is below a
            level exactly where the interval at that level's share, which holds at once with all others, leaves out 0.

    Returns:
        The same, corrected; at most 1.

    >>> corrected([[0.01], [0.04], [0.03]])
    [[0.03], [0.06], [0.06]]
    """
    result = [[math.nan] * len(of) for of in p_values]
    waiting = [sum(math.isfinite(p) for p in of) for of in p_values]
    unanswered = others + sum(left > 0 for left in waiting)
    order = sorted((p, i, j) for i, of in enumerate(p_values) for j, p in enumerate(of) if math.isfinite(p))
    largest = 0.0
    for p, i, j in order:
        largest = max(largest, min(1.0, p * unanswered))
        result[i][j] = largest
        if single_step:
            continue
        waiting[i] -= 1
        unanswered -= waiting[i] == 0
    return result
