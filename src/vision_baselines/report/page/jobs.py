"""The page's account of single jobs: those that failed, with their reasons, and all of them."""

from __future__ import annotations

from vision_baselines.comparison.collection import Job
from vision_baselines.comparison.formatting import ABSENT, count, number, one_line, plural, size
from vision_baselines.comparison.table import ComparisonTable
from vision_baselines.report.page.markup import Html, element, folded, table
from vision_baselines.report.page.results import group_mark

_OPEN_UP_TO = 30


def failures_section(comparison: ComparisonTable) -> Html:
    """Failed jobs and unreadable records; nothing if there is none."""
    entries = [_failure(comparison, row.label, job) for row in comparison.rows for job in row.failed]
    entries += [
        element(
            "div",
            element("p", element("b", found.place)),
            element("p", "The record cannot be read: ", element("code", found.reason)),
            class_="failure",
        )
        for found in comparison.unreadable
    ]
    return element("section", element("h2", "Failed jobs"), *entries, id="failures") if entries else Html("")


def jobs_section(comparison: ComparisonTable) -> Html:
    """Every job in one table, folded away where there are many."""
    metric = comparison.metric
    unit = f", {metric.unit}" if metric.unit else ""
    heads = ["job", "status", "seed", f"{metric.title}{unit}", "best epoch", "training, s"]
    heads += ["images per s", "peak memory", "attempts"]
    rows = [_cells(comparison, row.label, job) for row in comparison.rows for job in row.jobs]
    found = table(heads, rows, text_columns=2)
    many = len(rows) > _OPEN_UP_TO
    content = folded(f"Show {plural(len(rows), 'job')}", found) if many else found
    return element("section", element("h2", "All jobs"), content, id="jobs")


def _failure(comparison: ComparisonTable, label: str, job: Job) -> Html:
    record, failure = job.record, job.record.failure
    reason = f"{failure.kind}: {failure.message}" if failure else "no reason was recorded"
    where = f"seed {record.seed}, {record.status.value} after {plural(len(record.history), 'epoch')}"
    return element(
        "div",
        element("p", _name(comparison, label, job)),
        element("p", where, class_="note"),
        element("p", element("code", reason, class_="bad")),
        folded("Traceback", element("pre", failure.traceback)) if failure and failure.traceback else "",
        class_="failure",
    )


def _name(comparison: ComparisonTable, label: str, job: Job) -> Html:
    """A job's name with its group's sign; several sweeps may have jobs of one name."""
    name = one_line(job.record.name)
    full = name if len(comparison.sweeps) == 1 else f"{one_line(job.record.sweep)}/{name}"
    return element("span", group_mark(comparison, label), element("span", full), class_="group", title=label)


def _cells(comparison: ComparisonTable, label: str, job: Job) -> list[object]:
    record = job.record
    tone = None if record.finished else "bad" if record.failure else "quiet"
    return [
        _name(comparison, label, job),
        element("span", record.status.value, class_=tone),
        record.seed,
        comparison.metric.bare(record.metrics.get(comparison.metric.name)),
        ABSENT if record.best_epoch is None else record.best_epoch + 1,
        number(record.timings.fit_s),
        count(record.timings.images_per_s),
        size(record.peak_memory_bytes),
        record.attempts,
    ]
