"""How far a result that was made again elsewhere may lie from the recorded one."""

from __future__ import annotations

import math

from scipy import stats


def reproduction_margin(
    mean: float, *, std: float = math.nan, n: int = 1, n_new: int = 1, test_size: int | None = None, level: float = 0.05
) -> float | None:
    """Half the width of the prediction interval for the mean of new runs.

    From the spread of the runs (Student's t, unequal numbers), but at least what results of the same accuracy differ by
    when they are shares of `test_size` images: a recorded spread of zero says little where there were few runs.

    Args:
        mean: Of the recorded runs; a share of 1 where `test_size` is given.
        std: Standard deviation of the recorded runs; not a number for a single one.
        n: Number of recorded runs.
        n_new: Number of new runs.
        test_size: Images in the test split; None where the metric is not a share of them.
        level: How often a result of the same process lies outside, by chance.

    Returns:
        The margin; None where neither a spread nor a test size is known.

    >>> round(reproduction_margin(0.97, test_size=360), 3)
    0.025
    """
    scale = math.sqrt(1 / n + 1 / n_new)
    margins = []
    if n > 1 and math.isfinite(std):
        margins.append(float(stats.t.ppf(1 - level / 2, n - 1)) * std * scale)
    if test_size:
        share = min(max(mean, 1 / (test_size + 2)), 1 - 1 / (test_size + 2))
        margins.append(float(stats.norm.ppf(1 - level / 2)) * math.sqrt(share * (1 - share) / test_size) * scale)
    return max(margins, default=None)
