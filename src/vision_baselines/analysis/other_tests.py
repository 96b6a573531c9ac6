"""Tests that stand beside the paired t test over seeds: without pairs, and for two single runs.

A design is chosen before the results are seen, so none of these replaces the other afterwards: groups that share seeds
are paired, others are not. Beside a paired test they show what pairing was worth.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import replace

import numpy as np
from numpy.typing import ArrayLike
from scipy import special, stats

from vision_baselines.analysis.statistics import Conclusion, PairedDifference, satterthwaite


def welch_difference(a: Sequence[float], b: Sequence[float], confidence: float = 0.95) -> PairedDifference:
    """Difference ``a - b`` of the means of runs that share no seed, by Welch's t test.

    Source: Welch 1947, doi:10.1093/biomet/34.1-2.28. Without spread on both sides, or below 2 runs a side, there is no
    p-value.

    >>> round(welch_difference([3.0, 4.0, 5.0], [1.0, 2.0, 4.5]).p_value, 4)
    0.2935
    """
    left, right = np.asarray(a, dtype=np.float64), np.asarray(b, dtype=np.float64)
    n = min(left.size, right.size)
    mean = float(left.mean() - right.mean()) if n else math.nan
    unknown = PairedDifference(n, 0, mean, math.nan, math.nan, math.nan, "too few pairs", is_paired=False)
    if n < 2:
        return unknown
    of_left, of_right = float(left.var(ddof=1)) / left.size, float(right.var(ddof=1)) / right.size
    error = math.sqrt(of_left + of_right)
    if error <= 1e-10:
        return replace(unknown, conclusion="identical" if abs(mean) <= 1e-10 else "no spread")
    degrees = satterthwaite(of_left + of_right, [(of_left, left.size - 1), (of_right, right.size - 1)])
    half = float(special.stdtrit(degrees, (1 + confidence) / 2)) * error
    apart: Conclusion = "larger" if mean > 0 else "smaller"
    return replace(
        unknown,
        ci_low=mean - half,
        ci_high=mean + half,
        p_value=2 * float(special.stdtr(degrees, -abs(mean) / error)),
        conclusion=apart if abs(mean) > half else "not distinguishable",
        standard_error=error,
        degrees=degrees,
    )


def pair_correlation(a: Sequence[float], b: Sequence[float]) -> float:
    """Pearson's correlation of two sides of the same pairs; NaN below 3 pairs or without spread on a side.

    Above 0, sharing a seed made the difference surer; below 0, less sure.

    >>> round(pair_correlation([1.0, 2.0, 3.0], [1.0, 2.0, 4.0]), 3)
    0.982
    """
    left, right = np.asarray(a, dtype=np.float64), np.asarray(b, dtype=np.float64)
    if left.size < 3 or min(np.ptp(left), np.ptp(right)) <= 1e-10:
        return math.nan
    return float(np.corrcoef(left, right)[0, 1])


def mcnemar_p(a: ArrayLike, b: ArrayLike) -> float:
    """McNemar's exact two-sided p-value (1947, doi:10.1007/BF02295996) for two runs on the same images.

    It speaks of these two sets of weights and says nothing of other seeds. 1 where no image tells them apart.

    Args:
        a: bool ``(N,)``: whether the run was right on an image.
        b: The same for the other run.

    Raises:
        ValueError: Shapes that differ.

    >>> round(mcnemar_p([True] * 8 + [False] * 2, [False] * 8 + [True] * 2), 4)
    0.1094
    """
    left, right = np.asarray(a, dtype=bool), np.asarray(b, dtype=bool)
    if left.shape != right.shape:
        raise ValueError(f"a, b: expected the same images, got {left.shape} and {right.shape}")
    only_left, only_right = int((left & ~right).sum()), int((right & ~left).sum())
    if only_left + only_right == 0:
        return 1.0
    return float(stats.binomtest(only_left, only_left + only_right).pvalue)
