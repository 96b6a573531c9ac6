"""Mean, spread, confidence interval and paired difference of a few repeated runs.

Runs are few (often 3 to 10 seeds), so intervals are Student's t, not normal, and two models are
compared run by run on the same seed: the seed's own luck then cancels. Where the numbers cannot
answer, the result says so instead of giving a p-value.

Source: Student 1908, doi:10.2307/2331554; torch is not needed to read a report, so it is not here.
"""

import math
from collections.abc import Hashable, Iterable, Mapping
from dataclasses import dataclass
from functools import lru_cache
from typing import Final, Literal, TypeVar

import numpy as np
from numpy.typing import NDArray
from scipy import stats

from vision_baselines.analysis.resampling import variance_of_mean

Key = TypeVar("Key", bound=Hashable)

Conclusion = Literal["larger", "smaller", "not distinguishable", "equal", "identical", "no spread", "too few pairs"]

MIN_PAIRS: Final = 3
"""Pairs below which no conclusion is drawn: two differences give one degree of freedom, an interval
12.7 standard errors wide, and on a small test set two equal differences are a coincidence."""

_ROUNDING: Final = 2.0**-21
"""Relative. Runs are measured in float32: each value may be off by 2^-24 of itself, a difference of two by twice
that, the range of such differences by four times; twice as much leaves room for a sum. One image in 100,000 is more
than twenty times as much."""


@dataclass(frozen=True)
class Summary:
    """One number per run, summarised; all but `n` in the unit of the values.

    Attributes:
        n: Number of values.
        mean: Arithmetic mean.
        std: Sample standard deviation (``ddof=1``); NaN for one value.
        ci_low: Lower end of the t interval of the mean; NaN for one value.
        ci_high: Upper end; NaN for one value.
        median: Middle value.
        min: Smallest value.
        max: Largest value.
    """

    n: int
    mean: float
    std: float
    ci_low: float
    ci_high: float
    median: float
    min: float
    max: float


@dataclass(frozen=True)
class PairedDifference:
    """Mean of ``a - b`` over the keys both have, and whether it can be told from zero.

    Attributes:
        n: Number of pairs.
        unpaired: Number of keys that only one side has; they are left out.
        mean: Mean difference ``a - b``; NaN for no pairs.
        ci_low: Lower end of the t interval of the mean difference; NaN where there is no spread.
        ci_high: Upper end; NaN where there is no spread.
        p_value: Two-sided paired t test; NaN where there is no spread.
        conclusion: ``"larger"`` or ``"smaller"`` where the interval leaves out zero (a against b),
            ``"not distinguishable"`` where it holds zero, ``"identical"`` where every pair is equal,
            ``"no spread"`` where every pair differs by the same amount (the t test has nothing to
            divide by; the seed probably reached neither run), ``"too few pairs"`` below `MIN_PAIRS`. Where several
            comparisons are made, the two first follow the corrected p-value, and ``"equal"`` says that the difference
            is within a margin.
        over: What the pairs are, in words, where they are not seeds: ``"5 folds × 3 seeds"``.
        p_corrected: p-value, corrected for the number of comparisons; NaN where that was not done.
        standard_error: Of the mean difference; NaN where there is no spread.
        degrees: Degrees of freedom of that error.
        is_paired: Whether runs are paired; else `n` is the smaller number of runs of a side, and the test is Welch's.
    """

    n: int
    unpaired: int
    mean: float
    ci_low: float
    ci_high: float
    p_value: float
    conclusion: Conclusion
    over: str = ""
    p_corrected: float = math.nan
    standard_error: float = math.nan
    degrees: float = math.nan
    is_paired: bool = True

    @property
    def is_tested(self) -> bool:
        """Whether there is a p-value."""
        return math.isfinite(self.p_value)

    @property
    def p(self) -> float:
        """The p-value that the conclusion follows: the corrected one where there is one."""
        return self.p_corrected if math.isfinite(self.p_corrected) else self.p_value


def summarize(values: Iterable[float], confidence: float = 0.95, *, test_to_train: float = 0.0) -> Summary:
    """Mean, spread, interval and range of one number per run.

    Args:
        values: One number per run, at least one, all finite.
        confidence: Coverage of the interval, between 0 and 1.
        test_to_train: See `resampling.variance_of_mean`; 0 for independent values.

    Raises:
        ValueError: No values, a value that is not finite, or a confidence outside (0, 1).

    >>> summarize([0.5, 0.6, 0.7]).median
    0.6
    """
    array = np.asarray(list(values), dtype=np.float64)
    _require_confidence(confidence)
    if array.size == 0:
        raise ValueError("values: expected at least one number, got none")
    if not np.isfinite(array).all():
        for position, value in enumerate(array):
            _require_finite(f"values[{position}]", float(value))
    ci_low, ci_high = _t_interval(array, confidence, test_to_train)
    return Summary(
        n=array.size,
        mean=float(array.mean()),
        std=float(array.std(ddof=1)) if array.size > 1 else math.nan,
        ci_low=ci_low,
        ci_high=ci_high,
        median=float(np.median(array)),
        min=float(array.min()),
        max=float(array.max()),
    )


def paired_difference(
    a: Mapping[Key, float], b: Mapping[Key, float], *, confidence: float = 0.95, test_to_train: float = 0.0
) -> PairedDifference:
    """Difference ``a - b`` over runs that share a key, with interval, p-value and a plain conclusion.

    Args:
        a: One finite number per key (a seed, say).
        b: The same for the other side; keys found on one side only are counted and left out.
        confidence: Coverage of the interval, between 0 and 1.
        test_to_train: See `resampling.variance_of_mean`; 0 for independent values.

    Raises:
        ValueError: A value that is not finite, or a confidence outside (0, 1).

    >>> paired_difference({0: 0.91, 1: 0.92, 2: 0.94}, {0: 0.80, 1: 0.83, 2: 0.82}).conclusion
    'larger'
    """
    _require_confidence(confidence)
    for name, side in (("a", a), ("b", b)):
        for key, value in side.items():
            _require_finite(f"{name}[{key!r}]", value)
    shared = [key for key in a if key in b]
    left, right = np.array([a[key] for key in shared]), np.array([b[key] for key in shared])
    differences = np.asarray(left - right, dtype=np.float64)
    n = len(shared)
    mean = float(differences.mean()) if n else math.nan

    ci_low = ci_high = p_value = error = math.nan
    # The spread of equal differences is a rounding residue, and t would divide by it.
    rounding = _ROUNDING * float(max(np.abs(left).max(), np.abs(right).max())) if n else 0.0
    has_spread = n > 1 and float(np.ptp(differences)) > rounding
    if has_spread:
        ci_low, ci_high = _t_interval(differences, confidence, test_to_train)
        error = math.sqrt(variance_of_mean(differences, test_to_train))
        p_value = float(2 * stats.t.sf(abs(mean) / error, n - 1))

    conclusion: Conclusion
    if n < MIN_PAIRS:
        conclusion = "too few pairs"
    elif not has_spread:
        conclusion = "identical" if abs(mean) <= rounding else "no spread"
    elif ci_low <= 0 <= ci_high:
        conclusion = "not distinguishable"
    else:
        conclusion = "larger" if mean > 0 else "smaller"
    return PairedDifference(
        n=n,
        unpaired=len(a) + len(b) - 2 * n,
        mean=mean,
        ci_low=ci_low,
        ci_high=ci_high,
        p_value=p_value,
        conclusion=conclusion,
        standard_error=error,
        degrees=n - 1,
    )


def satterthwaite(total: float, parts: Iterable[tuple[float, float]]) -> float:
    """Degrees of freedom of a variance that is a sum of estimates (1946, doi:10.2307/3002019).

    Args:
        total: The sum.
        parts: Each estimate, and its own degrees of freedom.

    >>> satterthwaite(2.0, [(1.0, 4), (1.0, 4)])
    8.0
    """
    return total**2 / sum(part**2 / degrees for part, degrees in parts)


def _t_interval(values: NDArray[np.float64], confidence: float, test_to_train: float) -> tuple[float, float]:
    n = values.size
    if n < 2:
        return math.nan, math.nan
    mean = float(values.mean())
    half_width = _t_quantile((1 + confidence) / 2, n - 1) * math.sqrt(variance_of_mean(values, test_to_train))
    return mean - half_width, mean + half_width


@lru_cache(maxsize=2**10)  # a comparison asks hundreds of times for the same few
def _t_quantile(share: float, degrees: int) -> float:
    return float(stats.t.ppf(share, degrees))


def _require_confidence(confidence: float) -> None:
    if not 0 < confidence < 1:
        raise ValueError(f"confidence: expected a number between 0 and 1, got {confidence!r}")


def _require_finite(name: str, value: float) -> None:
    if not math.isfinite(value):
        raise ValueError(f"{name}: expected a finite number (a diverged run has no place in a mean), got {value!r}")
