"""What the page says of one job: how it went, the settings that set it apart, its curve, and links to its own files.

The links lead from the page's folder to the run's; the page is complete without them.
"""

from __future__ import annotations

import math
import os
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Any
from urllib.parse import quote

from vision_baselines.comparison.collection import Job
from vision_baselines.comparison.configuration import leaf_text
from vision_baselines.comparison.formatting import number, one_line, plural
from vision_baselines.comparison.metric import Metric
from vision_baselines.comparison.table import ComparisonTable
from vision_baselines.report.tables import JobRow, failure_reason
from vision_baselines.runs.factored import factored
from vision_baselines.runs.files import RUN_PAGE, is_probe_picture
from vision_baselines.runs.fingerprint import relevant
from vision_baselines.runs.record import RECORD_FILE, RunRecord

_LONGEST_VALUE = 300
_POINTS = 40
_WIDTH, _HEIGHT = 240, 60
_LOGS = ("config.yaml", "train.log", "output.txt")
_IMAGES = (".png", ".gif")


@dataclass(frozen=True)
class Link:
    """A file of a run: its name below the run's folder, and where it lies seen from the page."""

    name: str
    href: str


@dataclass(frozen=True)
class JobCurve:
    """The validation metric by epoch, as points of a line in a box of 240 by 60, and in words."""

    points: str
    says: str


@dataclass(frozen=True)
class JobDetails:
    """A job's panel: `settings` are those that not all jobs share, `page` is one of its own."""

    key: str
    name: str
    group: str
    facts: str
    reason: str
    settings: Mapping[str, str]
    results: Mapping[str, str]
    curve: JobCurve | None
    page: Link | None
    pictures: Sequence[Link]
    files: Sequence[Link]


def is_picture(name: str) -> bool:
    """Whether a file of a run, by its name below the run's folder, is one that a page shows."""
    return name.endswith(_IMAGES) and not PurePosixPath(name).is_absolute() and ".." not in PurePosixPath(name).parts


def job_key(place: int) -> str:
    """What a job's panel is called in the page."""
    return f"job-{place}"


def job_details(
    rows: Sequence[JobRow], out: Path | None, only: Collection[Path] | None = None
) -> dict[Path, JobDetails]:
    """The panel of each job, or of some, by its folder; without `out`, the page's folder, no file is linked."""
    own: Sequence[Mapping[str, str]]
    own = own_settings([row.job.record for row in rows]) if only is None else [{}] * len(rows)
    return {
        row.job.folder: JobDetails(
            key=job_key(place),
            name=row.job.record.name,
            group=row.group,
            facts=facts_of(row.job.record),
            reason=failure_reason(row.job),
            settings=own[place],
            results=results_of(row.job.record),
            curve=curve_of(row.job.record),
            page=next(iter(_links(row.job, [RUN_PAGE], out)), None),
            pictures=_links(row.job, list(filter(is_picture, row.job.record.files)), out),
            files=_links(row.job, [RECORD_FILE, *_LOGS], out),
        )
        for place, row in enumerate(rows)
        if only is None or row.job.folder in only
    }


def pictures_by_probe(
    table: ComparisonTable, details: Mapping[Path, JobDetails]
) -> dict[str, list[tuple[str, Sequence[Link]]]]:
    """What each probe but features drew of the first seed of every group, the best group first."""
    found: dict[str, list[tuple[str, Sequence[Link]]]] = {}
    for row in table.best_first():
        jobs = [details[job.folder] for job in row.counted if job.folder in details]
        for job in jobs[:1]:
            links: dict[str, list[Link]] = {}
            for link in job.pictures:
                probe = link.name.partition("/")[0]
                if is_probe_picture(link.name) and probe != "features":
                    links.setdefault(probe, []).append(link)
            for probe, pictures in links.items():
                found.setdefault(probe, []).append((row.label, pictures))
    return dict(sorted(found.items()))


def own_settings(records: Sequence[RunRecord]) -> list[dict[str, str]]:
    """The settings that not all `records` share, by dotted key, without copies, as ``data.seed`` is one of ``seed``."""
    parts = factored([record.config for record in records])[1]
    known: dict[tuple[str, int], Mapping[str, Any]] = {}  # of the distinct parts, which `parts` keeps alive
    own = [
        {name: found for key, part in of.items() for name, found in _relevant_once(key, part, known).items()}
        for of in parts
    ]
    values: dict[str, list[Any]] = {
        key: [of.get(key) for of in own] for key in dict.fromkeys(k for of in own for k in of)
    }
    ends: dict[str, list[str]] = {}
    for key in sorted(values, key=lambda key: key.count(".")):
        twins = ends.setdefault(key.rpartition(".")[2], [])
        if not any(values[twin] == values[key] for twin in twins):
            twins.append(key)
    kept = sorted(key for keys in ends.values() for key in keys)
    texts: dict[str, str] = {}

    def text(value: Any) -> str:
        name = repr(value)
        if name not in texts:
            texts[name] = one_line(leaf_text(value), _LONGEST_VALUE)
        return texts[name]

    return [{key: text(of[key]) for key in kept if key in of} for of in own]


def _relevant_once(key: str, part: Any, known: dict[tuple[str, int], Mapping[str, Any]]) -> Mapping[str, Any]:
    if (name := (key, id(part))) not in known:
        known[name] = relevant({key: part})
    return known[name]


def shared_settings(records: Sequence[RunRecord]) -> dict[str, str]:
    """The settings that all `records` have alike, by dotted key."""
    found = relevant(factored([record.config for record in records])[0])
    return {key: one_line(leaf_text(value), _LONGEST_VALUE) for key, value in sorted(found.items())}


def facts_of(record: RunRecord) -> str:
    """How a run went, in a line."""
    said = [record.status.value, f"seed {record.seed}", plural(record.n_epochs, "epoch")]
    if record.best_epoch is not None:
        said.append(f"best epoch {record.best_epoch}, from 0")
    if record.timings.fit_s:
        said.append(f"{number(record.timings.fit_s)} s of training")
    if record.averaged:
        said.append(f"tested: a {record.averaged}")
    if record.tags:
        said.append(f"tags: {', '.join(one_line(tag, _LONGEST_VALUE) for tag in record.tags)}")
    if record.notes:
        said.append(f"notes: {one_line(record.notes, _LONGEST_VALUE)}")
    return " · ".join(said)


def finite_metrics(record: RunRecord) -> list[tuple[str, float]]:
    """A run's metrics that are numbers, by name, sorted."""
    return sorted((name, value) for name, value in record.metrics.items() if math.isfinite(value))


def results_of(record: RunRecord) -> dict[str, str]:
    """What a run measured, by the titles of its metrics."""
    return {Metric(name).title: Metric(name).written(value) for name, value in finite_metrics(record)}


def curve_of(record: RunRecord, most: int = _POINTS) -> JobCurve | None:
    """The metric that the run's best epoch was chosen by, at no more than so many epochs."""
    name = record.selection_metric
    rows = [(epoch, value) for epoch, value in record.by_epoch(name) if math.isfinite(value)]
    if len(rows) < 2:
        return None
    metric = Metric(name, record.task.mode)
    n = min(len(rows), most)
    kept = [rows[round(place * (len(rows) - 1) / (n - 1))] for place in range(n)]
    values = [value for _, value in rows]
    low, span = min(values), max(values) - min(values) or 1.0
    start, length = rows[0][0], rows[-1][0] - rows[0][0] or 1
    points = " ".join(
        f"{_WIDTH * (epoch - start) / length:.0f},{_HEIGHT - 4 - (_HEIGHT - 8) * (value - low) / span:.1f}"
        for epoch, value in kept
    )
    best = metric.best(values)
    at = next(epoch for epoch, value in rows if value == best)
    says = (
        f"{metric.title} by epoch: {metric.written(values[0])} at {start}, best {metric.written(best)} at {at}, "
        f"last {metric.written(values[-1])} at {rows[-1][0]}"
    )
    return JobCurve(points, says)


def _links(job: Job, names: Sequence[str], out: Path | None) -> list[Link]:
    """Links to those files that are there; a name that leads out of the run's folder is left out."""
    if out is None:
        return []
    inside = [name for name in names if not PurePosixPath(name).is_absolute() and ".." not in PurePosixPath(name).parts]
    inside = [name for name in inside if _is_file(job.folder / name)]
    try:
        way = os.path.relpath(job.folder.absolute(), out.absolute())
    except ValueError:  # on another drive
        return []
    return [Link(name, quote(os.fsencode(Path(way, name).as_posix()), safe="/")) for name in inside]


def _is_file(path: Path) -> bool:
    """Whether there is such a file; a name that no file can have names none."""
    try:
        return path.is_file()
    except (OSError, ValueError):
        return False
