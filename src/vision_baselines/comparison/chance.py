"""What guessing would reach: the share of the largest class, and accuracies that give every class the same weight.

Of 570 healthy and 30 sick pictures, a net that has learned nothing is right for 95%. All of it is read from the
confusion matrices that runs keep, so it is there for tasks with classes only.
"""

from __future__ import annotations

import math
from statistics import fmean

import numpy as np

from vision_baselines.comparison.rows import GroupRow
from vision_baselines.runs.record import RunRecord


def largest_class_share(record: RunRecord) -> float | None:
    """The part of the test images that belongs to the most frequent class; None where the classes are not known."""
    sizes = np.sum(record.confusion or [], axis=-1)
    return float(np.max(sizes) / np.sum(sizes)) if np.any(sizes) else None


def balanced_accuracy(row: GroupRow) -> float | None:
    """The mean over a group's runs of the mean share of right answers of each class that occurs in the test split."""
    found = []
    for job in row.counted:
        counts = np.array(job.record.confusion or [], dtype=np.float64)
        if counts.any():
            sizes = counts.sum(axis=1)
            found.append(float((np.diag(counts)[sizes > 0] / sizes[sizes > 0]).mean()))
    return fmean(found) if found else None


def is_guessing(row: GroupRow, accuracy: float) -> bool:
    """Whether a mean test accuracy is not above that of always answering with the largest class.

    Two standard errors of a share over the test images are not told apart.
    """
    record = next((job.record for job in row.counted if largest_class_share(job.record)), None)
    share = largest_class_share(record) if record else None
    if record is None or share is None:
        return False
    images = float(np.sum(record.confusion or []))
    return accuracy <= share + 2 * math.sqrt(share * (1 - share) / images)
