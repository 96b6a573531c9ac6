"""What a group's accuracy is read against: guessing, classes of the same weight, each class, how sure its nets are.

All but the calibration follows from the confusion matrices in the records; that needs predictions. Each figure is a
mean over a group's runs.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy import special

from vision_baselines.analysis import per_class
from vision_baselines.analysis.calibration import calibration_error
from vision_baselines.analysis.two_way import wilson_interval
from vision_baselines.comparison.collection import Job
from vision_baselines.comparison.kept import kept
from vision_baselines.comparison.outcomes import Outcome, usable_outcomes
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
    return _figures(row.counted, tuple(usable_outcomes(row)))[0]


def class_recalls(row: GroupRow) -> list[ClassRecall]:
    """Every class that occurs in the test split of the first counted run; runs of another test split are left out."""
    return list(_figures(row.counted, tuple(usable_outcomes(row)))[1])


def reliability_bins(row: GroupRow) -> NDArray[np.float64] | None:
    """Bins (3, BINS) of `analysis.calibration.reliability`, summed over runs; None without probabilities."""
    found = [outcome.reliability for outcome in usable_outcomes(row) if outcome.reliability[0].any()]
    return np.sum(found, axis=0) if found else None


@kept()
def _figures(
    jobs: tuple[Job, ...], outcomes: tuple[Outcome, ...]
) -> tuple[ReadAgainst | None, tuple[ClassRecall, ...]]:
    tested = _tested(jobs)
    if not tested:
        return None, ()
    matrices = [counts for counts, _ in tested]
    stacks = [np.stack(matrices)] if len({counts.shape for counts in matrices}) == 1 else matrices

    def each(of: Callable[[Counts], NDArray[np.float64]]) -> NDArray[np.float64]:
        return np.hstack([of(stack) for stack in stacks])

    errors = calibration_error(np.stack([found.reliability for found in outcomes])) if outcomes else np.empty(0)
    finite = errors[np.isfinite(errors)]
    of_classes = _recalls(tested)
    return ReadAgainst(
        largest_class=float(each(per_class.largest_class_share).mean()),
        balanced_accuracy=float(each(per_class.balanced_accuracy).mean()),
        macro_f1=float(each(per_class.macro_f1).mean()),
        one_image=1 / float(each(lambda counts: counts.sum(axis=(-2, -1))).min()),
        calibration_error=float(finite.mean()) if finite.size else None,
        lowest=min(of_classes, key=lambda found: found.recall),
    ), of_classes


def _tested(jobs: Sequence[Job]) -> list[tuple[Counts, list[str]]]:
    """Confusion matrix and names of the classes of each run that was tested on an image."""
    found = [
        (np.array(confusion, dtype=np.float64), job.record.class_names or [])
        for job in jobs
        if (confusion := job.record.confusion)
    ]
    return [(counts, names) for counts, names in found if counts.any()]


def _recalls(tested: list[tuple[Counts, list[str]]]) -> tuple[ClassRecall, ...]:
    first, names = tested[0]
    sizes = first.sum(axis=1)
    alike = np.stack([counts for counts, own in tested if counts.shape == first.shape and own == names])
    same = alike[(alike.sum(axis=-1) == sizes).all(axis=-1)]
    there = np.flatnonzero(sizes).tolist()
    means = per_class.recalls(same).mean(axis=0)[there].tolist()
    return tuple(
        ClassRecall(
            names[label] if label < len(names) else str(label),
            int(sizes[label]),
            recall,
            *wilson_interval(recall, float(sizes[label]), _Z),
        )
        for label, recall in zip(there, means, strict=True)
    )
