"""What a confusion matrix says of each class, and accuracies that give every class the same weight.

Of 570 healthy and 30 sick pictures, a net that has learned nothing is right for 95%. Everything here is exact from the
counts (num_classes, num_classes): rows are true classes, columns predicted ones. Those of several runs may be given at
once, (..., num_classes, num_classes).
"""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike, NDArray


def largest_class_share(confusion: ArrayLike) -> NDArray[np.float64]:
    """The part of the images that belongs to the most frequent true class, (...); NaN without an image."""
    sizes = np.asarray(confusion, dtype=np.float64).sum(axis=-1)
    return _shares(sizes.max(axis=-1), sizes.sum(axis=-1))


def recalls(confusion: ArrayLike) -> NDArray[np.float64]:
    """The share of right answers for each true class, (..., num_classes); NaN where a class has no image.

    >>> recalls([[8, 2], [0, 10]]).tolist()
    [0.8, 1.0]
    """
    counts = np.asarray(confusion, dtype=np.float64)
    return _shares(_right(counts), counts.sum(axis=-1))


def balanced_accuracy(confusion: ArrayLike) -> NDArray[np.float64]:
    """The mean recall of the classes that have an image, (...), as scikit-learn's; NaN without one."""
    return _mean_of_numbers(recalls(confusion))


def macro_f1(confusion: ArrayLike) -> NDArray[np.float64]:
    """The mean F1 score of the classes that occur or are predicted, (...), as scikit-learn's; NaN without an image.

    F1 is 2 · right / (images of the class + images taken for it).

    >>> round(float(macro_f1([[8, 2], [0, 10]])), 4)
    0.899
    """
    counts = np.asarray(confusion, dtype=np.float64)
    return _mean_of_numbers(_shares(2 * _right(counts), counts.sum(axis=-1) + counts.sum(axis=-2)))


def _right(counts: NDArray[np.float64]) -> NDArray[np.float64]:
    return np.diagonal(counts, axis1=-2, axis2=-1)


def _shares(parts: NDArray[np.float64], wholes: NDArray[np.float64]) -> NDArray[np.float64]:
    """Parts of wholes; NaN of nothing."""
    shares: NDArray[np.float64] = np.full(np.shape(wholes), np.nan)
    np.divide(parts, wholes, out=shares, where=wholes > 0)
    return shares


def _mean_of_numbers(values: NDArray[np.float64]) -> NDArray[np.float64]:
    """The means over the last axis of what is not NaN; NaN of nothing."""
    there = np.isfinite(values)
    if there.all() and values.shape[-1]:
        return np.asarray(values.mean(axis=-1))
    if values.ndim > 1:
        return np.array([_mean_of_numbers(line) for line in values])
    return np.asarray(values[there].mean() if there.any() else np.nan)
