"""What guessing would reach: the share of the largest class, and whether a group's accuracy is above it.

All of it is read from the confusion matrices that runs keep, so it is there for tasks with classes only.
"""

from __future__ import annotations

import math
from statistics import fmean

import numpy as np

from vision_baselines.analysis import per_class
from vision_baselines.comparison.collection import Job
from vision_baselines.comparison.kept import kept
from vision_baselines.comparison.metric import Metric
from vision_baselines.comparison.rows import GroupRow
from vision_baselines.runs.record import RunRecord
from vision_baselines.tasks.names import is_accuracy


@kept()
def records_alike(jobs: tuple[Job, ...]) -> list[RunRecord]:
    """A record for each of the different data that some jobs were tested on: what is said here follows from it."""
    return list({(job.record.class_sizes, id(job.record.data)): job.record for job in reversed(jobs)}.values())


def largest_class_share(record: RunRecord) -> float | None:
    """The part of the test images that belongs to the most frequent class; None where the classes are not known."""
    sizes = record.class_sizes
    return max(sizes) / total if (total := sum(sizes)) > 0 else None


def tested_images(record: RunRecord) -> int:
    """Number of test images in the record's confusion matrix; 0 where it has none."""
    return sum(record.class_sizes)


def compared_images(record: RunRecord, metric: Metric) -> int:
    """Number of images that an accuracy is over; 0 where `metric` is no share of right answers, or that is unknown."""
    if metric.is_accuracy:
        return tested_images(record)
    split, _, quantity = metric.name.partition("/")
    splits = record.data.splits if record.data else {}
    return splits[split].size if split in splits and is_accuracy(f"test/{quantity}") else 0


def balanced_accuracy(row: GroupRow) -> float | None:
    """The mean over a group's runs of the mean share of right answers of each class that occurs in the test split."""
    found = [counts for job in row.counted if np.any(counts := job.record.confusion or [])]
    return fmean(float(per_class.balanced_accuracy(counts)) for counts in found) if found else None


def is_guessing(row: GroupRow, accuracy: float) -> bool:
    """Whether a mean test accuracy is not above that of always answering with the largest class.

    Two standard errors of a share over the test images are not told apart.
    """
    record = next((job.record for job in row.counted if largest_class_share(job.record)), None)
    share = largest_class_share(record) if record else None
    if record is None or share is None:
        return False
    images = tested_images(record)
    return accuracy <= share + 2 * math.sqrt(share * (1 - share) / images)
