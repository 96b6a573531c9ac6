"""One run as a page of its own, in its folder: what it reached, its curves, its mistakes in numbers, its settings.

A single run is compared with nothing, so nothing here is about groups, seeds or intervals over them. It is drawn
without Matplotlib, in the time that a run may take at its end; pictures that the run left are shown from its folder.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from pathlib import Path

from vision_baselines.comparison.collection import Collection, Job, collect
from vision_baselines.comparison.formatting import capital, count, number, size
from vision_baselines.comparison.metric import Metric
from vision_baselines.comparison.table import tabulate
from vision_baselines.report.against import READ_AGAINST
from vision_baselines.report.columns import chosen
from vision_baselines.report.dots import limits, ticks
from vision_baselines.report.job_details import JobDetails, SettingsOfJobs, finite_metrics, job_details
from vision_baselines.report.mistakes_page import mistakes_section
from vision_baselines.report.tables import group_columns, job_rows
from vision_baselines.report.templates import provenance, script, template
from vision_baselines.runs.files import RUN_PAGE
from vision_baselines.runs.record import RunRecord
from vision_baselines.storage.atomic import write_atomically

_WIDTH, _HEIGHT = 480, 200
_MARKED = 40
_CLASSES = 20
_NOT_ALONE = ("group", "mean", "jobs")


@dataclass(frozen=True)
class Line:
    """A metric by epoch in a box of 480 by 200: its points, the marks with what they say, and ticks of both axes."""

    title: str
    says: str
    points: str
    marks: tuple[tuple[str, str, str], ...]
    x_ticks: tuple[tuple[str, str], ...]
    y_ticks: tuple[tuple[str, str], ...]


def write_run_page(folder: Path) -> Path:
    """Write the page of the run in `folder` beside its record; returns where it lies.

    Raises:
        OSError: It cannot be written.
        NoRecordsError: There is no record.
    """
    [job] = collect([folder]).jobs
    write_atomically(folder / RUN_PAGE, run_page(job, folder).encode())
    return folder / RUN_PAGE


def run_page(job: Job, out: Path) -> str:
    """The page of one run, whose links start at the folder `out`."""
    record, table = job.record, tabulate(Collection((job,)))
    rows = job_rows(table)
    details: JobDetails = job_details(rows, out)[job.folder]
    columns = [column for column in chosen(group_columns(table), READ_AGAINST) if column.name not in _NOT_ALONE]
    section = mistakes_section(table.rows, None)
    confusion = record.confusion if record.confusion and len(record.confusion) <= _CLASSES else None
    text: str = template("run.html.j2").render(
        title=record.name,
        sweep=record.sweep,
        claim=_claim(record),
        record=record,
        job=details,
        results=[(capital(Metric(name).title), Metric(name).written(value)) for name, value in finite_metrics(record)],
        read_against=[(column.head, column.write(row)) for row in table.rows for column in columns if row.counted],
        costs=_costs(record),
        lines=[line for name in _curve_names(record) if (line := _line(record, name))],
        confusion=confusion,
        mistakes=section.groups[0] if section is not None else None,
        classes=record.class_names or [str(place) for place in range(len(record.confusion or []))],
        settings=SettingsOfJobs.of(table.groups).shared,
        **script(),
        **provenance([(job,)]),
    )
    return f"{text}\n"


def _claim(record: RunRecord) -> str:
    name = record.headline_metric
    value = record.metrics.get(name)
    if value is None:
        return f"{record.status.value.capitalize()}, without a result"
    metric = Metric(name, record.task.mode)
    return f"{capital(metric.title)} of {metric.written(value)}"


def _costs(record: RunRecord) -> list[tuple[str, str]]:
    parameters = record.parameters
    found = [
        ("Parameters", count(parameters.total) if parameters else ""),
        ("FLOPs per image", count(parameters.flops_per_image) if parameters else ""),
        ("Training", f"{number(record.timings.fit_s)} s" if record.timings.fit_s else ""),
        ("Peak memory", size(record.peak_memory_bytes)),
    ]
    return [(name, text) for name, text in found if text and text != "–"]


def _curve_names(record: RunRecord) -> list[str]:
    """The loss and the chosen metric, in training and in validation, as far as they were logged."""
    logged = dict.fromkeys(name for row in record.history for name in row.metrics)
    quantity = record.selection_metric.rpartition("/")[2]
    return [name for of in (quantity, "loss") for name in (f"val/{of}", f"train/{of}") if name in logged]


def _line(record: RunRecord, name: str) -> Line | None:
    metric = Metric(name, record.task.modes.get(name.rpartition("/")[2]))
    rows = [(row.epoch, row.metrics[name]) for row in record.history if math.isfinite(row.metrics.get(name, math.nan))]
    if len(rows) < 2:
        return None
    low, high = limits([value for _, value in rows], metric.bounds)
    first, last = rows[0][0], rows[-1][0]

    def at(epoch: float, value: float) -> tuple[str, str]:
        x, y = _WIDTH * (epoch - first) / (last - first), _HEIGHT * (high - value) / (high - low)
        return f"{x:.1f}", f"{y:.1f}"

    step = max(1, len(rows) // _MARKED)
    marked = [row for place, row in enumerate(rows) if place % step == 0 or row[0] == last]
    values = [value for _, value in rows]
    best = metric.best(values)
    said = (
        f"{capital(metric.title)} by epoch: {metric.written(values[0])} at epoch {first}, best {metric.written(best)}"
    )
    return Line(
        title=f"{capital(metric.axis_label)} by epoch, from 0",
        says=f"{said} at epoch {rows[values.index(best)][0]}, {metric.written(values[-1])} at epoch {last}",
        points=" ".join(",".join(at(*row)) for row in rows),
        marks=tuple((*at(*row), f"epoch {row[0]}: {metric.written(row[1])}") for row in marked),
        x_ticks=tuple(
            (at(tick, low)[0], f"{tick:g}") for tick in ticks(float(first), float(last)) if tick == int(tick)
        ),
        y_ticks=tuple(
            (at(first, metric.unscaled(tick))[1], f"{tick:g}")
            for tick in ticks(metric.scaled(low), metric.scaled(high))
        ),
    )
