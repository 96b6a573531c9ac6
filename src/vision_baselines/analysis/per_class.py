"""What a confusion matrix says of each class, and accuracies that give every class the same weight.

Of 570 healthy and 30 sick pictures, a net that has learned nothing is right for 95%. Everything here is exact from the
counts (num_classes, num_classes): rows are true classes, columns predicted ones.
"""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import ArrayLike, NDArray


def largest_class_share(confusion: ArrayLike) -> float:
    """The part of the images that belongs to the most frequent true class; NaN without an image."""
    sizes = np.asarray(confusion, dtype=np.float64).sum(axis=1)
    return float(sizes.max() / sizes.sum()) if sizes.any() else math.nan


def recalls(confusion: ArrayLike) -> NDArray[np.float64]:
    """The share of right answers for each true class, (num_classes,); NaN where a class has no image.

    >>> recalls([[8, 2], [0, 10]]).tolist()
    [0.8, 1.0]
    """
    counts = np.asarray(confusion, dtype=np.float64)
    sizes = counts.sum(axis=1)
    shares: NDArray[np.float64] = np.full(len(sizes), np.nan)
    np.divide(np.diag(counts), sizes, out=shares, where=sizes > 0)
    return shares


def balanced_accuracy(confusion: ArrayLike) -> float:
    """The mean recall of the classes that have an image, as scikit-learn's; NaN without one."""
    found = recalls(confusion)
    found = found[np.isfinite(found)]
    return float(found.mean()) if found.size else math.nan


def macro_f1(confusion: ArrayLike) -> float:
    """The mean F1 score of the classes that occur or are predicted, as scikit-learn's; NaN without an image.

    F1 is 2 · right / (images of the class + images taken for it).

    >>> round(macro_f1([[8, 2], [0, 10]]), 4)
    0.899
    """
    counts = np.asarray(confusion, dtype=np.float64)
    sizes = counts.sum(axis=1) + counts.sum(axis=0)
    return float((2 * np.diag(counts)[sizes > 0] / sizes[sizes > 0]).mean()) if sizes.any() else math.nan
