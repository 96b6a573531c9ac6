"""The numbers of one group: a summary of each metric, costs, and the paired difference to a baseline.

Only finished jobs count, and a repetition counts once: two finished jobs of a group with the same
fingerprint and seed are the same deterministic run, so the second says nothing new (it would make an
interval too narrow). Every record is in exactly one of finished, failed, pending, pruned, repeated and partial.

Formulas are in `analysis.statistics`; how numbers are written is left to `metric` and `report`.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from statistics import fmean, median
from typing import TYPE_CHECKING

from vision_baselines.analysis.other_tests import welch_difference
from vision_baselines.analysis.resampling import mean_by_part
from vision_baselines.analysis.statistics import MIN_PAIRS, PairedDifference, Summary, paired_difference, summarize
from vision_baselines.analysis.two_way import OverImages
from vision_baselines.comparison.collection import Job
from vision_baselines.comparison.grouping import Group
from vision_baselines.comparison.kept import kept
from vision_baselines.comparison.metric import Metric
from vision_baselines.comparison.repetition import (
    Part,
    Repetition,
    differing_test_sets,
    in_words,
    repetition_of,
    resampling_ratio,
)
from vision_baselines.runs.record import Status

if TYPE_CHECKING:
    from vision_baselines.comparison.evidence import Evidence

FAILED = (Status.FAILED, Status.DIVERGED)
_PENDING = tuple(state for state in Status if state not in (*FAILED, Status.FINISHED, Status.PRUNED))


@dataclass(frozen=True)
class Costs:
    """What a group costs; medians over its finished jobs, None where no job says."""

    parameters: float | None = None
    flops_per_image: float | None = None
    fit_s: float | None = None
    images_per_s: float | None = None
    peak_memory_bytes: float | None = None


@dataclass(frozen=True)
class GroupRow:
    """One group; `counted` are the jobs its numbers come from, `jobs` all it has.

    `partial` are finished jobs that used a part of the data only, such as a quick try; they stand in no number.
    `over_images` is the accuracy for other test images too, None where predictions are missing, and `evidence` what
    stands beside the difference.
    `is_tested_elsewhere` says that its test images are not the baseline's, so that there is no `difference`.
    """

    label: str
    jobs: tuple[Job, ...]
    counted: tuple[Job, ...]
    repeated: tuple[Job, ...]
    metrics: dict[str, Summary]
    best: dict[str, float]
    costs: Costs
    difference: PairedDifference | None = None
    is_tested_elsewhere: bool = False
    partial: tuple[Job, ...] = ()
    over_images: OverImages | None = None
    evidence: Evidence | None = None

    @property
    def n_finished(self) -> int:
        """Number of jobs that count."""
        return len(self.counted)

    @property
    def failed(self) -> tuple[Job, ...]:
        """Jobs that raised, were killed or diverged."""
        return _in_state(self.jobs, FAILED)

    @property
    def pending(self) -> tuple[Job, ...]:
        """Jobs that run or were interrupted, and may yet finish."""
        return _in_state(self.jobs, _PENDING)

    @property
    def pruned(self) -> tuple[Job, ...]:
        """Jobs that a search ended, since their setting could not win."""
        return _in_state(self.jobs, (Status.PRUNED,))

    def values(self, metric: str) -> dict[Repetition, float]:
        """The metric by seed, split seed and fold; the mean where a group has several runs of one repetition."""
        return values_of(self.counted, metric)

    def having(self, metric: str) -> GroupRow:
        """The group with those counted runs only that its mean of a metric is of."""
        return replace(self, counted=_having(self.counted, metric))

    def averaged_over(self, metric: str) -> str:
        """What the mean of a metric was taken over, as in ``5 folds × 3 seeds``; empty where that is seeds alone."""
        return _averaged_over(self.counted, metric)


@kept()
def _averaged_over(counted: tuple[Job, ...], metric: str) -> str:
    found = values_of(counted, metric)
    return in_words(found) if len({part for _, part in found}) > 1 else ""


def row_of(group: Group, metrics: Mapping[str, Metric]) -> GroupRow:
    """A group's numbers: a summary of each metric over its jobs that count."""
    return _row(group.label, group.jobs, tuple(metrics.items()))


@kept()
def _row(label: str, jobs: tuple[Job, ...], named: tuple[tuple[str, Metric], ...]) -> GroupRow:
    metrics = dict(named)
    first: dict[tuple[str, int], Job] = {}
    repeated = []
    whole = [job for job in jobs if job.record.finished and not job.record.partial]
    for job in whole:
        if first.setdefault((job.record.fingerprint, job.record.seed), job) is not job:
            repeated.append(job)
    counted = tuple(first.values())
    by_metric: dict[str, list[float]] = {}
    for name in metrics:
        values = [job.record.metrics.get(name, math.nan) for job in counted]
        if finite := [value for value in values if math.isfinite(value)]:
            by_metric[name] = finite
    ratios = {name: resampling_ratio([job.record for job in counted], name) for name in by_metric}
    seeds = {name: values_of(counted, name) for name in by_metric}
    return GroupRow(
        label=label,
        jobs=jobs,
        counted=counted,
        repeated=tuple(repeated),
        partial=tuple(job for job in jobs if job.record.finished and job.record.partial),
        metrics={
            name: _bounded(_summary(values, seeds[name], ratios[name]), metrics[name])
            for name, values in by_metric.items()
        },
        best={name: metrics[name].best(values) for name, values in by_metric.items()},
        costs=_costs(counted),
    )


@kept()
def _in_state(jobs: tuple[Job, ...], states: tuple[Status, ...]) -> tuple[Job, ...]:
    return tuple(job for job in jobs if job.record.status in states)


@kept()
def _having(jobs: tuple[Job, ...], metric: str) -> tuple[Job, ...]:
    return tuple(job for job in jobs if math.isfinite(job.record.metrics.get(metric, math.nan)))


@kept()
def values_of(jobs: tuple[Job, ...], metric: str) -> dict[Repetition, float]:
    """A metric of some runs by seed, split seed and fold; the mean where several are of one repetition."""
    found: dict[Repetition, list[float]] = {}
    for job in jobs:
        value = job.record.metrics.get(metric, math.nan)
        if math.isfinite(value):
            found.setdefault(repetition_of(job.record), []).append(value)
    return {repetition: fmean(values) if len(values) > 1 else values[0] for repetition, values in found.items()}


def draw_of(repetitions: Iterable[Repetition]) -> Callable[[Repetition], Repetition | Part]:
    """Which runs an interval counts as one: those of a seed; where there are several parts, those of a part."""
    several = len({key.part for key in repetitions}) > 1
    return lambda key: key.part if several else key


def _summary(values: Sequence[float], seeds: Mapping[Repetition, float], ratio: float) -> Summary:
    """Spread and range of all runs; the mean and its interval are of draws, see `draw_of`."""
    whole = summarize(values)
    draws = mean_by_part(seeds, draw_of(seeds))
    has_parts = len({key.part for key in seeds}) > 1
    if len(draws) == len(values) and not has_parts:
        return whole
    over = summarize(draws.values(), test_to_train=ratio if has_parts else 0.0)
    has_interval = over.n >= MIN_PAIRS and over.min < over.max
    interval = (over.ci_low, over.ci_high) if has_interval else (math.nan, math.nan)
    return replace(whole, mean=over.mean, ci_low=interval[0], ci_high=interval[1])


def _costs(jobs: Sequence[Job]) -> Costs:
    def middle(read: Callable[[Job], float | None]) -> float | None:
        values = [value for job in jobs if (value := read(job)) is not None and math.isfinite(value)]
        return median(values) if values else None

    return Costs(
        parameters=middle(lambda job: job.record.parameters.total if job.record.parameters else None),
        flops_per_image=middle(lambda job: job.record.parameters.flops_per_image if job.record.parameters else None),
        fit_s=middle(lambda job: job.record.timings.fit_s or None),
        images_per_s=middle(lambda job: job.record.timings.images_per_s),
        peak_memory_bytes=middle(lambda job: job.record.peak_memory_bytes),
    )


def paired(row: GroupRow, metric: Metric, reference: GroupRow | None) -> GroupRow:
    """The row with its difference to `reference`, unless other images were tested or it is the same.

    Pairs are of one seed, split seed and fold; where there are several parts, the seeds of each are averaged first.
    Groups that share no seed are compared without pairs.
    """
    if reference is None or row.label == reference.label:
        return row
    difference = _paired(row.counted, reference.counted, metric.name)
    return replace(row, difference=difference, is_tested_elsewhere=difference is None)


@kept()
def _paired(counted: tuple[Job, ...], others: tuple[Job, ...], metric: str) -> PairedDifference | None:
    both = (*counted, *others)
    if metric.startswith("test/") and differing_test_sets([counted, others]):
        return None
    return difference_of(values_of(counted, metric), values_of(others, metric), both, metric)


def difference_of(
    a: Mapping[Repetition, float], b: Mapping[Repetition, float], jobs: Sequence[Job], metric: str
) -> PairedDifference:
    """The difference ``a - b`` of two sides' values of a metric, which `jobs` have; none is tested of too few pairs."""
    found = _difference(a, b, jobs, metric)
    if found.n < MIN_PAIRS:
        found = replace(found, ci_low=math.nan, ci_high=math.nan, p_value=math.nan)
    return found


def _difference(
    a: Mapping[Repetition, float], b: Mapping[Repetition, float], jobs: Sequence[Job], metric: str
) -> PairedDifference:
    shared = [key for key in a if key in b]
    parts = {key.part for key in (*a, *b)}
    if not shared and len(parts) == 1 and min(len(a), len(b)) >= MIN_PAIRS:
        found = welch_difference(list(a.values()), list(b.values()))
        return replace(found, over=f"{len(a)} and {len(b)} runs, not paired")
    if len({key.part for key in shared}) < 2:
        return paired_difference(a, b)
    left, right = (mean_by_part({key: side[key] for key in shared}, lambda key: key.part) for side in (a, b))
    ratio = resampling_ratio([job.record for job in jobs], metric)
    found = paired_difference(left, right, test_to_train=ratio)
    return replace(found, unpaired=len(a) + len(b) - 2 * len(shared), over=in_words(shared))


def _bounded(summary: Summary, metric: Metric) -> Summary:
    """A summary whose interval stays within what the metric can be, and is left out for fewer than `MIN_PAIRS` values.

    With two values the interval is 12.7 standard errors wide on each side: it says nothing that a reader could use. Nor
    would that of equal values, which has no width: three runs at 99% of 100 images are often equal by chance.
    """
    if summary.n < MIN_PAIRS or summary.min == summary.max:
        return replace(summary, ci_low=math.nan, ci_high=math.nan)
    low, high = metric.bounds
    return replace(summary, ci_low=max(summary.ci_low, low), ci_high=min(summary.ci_high, high))
