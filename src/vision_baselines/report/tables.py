"""The tables of a comparison: columns of groups, of jobs and of a metric over a setting, and which are shown where."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import lru_cache, partial

from vision_baselines.analysis.statistics import Summary
from vision_baselines.comparison.collection import Job
from vision_baselines.comparison.epochs import LAST, EpochsRow, EpochTable, epoch_table
from vision_baselines.comparison.formatting import ABSENT, count, number, one_line, size
from vision_baselines.comparison.kept import kept, kept_of_group
from vision_baselines.comparison.metric import Metric
from vision_baselines.comparison.rows import GroupRow
from vision_baselines.comparison.table import ComparisonTable
from vision_baselines.report.against import read_against_columns
from vision_baselines.report.columns import Column, chosen, difference_columns, estimate_columns, plain_column
from vision_baselines.report.sureness import image_columns, size_columns
from vision_baselines.runs.record import RunRecord

SeriesRow = tuple[float, GroupRow]
JobsOfGroup = tuple[str, tuple[Job, ...], tuple[Job, ...]]
"""Label, jobs and counted jobs of a group."""
RESULT = (
    "group", "selection", "control", "verdict", "mean", "interval", "difference", "difference interval", "p", "jobs",
    "median", "best", "balanced accuracy",
)  # fmt: skip
NARROW = ("group", "verdict", "mean", "interval", "difference")  # of RESULT, in a narrow window
COSTS = ("parameters", "flops_per_image", "fit_s", "images_per_s", "peak_memory_bytes")
TERMINAL = ("group", "selection", "control", "jobs", "mean", "interval", "versus", "parameters")
INTERVAL_AT_ONCE = "interval, all at once"  # of a page on parts: corrected, as its verdicts are
STALE = "seeds that are fresh no longer"
JOB = ("job", "status", "seed", "value", "best_epoch", "fit_s", "images_per_s", "peak_memory_bytes", "attempts")
NARROW_JOB = JOB[:6]  # in a narrow window


@dataclass(frozen=True)
class JobRow:
    """A job, the label of its group, and whether it stands in that group's numbers."""

    group: str
    job: Job
    is_counted: bool


@lru_cache(maxsize=1)  # the page, Markdown, LaTeX, CSV files and the terminal each ask for those of one table
def group_columns(table: ComparisonTable) -> list[Column[GroupRow]]:
    """Label and counts, every metric, the difference to the baseline, and costs.

    The columns of the compared metric are called ``mean``, ``interval`` and so on, those of another ``test/loss mean``.
    """
    columns: list[Column[GroupRow]] = [
        Column("group", "group", lambda row: row.label, fields={"group": lambda row: row.label}, is_number=False),
        Column(
            "jobs",
            "jobs",
            lambda row: _jobs(row, table.metric.name),
            fields={
                "n_finished": lambda row: row.n_finished,
                "n_failed": lambda row: len(row.failed),
                "n_pending": lambda row: len(row.pending),
                "n_repeated": lambda row: len(row.repeated),
            },
            tone=lambda row: "bad" if row.failed else "",
        ),
    ]
    if table.controls:
        outcomes = {found.label: found.outcome for found in table.controls}
        columns.append(
            Column(
                "control",
                "control",
                lambda row: outcomes.get(row.label, ABSENT),
                fields={"control": lambda row: outcomes.get(row.label)},
                is_number=False,
                tone=lambda row: "good" if outcomes.get(row.label) == "at chance" else "bad",
            )
        )
    for name in table.metrics:
        columns += _metric_columns(table, name)
    if table.selection is not None and table.selection != table.metric:
        columns.append(_selection_column(table, table.selection))
    if table.metric.is_accuracy:
        columns += read_against_columns(table)
    reference = table.reference
    if reference is not None:
        columns.append(Column("baseline", "baseline", lambda row: "", fields={"baseline": lambda row: reference}))
        columns += difference_columns(
            table.metric,
            reference,
            lambda row: row.difference,
            lambda row: row.label == reference,
            "baseline" if table.baseline is not None else "chosen",
            INTERVAL_AT_ONCE if table.effects else "95% interval",
        )
    columns += [*image_columns(table), *size_columns(table)]
    return [
        *columns,
        plain_column("parameters", "parameters", count, lambda row: row.costs.parameters),
        plain_column("flops_per_image", "FLOPs per image", count, lambda row: row.costs.flops_per_image),
        plain_column("fit_s", "training", number, lambda row: row.costs.fit_s, unit="s"),
        plain_column("images_per_s", "images per s", count, lambda row: row.costs.images_per_s),
        plain_column("peak_memory_bytes", "peak memory", size, lambda row: row.costs.peak_memory_bytes),
    ]


def job_columns(table: ComparisonTable) -> tuple[Column[JobRow], ...]:
    """What is known of each job; the metrics by their full names, the compared one called ``value``."""
    names = frozenset().union({table.metric.name}, *map(_metric_names, table.groups))
    return _job_columns(table.metric, tuple(sorted(names)), len(table.sweeps) > 1)


@kept()
def _metric_names(jobs: tuple[Job, ...]) -> frozenset[str]:
    return frozenset().union(*(job.record.metrics for job in jobs))


@lru_cache(maxsize=2**6)  # the same objects for the same columns: what they say of jobs is kept by them
def _job_columns(metric: Metric, names: Sequence[str], several: bool) -> tuple[Column[JobRow], ...]:
    return (
        _text("group", lambda row: row.group),
        Column(
            "job",
            "job",
            lambda row: one_line(f"{row.job.record.sweep}/" * several + row.job.record.name),
            fields={"job": lambda row: row.job.record.name, "sweep": lambda row: row.job.record.sweep},
            is_number=False,
        ),
        plain_column("seed", "seed", str, lambda row: row.job.record.seed),
        Column(
            "status",
            "status",
            lambda row: row.job.record.status.value,
            fields={"status": lambda row: row.job.record.status.value, "counted": lambda row: row.is_counted},
            is_number=False,
            tone=lambda row: "" if row.job.record.finished else "bad" if row.job.record.failure else "quiet",
        ),
        _text("reason", lambda row: failure_reason(row.job)),
        *(_job_metric(name, metric) for name in names),
        plain_column("best_epoch", "best epoch, from 0", _whole, lambda row: row.job.record.best_epoch),
        plain_column("epochs", "epochs", str, lambda row: row.job.record.n_epochs),
        plain_column("parameters", "parameters", count, lambda row: _part(row, "parameters", "total")),
        plain_column(
            "flops_per_image", "FLOPs per image", count, lambda row: _part(row, "parameters", "flops_per_image")
        ),
        plain_column("setup_s", "setup", number, lambda row: row.job.record.timings.setup_s, unit="s"),
        plain_column("fit_s", "training", number, lambda row: row.job.record.timings.fit_s, unit="s"),
        plain_column("test_s", "test", number, lambda row: row.job.record.timings.test_s, unit="s"),
        plain_column("images_per_s", "images per s", count, lambda row: row.job.record.timings.images_per_s),
        plain_column("peak_memory_bytes", "peak memory", size, lambda row: row.job.record.peak_memory_bytes),
        plain_column("attempts", "attempts", str, lambda row: row.job.record.attempts),
        _text("device", lambda row: row.job.record.environment.device),
        _text("git_commit", lambda row: row.job.record.environment.git_commit),
        _text("started_at", lambda row: row.job.record.started_at.isoformat()),
        _text("ended_at", lambda row: row.job.record.ended_at.isoformat() if row.job.record.ended_at else None),
        _text("overrides", lambda row: " ".join(row.job.record.overrides)),
        _text("fingerprint", lambda row: row.job.record.fingerprint),
        _text("weights_sha256", lambda row: row.job.record.weights_sha256),
        _text("folder", lambda row: row.job.place),
    )


def job_rows(table: ComparisonTable) -> list[JobRow]:
    """Every readable job, in the order of groups and seeds."""
    return [row for members in job_groups(table) for row in rows_of(*members)]


def job_groups(table: ComparisonTable) -> list[JobsOfGroup]:
    """All readable jobs, in the order of their rows."""
    groups: list[JobsOfGroup] = [(row.label, row.jobs, row.counted) for row in (*table.rows, *table.fresh)]
    return [*groups, (STALE, table.stale, ())] if table.stale else groups


@kept_of_group
def rows_of(label: str, jobs: tuple[Job, ...], counted: tuple[Job, ...]) -> tuple[JobRow, ...]:
    """The rows of a group's jobs."""
    stands = set(map(id, counted))
    return tuple(JobRow(label, job, id(job) in stands) for job in jobs)


def series_columns(table: ComparisonTable) -> list[Column[SeriesRow]]:
    """The metric of each line at each value of the setting, and its difference to the baseline's line there."""
    metric, baseline = table.metric, table.series[0].baseline
    columns: list[Column[SeriesRow]] = [
        plain_column("x", one_line(table.over or "", 60), "{:g}".format, lambda item: item[0]),
        Column("line", "line", lambda item: item[1].label, is_number=False),
        *estimate_columns(metric, metric.name, "", lambda item: item[1].metrics[metric.name]),
    ]
    if baseline is not None:
        columns += difference_columns(
            metric,
            baseline,
            lambda item: item[1].difference,
            lambda item: item[1].label == baseline,
            interval=INTERVAL_AT_ONCE if table.effects else "95% interval",
        )
    return chosen(columns, ("x", "line", "verdict", "mean", "interval", "difference", "difference interval", "p"))


def series_rows(table: ComparisonTable) -> list[SeriesRow]:
    """Each line at each of its values, by value."""
    return sorted((point for line in table.series for point in line.rows), key=lambda point: point[0])


@lru_cache(maxsize=1)
def epochs_of(table: ComparisonTable) -> EpochTable | None:
    """The validation metric by epoch, the best group first; None where no run was validated."""
    return epoch_table(table.best_first(), table.metric)


def epoch_columns(found: EpochTable) -> list[Column[EpochsRow]]:
    """Mean and spread over a group's runs at each epoch."""
    columns: list[Column[EpochsRow]] = [
        Column("group", "group", lambda row: row.label, fields={"group": lambda row: row.label}, is_number=False)
    ]
    for epoch in found.epochs:
        name = "last epoch" if epoch == LAST else f"epoch {epoch}"
        made = estimate_columns(found.metric, f"{found.metric.name} {name}", "", partial(_at_epoch, epoch))
        columns += [replace(column, heading=name, unit="") for column in chosen(made, ("mean",))]
    return columns


def _at_epoch(epoch: int | str, row: EpochsRow) -> Summary | None:
    return row.values.get(epoch)


def failure_reason(job: Job) -> str:
    """Why a job failed; empty where it did not, or where that is not recorded."""
    return failure_of(job.record)


def failure_of(record: RunRecord) -> str:
    """The same of its record."""
    return f"{record.failure.kind}: {record.failure.message}" if record.failure else ""


def _metric_columns(table: ComparisonTable, name: str) -> list[Column[GroupRow]]:
    is_compared = name == table.metric.name
    known = {metric.name: metric for metric in (table.selection, table.metric) if metric is not None}
    metric = known.get(name) or Metric(name)
    prefix = "" if is_compared else f"{name} "
    best = {row.label for row in table.best_groups} if metric == table.selection else set()
    return [
        *estimate_columns(metric, name, prefix, lambda row: row.metrics.get(name), lambda row: row.label in best),
        Column(
            f"{prefix}best",
            "best",
            lambda row: metric.bare(row.best.get(name)),
            fields={f"{name} best": lambda row: row.best.get(name)},
        ),
    ]


def _selection_column(table: ComparisonTable, selection: Metric) -> Column[GroupRow]:
    """The mean by which groups are ranked, for tables that have no room for more of that metric."""
    best = {row.label for row in table.best_groups}
    return Column(
        "selection",
        selection.title,
        lambda row: selection.bare(row.metrics[selection.name].mean) if selection.name in row.metrics else ABSENT,
        selection.unit,
        tone=lambda row: "best" if row.label in best else "",
    )


def _text(name: str, value: Callable[[JobRow], str | None]) -> Column[JobRow]:
    return Column(name, name, lambda row: one_line(value(row) or ""), fields={name: value}, is_number=False)


def _job_metric(name: str, compared: Metric) -> Column[JobRow]:
    metric = compared if name == compared.name else Metric(name)

    def value(row: JobRow) -> float | None:
        return row.job.record.metrics.get(name)

    return Column(
        "value" if metric is compared else name,
        metric.title,
        lambda row: metric.bare(value(row)),
        metric.unit,
        {name: value},
    )


def _jobs(row: GroupRow, metric: str) -> str:
    finished = row.averaged_over(metric) or str(row.n_finished)
    others = [
        f"{len(jobs)} {state}"
        for state, jobs in (("failed", row.failed), ("pending", row.pending), ("pruned", row.pruned))
        if jobs
    ]
    return f"{finished} ({', '.join(others)})" if others else finished


def _part(row: JobRow, part: str, name: str) -> float | None:
    return getattr(getattr(row.job.record, part), name, None)


def _whole(value: float | None) -> str:
    return ABSENT if value is None or not math.isfinite(value) else str(value)
