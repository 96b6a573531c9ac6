"""Whether a control does its work: labels without any signal, nets that have memorised them, and a test at chance.

Whoever tests above chance on such data has seen test labels. But a net that has not even memorised its training labels
would test at chance with a leak too, so it says nothing. `comparison.chance_level` makes a comparison a control.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from statistics import fmean
from typing import Literal

from scipy import stats

from vision_baselines.comparison.formatting import plural
from vision_baselines.comparison.metric import Metric
from vision_baselines.comparison.rows import GroupRow

UNIFORM = "uniform"
_MEMORISED = 0.99
_CONFIDENCE = 0.999  # an accusation: 95% would make it of one honest group in forty

Side = Literal["above", "below", "at chance"]
Outcome = Literal["above chance", "below chance", "cannot fail", "unknown", "at chance"]
# What is said of a group, the worst first.
CONTROL_WORDS: Mapping[Outcome, str] = {
    "above chance": "tests above chance, so the test labels were seen in training",
    "below chance": "tests below chance, which labels without a signal do not explain",
    "cannot fail": "has not memorised its training labels, so it would test at chance with a leak too",
    "unknown": "may not have memorised its training labels, so it may test at chance with a leak too",
    "at chance": "has memorised its training labels and tests at chance",
}


@dataclass(frozen=True)
class Control:
    """What a group of a control says: what came out and the numbers behind it, without a full stop."""

    label: str
    outcome: Outcome
    reason: str


def control_of(row: GroupRow, level: float | str, metric: Metric) -> Control | None:
    """Hold a group's mean test accuracy against chance; None where no run has finished.

    The interval is that of one share of the test images (Clopper & Pearson 1934, doi:10.1093/biomet/26.4.404), however
    many runs there are: all are tested on the same images, and the mean of runs that know nothing of the labels varies
    no more than a single one. Student's t over the runs is not asked: runs that leak unequally would widen it.

    Args:
        row: The group.
        level: Share of right answers without any signal; ``uniform`` is 1 / number of classes.
        metric: An accuracy on the test split; its name after ``train_split/`` is what the probe measured.
    """
    if not row.counted:
        return None
    record, summary = row.counted[0].record, row.metrics.get(metric.name)
    if summary is None or record.data is None or not metric.is_accuracy:
        return Control(row.label, "unknown", f"it has no accuracy to hold against chance, but {metric.title}")
    chance = 1 / record.data.num_classes if level == UNIFORM else float(level)
    side, low, high = against_chance(summary.mean, record.data.splits["test"].size, chance)
    found = f"{metric.written(summary.mean)}, {_CONFIDENCE:.1%} interval {metric.interval(low, high)}"
    verb = "contains" if side == "at chance" else "does not contain"
    found = f"{found} {verb} {metric.written(chance)}"
    if side == "above":
        copies = record.copies_of_test
        seen = f"; {plural(copies, 'test image')} {'is' if copies == 1 else 'are'} in train too" if copies else ""
        return Control(row.label, "above chance", found + seen)
    if side == "below":
        return Control(row.label, "below chance", found)
    memorised = Metric(f"train_split/{metric.name.rpartition('/')[2]}")
    train = [value for job in row.counted if (value := job.record.metrics.get(memorised.name)) is not None]
    if len(train) < len(row.counted):
        return Control(row.label, "unknown", "its accuracy on the training split was not measured (probe=train_split)")
    learnt = f"train accuracy {memorised.written(fmean(train))}"
    return Control(row.label, "at chance" if min(train) >= _MEMORISED else "cannot fail", f"{found}; {learnt}")


def against_chance(share: float, n: int, chance: float) -> tuple[Side, float, float]:
    """Where the interval of a share of `n` samples lies to chance, and its ends.

    >>> against_chance(0.12, 1000, 0.1)[0], against_chance(0.2, 1000, 0.1)[0]
    ('at chance', 'above')
    """
    low, high = share_interval(share, n)
    return "above" if low > chance else "below" if high < chance else "at chance", low, high


def share_interval(share: float, n: int, confidence: float = _CONFIDENCE) -> tuple[float, float]:
    """The exact interval of a share of `n` samples (Clopper & Pearson), for counts that need not be whole.

    >>> [round(end, 4) for end in share_interval(0.1, 1000, confidence=0.95)]
    [0.0821, 0.1203]
    """
    hits, tail = share * n, (1 - confidence) / 2
    low = float(stats.beta.ppf(tail, hits, n - hits + 1)) if hits > 0 else 0.0
    high = float(stats.beta.ppf(1 - tail, hits + 1, n - hits)) if hits < n else 1.0
    return low, high
