"""The variance of a mean over resampled training sets, such as the folds of a cross-validation.

Folds are not independent: any two of five share three quarters of their training images, and what one measures on the
others learnt from. The spread between folds then says too little, and a t test on it finds differences that are not
there. Nadeau & Bengio's correction takes the correlation of two such measurements to be the share of images that is
measured, which adds ``n_test / n_train`` to ``1 / n``.

Sources: Nadeau & Bengio 2003, Inference for the generalization error, doi:10.1023/A:1024068626366; repeated
cross-validation: Bouckaert & Frank 2004, doi:10.1007/978-3-540-24775-3_3. No unbiased estimate exists: Bengio &
Grandvalet 2004, https://jmlr.org/papers/v5/grandvalet04a.html.
"""

from __future__ import annotations

from collections.abc import Callable, Hashable, Mapping
from typing import TypeVar

import numpy as np
from numpy.typing import ArrayLike

Key = TypeVar("Key", bound=Hashable)
Part = TypeVar("Part", bound=Hashable)


def variance_of_mean(values: ArrayLike, test_to_train: float = 0.0) -> float:
    """Estimated variance of the mean of `values`: ``(1/n + n_test/n_train) s²``; plain ``s²/n`` where the ratio is 0.

    Args:
        values: (n,), one number a resampling, at least two.
        test_to_train: Number of images measured by the number trained on; 1 / (k - 1) for k folds.

    >>> variance_of_mean([1.0, 2.0, 3.0], test_to_train=0.5)
    0.8333333333333333
    """
    array = np.asarray(values, dtype=np.float64)
    return float((1 / array.size + test_to_train) * array.var(ddof=1))


def mean_by_part(values: Mapping[Key, float], part_of: Callable[[Key], Part]) -> dict[Part, float]:
    """Averages over what shares a part, such as the seeds of a fold, which are not independent of each other.

    >>> mean_by_part({("fold 0", 1): 2.0, ("fold 0", 2): 4.0, ("fold 1", 1): 5.0}, lambda key: key[0])
    {'fold 0': 3.0, 'fold 1': 5.0}
    """
    parts: dict[Part, list[float]] = {}
    for key, value in values.items():
        parts.setdefault(part_of(key), []).append(value)
    return {part: float(np.mean(found)) if len(found) > 1 else float(found[0]) for part, found in parts.items()}
