"""From records to a comparison: a row per group, each paired with a baseline."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field

from vision_baselines.comparison.collection import Collection, Job, Unreadable
from vision_baselines.comparison.control import Control, control_of
from vision_baselines.comparison.errors import UnknownNameError
from vision_baselines.comparison.grouping import Group, find_group, group_jobs
from vision_baselines.comparison.metric import Metric
from vision_baselines.comparison.rows import GroupRow, paired, row_of
from vision_baselines.comparison.series import Series, series_over
from vision_baselines.runs.record import TaskFacts

DEFAULT_BASELINE = "model=fc"


@dataclass(frozen=True)
class ComparisonTable:
    """All groups in their order, compared by `metric`, against the group `baseline` if there is one.

    Where a numeric setting `over` was named, `series` has the metric at each of its values. Where a level of chance was
    named, `controls` has what each group with a finished run says as a control.
    """

    rows: tuple[GroupRow, ...]
    metric: Metric
    metrics: tuple[str, ...]
    baseline: str | None
    sweeps: tuple[str, ...]
    unreadable: tuple[Unreadable, ...] = field(default=())
    over: str | None = None
    series: tuple[Series, ...] = ()
    controls: tuple[Control, ...] = ()

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
    chance_level: float | str | None = None,
) -> ComparisonTable:
    """Group the jobs, summarise each group and pair it with the baseline, seed by seed.

    Args:
        collection: What was found on the disk.
        group_by: See `group_jobs`.
        metric: The metric that is compared; a finished job must have it. None takes the headline metric of their task.
        baseline: Label or settings of a group; None takes the group ``model=fc`` if there is one.
        over: A numeric setting that `series` run over.
        chance_level: Makes every group a control, see `control_of`.

    Raises:
        UnknownNameError: A key, metric or baseline that no job has, or an `over` that is no number.
    """
    groups = group_jobs(collection.jobs, group_by)
    chosen = _baseline(groups, baseline)
    names = sorted({name for job in collection.jobs if job.record.finished for name in job.record.metrics})
    compared = compared_metric(collection.jobs, metric)
    metric = compared.name
    if names and metric not in names:
        raise UnknownNameError.of("metric", metric, names)
    shown = {metric, *(job.record.selection_metric for job in collection.jobs)}
    summarised = [name for name in names if not name.startswith("val/") or name in shown]
    plain = [row_of(group, {name: _with_mode(collection.jobs, name) for name in summarised}) for group in groups]
    counted = [job for row in plain for job in row.counted]
    reference = next((row for row in plain if row.label == chosen), None)
    return ComparisonTable(
        rows=tuple(paired(row, compared, reference) for row in plain),
        metric=compared,
        metrics=tuple(summarised),
        baseline=chosen,
        sweeps=collection.sweeps,
        unreadable=collection.unreadable,
        over=over,
        series=series_over(counted, over, metric=compared, group_by=group_by, baseline=baseline or DEFAULT_BASELINE)
        if over is not None and counted
        else (),
        controls=tuple(found for row in plain if (found := control_of(row, chance_level, compared)))
        if chance_level is not None
        else (),
    )


def _baseline(groups: Sequence[Group], wanted: str | None) -> str | None:
    if wanted is not None:
        return find_group(groups, wanted).label
    return DEFAULT_BASELINE if any(group.label == DEFAULT_BASELINE for group in groups) else None


def compared_metric(jobs: Sequence[Job], wanted: str | None) -> Metric:
    """The metric that is asked for, or the headline metric of most jobs, of the first among equals."""
    if wanted is None:
        headlines = Counter(job.record.headline_metric for job in jobs)
        wanted = headlines.most_common(1)[0][0] if headlines else f"test/{TaskFacts().headline}"
    return _with_mode(jobs, wanted)


def _with_mode(jobs: Sequence[Job], name: str) -> Metric:
    quantity = Metric(name).quantity
    modes = [mode for job in jobs if (mode := job.record.task.mode_of(quantity))]
    return Metric(name, modes[0] if modes and "/" in name else None)
