"""The numbers of one group: a summary of each metric, costs, and the paired difference to a baseline.

Only finished jobs count, and a repetition counts once: two finished jobs of a group with the same
fingerprint and seed are the same deterministic run, so the second says nothing new (it would make an
interval too narrow). Every record is in exactly one of finished, failed, pending, repeated and partial.

Formulas are in `analysis.statistics`; how numbers are written is left to `metric` and `report`.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from statistics import fmean, median

from vision_baselines.analysis.statistics import MIN_PAIRS, PairedDifference, Summary, paired_difference, summarize
from vision_baselines.comparison.collection import Job
from vision_baselines.comparison.grouping import Group
from vision_baselines.comparison.metric import Metric
from vision_baselines.comparison.provenance import test_sets
from vision_baselines.runs.record import Status

FAILED = (Status.FAILED, Status.DIVERGED)


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

    @property
    def n_finished(self) -> int:
        """Number of jobs that count."""
        return len(self.counted)

    @property
    def failed(self) -> tuple[Job, ...]:
        """Jobs that raised, were killed or diverged."""
        return tuple(job for job in self.jobs if job.record.status in FAILED)

    @property
    def pending(self) -> tuple[Job, ...]:
        """Jobs that run or were interrupted, and may yet finish."""
        return tuple(job for job in self.jobs if job.record.status not in FAILED and not job.record.finished)

    def values(self, metric: str) -> dict[int, float]:
        """The metric by seed; the mean where a group has several runs of one seed."""
        by_seed: dict[int, list[float]] = {}
        for job in self.counted:
            value = job.record.metrics.get(metric, math.nan)
            if math.isfinite(value):
                by_seed.setdefault(job.record.seed, []).append(value)
        return {seed: fmean(values) for seed, values in by_seed.items()}


def row_of(group: Group, metrics: Mapping[str, Metric]) -> GroupRow:
    """A group's numbers: a summary of each metric over its jobs that count."""
    first: dict[tuple[str, int], Job] = {}
    repeated = []
    whole = [job for job in group.jobs if job.record.finished and not job.record.partial]
    for job in whole:
        if first.setdefault((job.record.fingerprint, job.record.seed), job) is not job:
            repeated.append(job)
    counted = tuple(first.values())
    by_metric: dict[str, list[float]] = {}
    for name in metrics:
        values = [job.record.metrics.get(name, math.nan) for job in counted]
        if finite := [value for value in values if math.isfinite(value)]:
            by_metric[name] = finite
    return GroupRow(
        label=group.label,
        jobs=group.jobs,
        counted=counted,
        repeated=tuple(repeated),
        partial=tuple(job for job in group.jobs if job.record.finished and job.record.partial),
        metrics={name: _bounded(summarize(values), metrics[name]) for name, values in by_metric.items()},
        best={name: metrics[name].best(values) for name, values in by_metric.items()},
        costs=_costs(counted),
    )


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
    """The row with its difference to `reference`, paired by seed, unless other images were tested or it is the same."""
    if reference is None or row.label == reference.label:
        return row
    if metric.name.startswith("test/") and len(test_sets([*row.counted, *reference.counted])) > 1:
        return replace(row, is_tested_elsewhere=True)
    found = paired_difference(row.values(metric.name), reference.values(metric.name))
    if found.n < MIN_PAIRS:
        found = replace(found, ci_low=math.nan, ci_high=math.nan, p_value=math.nan)
    return replace(row, difference=found)


def _bounded(summary: Summary, metric: Metric) -> Summary:
    """A summary whose interval stays within what the metric can be, and is left out for fewer than `MIN_PAIRS` values.

    With two values the interval is 12.7 standard errors wide on each side: it says nothing that a reader could use.
    """
    if summary.n < MIN_PAIRS:
        return replace(summary, ci_low=math.nan, ci_high=math.nan)
    low, high = metric.bounds
    return replace(summary, ci_low=max(summary.ci_low, low), ci_high=min(summary.ci_high, high))
