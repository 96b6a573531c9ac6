"""What a group's accuracy is read against: guessing, classes of the same weight, each class, how sure its nets are.

All but the calibration follows from the confusion matrices in the records; that needs predictions. Each figure is a
mean over a group's runs.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy import special

from vision_baselines.analysis import per_class
from vision_baselines.analysis.calibration import calibration_error
from vision_baselines.analysis.two_way import wilson_interval
from vision_baselines.comparison.outcomes import usable_outcomes
from vision_baselines.comparison.rows import GroupRow

Counts = NDArray[np.float64]
_Z = float(special.ndtri(0.975))


@dataclass(frozen=True)
class ClassRecall:
    """The share of a class's test images that a group gets right: the mean over its runs.

    The ends are those of Wilson's 95% interval for that share of `n_images`: where the mean of these runs would be on
    other images of the class.
    """

    name: str
    n_images: int
    recall: float
    low: float
    high: float


@dataclass(frozen=True)
class ReadAgainst:
    """Shares of 1.

    Attributes:
        largest_class: What always answering with the most frequent class would reach.
        balanced_accuracy: Mean recall of the classes that occur.
        macro_f1: Mean F1 score of the classes that occur or are predicted.
        one_image: What one test image is of the accuracy; of the fewest images, where runs differ.
        calibration_error: Expected calibration error, 15 bins of equal width; None without probabilities.
        lowest: The class that is known worst, the first of equals.
    """

    largest_class: float
    balanced_accuracy: float
    macro_f1: float
    one_image: float
    calibration_error: float | None
    lowest: ClassRecall


def read_against(row: GroupRow) -> ReadAgainst | None:
    """The figures of a group; None where no counted run has a confusion matrix."""
    tested = _tested(row)
    if not tested:
        return None

    def mean(of: Callable[[Counts], float]) -> float:
        return float(np.mean([of(counts) for counts, _ in tested]))

    errors = [calibration_error(found.reliability) for found in usable_outcomes(row)]
    finite = [error for error in errors if math.isfinite(error)]
    return ReadAgainst(
        largest_class=mean(per_class.largest_class_share),
        balanced_accuracy=mean(per_class.balanced_accuracy),
        macro_f1=mean(per_class.macro_f1),
        one_image=max(1 / float(counts.sum()) for counts, _ in tested),
        calibration_error=float(np.mean(finite)) if finite else None,
        lowest=min(_recalls(tested), key=lambda found: found.recall),
    )


def class_recalls(row: GroupRow) -> list[ClassRecall]:
    """Every class that occurs in the test split of the first counted run; runs of another test split are left out."""
    tested = _tested(row)
    return _recalls(tested) if tested else []


def reliability_bins(row: GroupRow) -> NDArray[np.float64] | None:
    """Bins (3, BINS) of `analysis.calibration.reliability`, summed over runs; None without probabilities."""
    found = [outcome.reliability for outcome in usable_outcomes(row) if outcome.reliability[0].any()]
    return np.sum(found, axis=0) if found else None


def _tested(row: GroupRow) -> list[tuple[Counts, list[str]]]:
    """Confusion matrix and names of the classes of each counted run that was tested on an image."""
    found = [
        (np.array(job.record.confusion, dtype=np.float64), job.record.class_names or [])
        for job in row.counted
        if job.record.confusion
    ]
    return [(counts, names) for counts, names in found if counts.any()]


def _recalls(tested: list[tuple[Counts, list[str]]]) -> list[ClassRecall]:
    sizes, names = tested[0][0].sum(axis=1), tested[0][1]
    same = [counts for counts, own in tested if own == names and np.array_equal(counts.sum(axis=1), sizes)]
    there = np.flatnonzero(sizes).tolist()
    means = np.mean([per_class.recalls(counts)[there] for counts in same], axis=0).tolist()
    return [
        ClassRecall(
            names[label] if label < len(names) else str(label),
            int(sizes[label]),
            recall,
            *wilson_interval(recall, float(sizes[label]), _Z),
        )
        for label, recall in zip(there, means, strict=True)
    ]
