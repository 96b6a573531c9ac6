"""The columns of a comparison's tables, each described once; every renderer chooses among them by name.

A column knows its heading and unit, how the cell of an item is written, and which exact values stand behind that
text: the page, Markdown and the terminal show the text, CSV files and data frames hold the values.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Generic, TypeVar

from vision_baselines.analysis.statistics import PairedDifference, Summary
from vision_baselines.comparison.chance import balanced_accuracy
from vision_baselines.comparison.collection import Job
from vision_baselines.comparison.formatting import ABSENT, count, number, one_line, probability, size
from vision_baselines.comparison.metric import Metric
from vision_baselines.comparison.table import ComparisonTable, GroupRow
from vision_baselines.comparison.verdict import is_better, short_verdict

Item = TypeVar("Item")
RESULT = (
    "group", "verdict", "mean", "interval", "difference", "difference interval", "p", "jobs", "median", "best",
    "balanced accuracy",
)  # fmt: skip
COSTS = ("parameters", "flops_per_image", "fit_s", "images_per_s", "peak_memory_bytes")
TERMINAL = ("group", "jobs", "mean", "interval", "versus", "parameters", "fit_s")
JOB = ("job", "status", "seed", "value", "best_epoch", "fit_s", "images_per_s", "peak_memory_bytes", "attempts")


@dataclass(frozen=True)
class Column(Generic[Item]):
    """One column of a table of items.

    Attributes:
        name: By which a renderer chooses it.
        heading: What stands above it, without the unit.
        write: The text of an item's cell.
        unit: The unit of the texts; empty for plain numbers and for text.
        fields: The exact values behind a text, by their name in a CSV file.
        is_number: Whether texts are numbers, which are aligned at the right.
        tone: ``good``, ``bad``, ``quiet`` or ``best`` for an item that stands out, else nothing.
    """

    name: str
    heading: str
    write: Callable[[Item], str]
    unit: str = ""
    fields: Mapping[str, Callable[[Item], Any]] = field(default_factory=dict)
    is_number: bool = True
    tone: Callable[[Item], str] = lambda item: ""

    @property
    def head(self) -> str:
        """Heading and unit."""
        return f"{self.heading}, {self.unit}" if self.unit else self.heading


@dataclass(frozen=True)
class JobRow:
    """A job, the label of its group, and whether it stands in that group's numbers."""

    group: str
    job: Job
    is_counted: bool


@dataclass(frozen=True)
class SeriesRow:
    """A line of a comparison over a setting, at one value of it."""

    label: str
    x: float
    summary: Summary
    difference: PairedDifference | None


def chosen(columns: Iterable[Column[Item]], names: Sequence[str]) -> list[Column[Item]]:
    """The columns called `names`, in that order; one that is not there is left out."""
    by_name = {column.name: column for column in columns}
    return [by_name[name] for name in names if name in by_name]


def group_columns(table: ComparisonTable) -> list[Column[GroupRow]]:
    """Label and counts, every metric, the difference to the baseline, and costs.

    The columns of the compared metric are called ``mean``, ``interval`` and so on, those of another ``test/loss mean``.
    """
    columns: list[Column[GroupRow]] = [
        Column("group", "group", lambda row: row.label, fields={"group": lambda row: row.label}, is_number=False),
        Column(
            "jobs",
            "jobs",
            _jobs,
            fields={
                "n_finished": lambda row: row.n_finished,
                "n_failed": lambda row: len(row.failed),
                "n_pending": lambda row: len(row.pending),
                "n_repeated": lambda row: len(row.repeated),
            },
            tone=lambda row: "bad" if row.failed else "",
        ),
    ]
    for name in table.metrics:
        columns += _metric_columns(table, name)
    if table.metric.is_accuracy and any(balanced_accuracy(row) is not None for row in table.rows):
        unit, write = table.metric.unit, table.metric.bare
        columns.append(_plain("balanced accuracy", "balanced accuracy", write, balanced_accuracy, unit=unit))
    if table.baseline is not None:
        columns.append(Column("baseline", "baseline", lambda row: "", fields={"baseline": lambda row: table.baseline}))
        columns += _difference_columns(
            table.metric, table.baseline, lambda row: row.difference, lambda row: row.label == table.baseline
        )
    return [
        *columns,
        _plain("parameters", "parameters", count, lambda row: row.costs.parameters),
        _plain("flops_per_image", "FLOPs per image", count, lambda row: row.costs.flops_per_image),
        _plain("fit_s", "training", number, lambda row: row.costs.fit_s, unit="s"),
        _plain("images_per_s", "images per s", count, lambda row: row.costs.images_per_s),
        _plain("peak_memory_bytes", "peak memory", size, lambda row: row.costs.peak_memory_bytes),
    ]


def job_columns(table: ComparisonTable) -> list[Column[JobRow]]:
    """What is known of each job; the metrics by their full names, the compared one called ``value``."""
    metric, several = table.metric, len(table.sweeps) > 1
    names = sorted({name for job in table.jobs for name in job.record.metrics} | {metric.name})
    return [
        _text("group", lambda row: row.group),
        Column(
            "job",
            "job",
            lambda row: one_line(f"{row.job.record.sweep}/" * several + row.job.record.name),
            fields={"job": lambda row: row.job.record.name, "sweep": lambda row: row.job.record.sweep},
            is_number=False,
        ),
        _plain("seed", "seed", str, lambda row: row.job.record.seed),
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
        _plain("best_epoch", "best epoch, from 0", _whole, lambda row: row.job.record.best_epoch),
        _plain("epochs", "epochs", str, lambda row: len(row.job.record.history)),
        _plain("parameters", "parameters", count, lambda row: _part(row, "parameters", "total")),
        _plain("flops_per_image", "FLOPs per image", count, lambda row: _part(row, "parameters", "flops_per_image")),
        _plain("setup_s", "setup", number, lambda row: row.job.record.timings.setup_s, unit="s"),
        _plain("fit_s", "training", number, lambda row: row.job.record.timings.fit_s, unit="s"),
        _plain("test_s", "test", number, lambda row: row.job.record.timings.test_s, unit="s"),
        _plain("images_per_s", "images per s", count, lambda row: row.job.record.timings.images_per_s),
        _plain("peak_memory_bytes", "peak memory", size, lambda row: row.job.record.peak_memory_bytes),
        _plain("attempts", "attempts", str, lambda row: row.job.record.attempts),
        _text("device", lambda row: row.job.record.environment.device),
        _text("git_commit", lambda row: row.job.record.environment.git_commit),
        _text("started_at", lambda row: row.job.record.started_at.isoformat()),
        _text("ended_at", lambda row: row.job.record.ended_at.isoformat() if row.job.record.ended_at else None),
        _text("overrides", lambda row: " ".join(row.job.record.overrides)),
        _text("fingerprint", lambda row: row.job.record.fingerprint),
        _text("weights_sha256", lambda row: row.job.record.weights_sha256),
        _text("folder", lambda row: row.job.place),
    ]


def job_rows(table: ComparisonTable) -> list[JobRow]:
    """Every readable job, in the order of groups and seeds."""
    counted = {job.folder for row in table.rows for job in row.counted}
    return [JobRow(row.label, job, job.folder in counted) for row in table.rows for job in row.jobs]


def series_columns(table: ComparisonTable) -> list[Column[SeriesRow]]:
    """The metric of each line at each value of the setting, and its difference to the baseline's line there."""
    metric = table.metric
    baseline = next((line.baseline for line in table.series if line.baseline is not None), None)
    columns: list[Column[SeriesRow]] = [
        _plain("x", one_line(table.over or "", 60), lambda x: f"{x:g}", lambda row: row.x),
        Column("line", "line", lambda row: row.label, fields={"line": lambda row: row.label}, is_number=False),
        *_estimate_columns(metric, metric.name, "", lambda row: row.summary),
    ]
    if baseline is not None:
        columns += _difference_columns(metric, baseline, lambda row: row.difference, lambda row: row.label == baseline)
    names = ("x", "line", "verdict", "mean", "interval", "difference", "difference interval", "p")
    return chosen(columns, names)


def series_rows(table: ComparisonTable) -> list[SeriesRow]:
    """A row for each line at each of its values, by value."""
    rows = [
        SeriesRow(line.label, x, summary, dict(line.differences).get(x))
        for line in table.series
        for x, summary in line.points
    ]
    return sorted(rows, key=lambda row: row.x)


def failure_reason(job: Job) -> str:
    """Why a job failed; empty where it did not, or where that is not recorded."""
    failure = job.record.failure
    return f"{failure.kind}: {failure.message}" if failure else ""


def _metric_columns(table: ComparisonTable, name: str) -> list[Column[GroupRow]]:
    is_compared = name == table.metric.name
    metric = table.metric if is_compared else Metric(name)
    prefix = "" if is_compared else f"{name} "
    best = {row.label for row in table.best_groups} if is_compared else set()
    return [
        *_estimate_columns(metric, name, prefix, lambda row: row.metrics.get(name), lambda row: row.label in best),
        Column(
            f"{prefix}best",
            "best",
            lambda row: metric.bare(row.best.get(name)),
            fields={f"{name} best": lambda row: row.best.get(name)},
        ),
    ]


def _estimate_columns(
    metric: Metric,
    name: str,
    prefix: str,
    of: Callable[[Item], Summary | None],
    is_best: Callable[[Item], bool] = lambda item: False,
) -> list[Column[Item]]:
    """Number, mean and spread, interval, median and range of a metric."""

    def value(statistic: str) -> dict[str, Callable[[Item], Any]]:
        return {f"{name} {statistic}": lambda item: getattr(of(item), statistic, None)}

    def written(write: Callable[[Summary], str]) -> Callable[[Item], str]:
        return lambda item: ABSENT if (summary := of(item)) is None else write(summary)

    return [
        Column(f"{prefix}n", "n", written(lambda found: str(found.n)), fields=value("n")),
        Column(
            f"{prefix}mean",
            metric.title,
            written(lambda found: metric.mean_and_std(found.mean, found.std)),
            metric.unit,
            value("mean") | value("std"),
            tone=lambda item: "best" if is_best(item) else "",
        ),
        Column(
            f"{prefix}interval",
            "95% interval",
            written(lambda found: metric.interval(found.ci_low, found.ci_high)),
            fields=value("ci_low") | value("ci_high"),
        ),
        Column(f"{prefix}median", "median", written(lambda found: metric.bare(found.median)), fields=value("median")),
        Column(
            f"{prefix}range",
            "range",
            written(lambda found: metric.interval(found.min, found.max)),
            fields=value("min") | value("max"),
        ),
    ]


def _difference_columns(
    metric: Metric,
    baseline: str,
    of: Callable[[Item], PairedDifference | None],
    is_baseline: Callable[[Item], bool],
) -> list[Column[Item]]:
    """Mean difference, interval, p-value and verdict against the baseline; ``versus`` has it in one cell."""
    against = baseline if len(baseline) <= 24 else "the baseline"

    def value(statistic: str) -> dict[str, Callable[[Item], Any]]:
        return {f"{metric.name} difference {statistic}": lambda item: getattr(of(item), statistic, None)}

    def written(write: Callable[[PairedDifference], str]) -> Callable[[Item], str]:
        return lambda item: ABSENT if (found := of(item)) is None else write(found)

    def verdict(item: Item) -> str:
        if is_baseline(item):
            return "baseline"
        found = of(item)
        return ABSENT if found is None else short_verdict(found, metric)

    def tone(item: Item) -> str:
        found = of(item)
        better = is_better(found, metric) if found else None
        return {True: "good", False: "bad", None: "quiet"}[better]

    def versus(item: Item) -> str:
        found = of(item)
        if found is None or found.conclusion in ("too few pairs", "identical", "no spread"):
            return verdict(item)
        return f"{metric.signed(found.mean)} {probability(found.p_value)}"

    return [
        Column("difference n", "pairs", written(lambda found: str(found.n)), fields=value("n")),
        Column(
            "difference",
            f"difference to {against}",
            written(lambda found: metric.signed(found.mean)),
            fields=value("mean"),
        ),
        Column(
            "difference interval",
            "95% interval",
            written(lambda found: metric.interval(found.ci_low, found.ci_high, signed=True)),
            fields=value("ci_low") | value("ci_high"),
        ),
        Column(
            "p",
            "p",
            written(lambda found: probability(found.p_value)[2:].lstrip("= ") or ABSENT),
            fields=value("p_value"),
        ),
        Column("verdict", "verdict", verdict, fields=value("conclusion"), is_number=False, tone=tone),
        Column("versus", f"vs {against}", versus, tone=tone),
    ]


def _plain(
    name: str,
    heading: str,
    write: Callable[[Any], str],
    value: Callable[[Item], Any],
    *,
    unit: str = "",
) -> Column[Item]:
    """A column of one value, which has its name in a CSV file too."""
    return Column(name, heading, lambda item: write(value(item)), unit, {name.replace(" ", "_"): value})


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


def _jobs(row: GroupRow) -> str:
    others = [f"{len(jobs)} {state}" for state, jobs in (("failed", row.failed), ("pending", row.pending)) if jobs]
    return f"{row.n_finished} ({', '.join(others)})" if others else str(row.n_finished)


def _part(row: JobRow, part: str, name: str) -> float | None:
    return getattr(getattr(row.job.record, part), name, None)


def _whole(value: float | None) -> str:
    return ABSENT if value is None or not math.isfinite(value) else str(value)
