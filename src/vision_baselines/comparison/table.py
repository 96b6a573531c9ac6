"""From records to the numbers of a comparison: one row per group, and its paired difference to a baseline.

Only finished jobs count, and a repetition counts once: two finished jobs of a group with the same
fingerprint and seed are the same deterministic run, so the second says nothing new (it would make an
interval too narrow). Every record is in exactly one of finished, failed, pending, repeated and partial.

Formulas are in `analysis.statistics`; how numbers are written is left to `metric`, `markdown` and `report`.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from statistics import fmean, median

from vision_baselines.analysis.statistics import PairedDifference, Summary, summarize
from vision_baselines.comparison.collection import Collection, Job, Unreadable
from vision_baselines.comparison.errors import UnknownNameError
from vision_baselines.comparison.grouping import Group, find_group, group_jobs
from vision_baselines.comparison.metric import Metric
from vision_baselines.comparison.provenance import test_sets
from vision_baselines.comparison.series import Series, bounded, difference_between, series_over
from vision_baselines.runs.record import Status, TaskFacts

DEFAULT_BASELINE = "model=fc"
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


@dataclass(frozen=True)
class ComparisonTable:
    """All groups in their order, compared by `metric`, against the group `baseline` if there is one.

    Where a numeric setting `over` was named, `series` has the metric at each of its values.
    """

    rows: tuple[GroupRow, ...]
    metric: Metric
    metrics: tuple[str, ...]
    baseline: str | None
    sweeps: tuple[str, ...]
    unreadable: tuple[Unreadable, ...] = field(default=())
    over: str | None = None
    series: tuple[Series, ...] = ()

    @property
    def jobs(self) -> tuple[Job, ...]:
        """Every readable job, in the order of groups and seeds."""
        return tuple(job for row in self.rows for job in row.jobs)

    @property
    def n_finished(self) -> int:
        """Number of jobs that count, in all groups."""
        return sum(row.n_finished for row in self.rows)

    @property
    def failed(self) -> tuple[Job, ...]:
        """Failed jobs of all groups."""
        return tuple(job for row in self.rows for job in row.failed)

    def best_first(self) -> list[GroupRow]:
        """All groups as tables show them: those that have the metric by their mean, the best first, then the rest."""
        ranked = self.ranked()
        return [*ranked, *(row for row in self.rows if self.metric.name not in row.metrics)]

    @property
    def best_groups(self) -> list[GroupRow]:
        """The groups with the best mean, of at least two that have one."""
        ranked = self.ranked()
        means = [row.metrics[self.metric.name].mean for row in ranked]
        return [row for row, mean in zip(ranked, means, strict=True) if mean == means[0]] if len(ranked) > 1 else []

    def ranked(self) -> list[GroupRow]:
        """Groups that have the metric, the best mean first; equals stay in the order of the table."""
        having = [row for row in self.rows if self.metric.name in row.metrics]
        sign = 1 if self.metric.lower_is_better else -1
        return sorted(having, key=lambda row: sign * row.metrics[self.metric.name].mean)


def tabulate(
    collection: Collection,
    *,
    group_by: Sequence[str] | str | None = None,
    metric: str | None = None,
    baseline: str | None = None,
    over: str | None = None,
) -> ComparisonTable:
    """Group the jobs, summarise each group and pair it with the baseline, seed by seed.

    Args:
        collection: What was found on the disk.
        group_by: See `group_jobs`.
        metric: The metric that is compared; a finished job must have it. None takes the headline metric of their task.
        baseline: Label or settings of a group; None takes the group ``model=fc`` if there is one.
        over: A numeric setting that `series` run over.

    Raises:
        UnknownNameError: A key, metric or baseline that no job has, or an `over` that is no number.
    """
    groups = group_jobs(collection.jobs, group_by)
    chosen = _baseline(groups, baseline)
    names = sorted({name for job in collection.jobs if job.record.finished for name in job.record.metrics})
    compared = _compared_metric(collection.jobs, metric)
    metric = compared.name
    if names and metric not in names:
        raise UnknownNameError.of("metric", metric, names)
    shown = {metric, *(job.record.selection_metric for job in collection.jobs)}
    summarised = [name for name in names if not name.startswith("val/") or name in shown]
    plain = [_row(group, {name: _with_mode(collection.jobs, name) for name in summarised}) for group in groups]
    counted = [job for row in plain for job in row.counted]
    reference = next((row for row in plain if row.label == chosen), None)
    return ComparisonTable(
        rows=tuple(row if row.label == chosen else _paired(row, compared, reference) for row in plain),
        metric=compared,
        metrics=tuple(summarised),
        baseline=chosen,
        sweeps=collection.sweeps,
        unreadable=collection.unreadable,
        over=over,
        series=series_over(counted, over, metric=compared, group_by=group_by, baseline=baseline or DEFAULT_BASELINE)
        if over is not None and counted
        else (),
    )


def _baseline(groups: Sequence[Group], wanted: str | None) -> str | None:
    if wanted is not None:
        return find_group(groups, wanted).label
    return DEFAULT_BASELINE if any(group.label == DEFAULT_BASELINE for group in groups) else None


def _compared_metric(jobs: Sequence[Job], wanted: str | None) -> Metric:
    """The metric that is asked for, or the headline metric of most jobs, of the first among equals."""
    if wanted is None:
        headlines = Counter(job.record.headline_metric for job in jobs)
        wanted = headlines.most_common(1)[0][0] if headlines else f"test/{TaskFacts().headline}"
    return _with_mode(jobs, wanted)


def _with_mode(jobs: Sequence[Job], name: str) -> Metric:
    quantity = Metric(name).quantity
    modes = [mode for job in jobs if (mode := job.record.task.mode_of(quantity))]
    return Metric(name, modes[0] if modes and "/" in name else None)


def _row(group: Group, metrics: Mapping[str, Metric]) -> GroupRow:
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
        metrics={name: bounded(summarize(values), metrics[name]) for name, values in by_metric.items()},
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


def _paired(row: GroupRow, metric: Metric, reference: GroupRow | None) -> GroupRow:
    if reference is None:
        return row
    if metric.name.startswith("test/") and len(test_sets([*row.counted, *reference.counted])) > 1:
        return replace(row, is_tested_elsewhere=True)
    return replace(row, difference=difference_between(row.values(metric.name), reference.values(metric.name)))
