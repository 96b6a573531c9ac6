"""Whether a mean difference is known to be smaller than a margin: two one-sided t tests.

Source: Schuirmann 1987, doi:10.1007/BF01068419. A difference that "cannot be told apart from zero" may be large and
badly measured; "equal within ± δ" is a claim of its own, with an error rate of its own.
"""

from __future__ import annotations

import math

from scipy import special


def equivalence_p(mean: float, standard_error: float, degrees: float, margin: float) -> float:
    """The p-value of "the true mean lies outside ± margin": the larger one of two one-sided t tests.

    Args:
        mean: Mean difference.
        standard_error: Of that mean, above 0.
        degrees: Degrees of freedom of that error.
        margin: δ, above 0, in the unit of the mean.

    Returns:
        At most the level where the interval of coverage 1 - 2 · level lies within ± margin; NaN without an error.

    Raises:
        ValueError: A margin that is not above 0.

    >>> round(equivalence_p(0.001, 0.0024495, 4, 0.01), 4)
    0.0107
    """
    if not margin > 0:
        raise ValueError(f"margin: expected a number above 0, got {margin!r}")
    if not (math.isfinite(mean) and standard_error > 0 and degrees > 0):
        return math.nan
    return float(special.stdtr(degrees, (abs(mean) - margin) / standard_error))
