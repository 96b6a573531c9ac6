"""What the page says of one job: how it went, the settings that set it apart, its curve, and links to its own files.

The links lead from the page's folder to the run's; the page is complete without them.
"""

from __future__ import annotations

import math
import os
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from itertools import chain, islice
from pathlib import Path, PurePosixPath
from typing import Any
from urllib.parse import quote

from vision_baselines.comparison.collection import Job
from vision_baselines.comparison.configuration import ABSENT, leaf_text, sections_of, varied_sections
from vision_baselines.comparison.formatting import number, one_line, plural
from vision_baselines.comparison.kept import kept
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
    rows: Sequence[JobRow],
    out: Path | None,
    only: Collection[int] | None = None,
    settings: SettingsOfJobs | None = None,
) -> dict[Path, JobDetails]:
    """The panel of each job, or of those of some identities, by its folder; without `out` no file is linked.

    `out` is the page's folder.
    """
    own: Sequence[Mapping[str, str]] = [{}] * len(rows)
    if only is None:
        own = (settings or SettingsOfJobs.of([tuple(row.job for row in rows)])).of_each(len(rows))
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
        if only is None or id(row.job) in only
    }


def pictures_by_probe(
    table: ComparisonTable, details: Mapping[Path, JobDetails]
) -> dict[str, list[tuple[str, Sequence[Link]]]]:
    """What each probe but features drew of the first seed of every group, the best group first."""
    found: dict[str, list[tuple[str, Sequence[Link]]]] = {}
    for row in table.best_first():
        jobs = (details[job.folder] for job in row.counted if job.folder in details)
        for job in islice(jobs, 1):
            links: dict[str, list[Link]] = {}
            for link in job.pictures:
                probe = link.name.partition("/")[0]
                if is_probe_picture(link.name) and probe != "features":
                    links.setdefault(probe, []).append(link)
            for probe, pictures in links.items():
                found.setdefault(probe, []).append((row.label, pictures))
    return dict(sorted(found.items()))


@dataclass(frozen=True)
class SettingsOfJobs:
    """The settings of some jobs by dotted key, as texts: what all have alike, and what each has of the rest."""

    shared: Mapping[str, str]
    own: Mapping[str, Sequence[str | None]]

    @classmethod
    def of(cls, groups: Sequence[tuple[Job, ...]]) -> SettingsOfJobs:
        """Of the jobs of all groups; copies are left out of what is not alike, as ``data.seed`` is one of ``seed``."""
        first = next((job.record.config for jobs in groups for job in jobs), {})
        varied = tuple(varied_sections(groups))
        shared = {key: section for key, section in first.items() if key not in varied}
        columns: dict[str, list[Any]] = {}
        texts: dict[str, list[str | None]] = {}
        of_groups = [_sections(jobs, varied) for jobs in groups]
        for place, key in enumerate(varied):
            identities = list(chain.from_iterable(sections[place] for sections in of_groups))
            alike, found = _values(key, chain.from_iterable(sections_of(jobs).get(key, [ABSENT]) for jobs in groups))
            shared |= alike
            for name, values in found.items():
                columns[name] = list(map(values.__getitem__, identities))
                texts[name] = list(map(_texts(values).__getitem__, identities))
        ends: dict[str, list[str]] = {}
        for key in sorted(columns, key=lambda key: key.count(".")):
            twins = ends.setdefault(key.rpartition(".")[2], [])
            if not any(columns[twin] == columns[key] for twin in twins):
                twins.append(key)
        of_all = {key: one_line(leaf_text(value), _LONGEST_VALUE) for key, value in sorted(relevant(shared).items())}
        return cls(of_all, {key: texts[key] for key in sorted(chain.from_iterable(ends.values()))})

    def first(self, key: str) -> int:
        """The place of the first record that has a setting of its own."""
        return next(place for place, text in enumerate(self.own[key]) if text is not None)

    def of_each(self, n: int) -> list[dict[str, str]]:
        """What each of `n` records has of its own."""
        return [{key: text for key, of in self.own.items() if (text := of[place]) is not None} for place in range(n)]


@kept()
def _sections(jobs: tuple[Job, ...], keys: tuple[str, ...]) -> list[list[int]]:
    """The identities of the sections of the jobs' configs at each key, that of `ABSENT` where one has none."""
    configs = [job.record.config for job in jobs]
    return [[id(config.get(key, ABSENT)) for config in configs] for key in keys]


def _values(key: str, sections: Iterable[Any]) -> tuple[dict[str, Any], dict[str, dict[int, Any]]]:
    """What the configs' sections at a key have alike, and of the rest each relevant setting by dotted key.

    Values are by the identity of the section, None where it has no such setting. Records of a cache share sections, so
    that few are looked at.
    """
    distinct = {id(section): section for section in sections}
    alike, parts = factored([{} if section is ABSENT else {key: section} for section in distinct.values()])
    found = dict(zip(distinct, map(relevant, parts), strict=True))
    names = dict.fromkeys(chain.from_iterable(found.values()))
    return alike, {name: {identity: of.get(name) for identity, of in found.items()} for name in names}


def _texts(values: Mapping[int, Any]) -> dict[int, str | None]:
    """Values as they are shown; None stays."""
    return {
        identity: None if value is None else one_line(leaf_text(value), _LONGEST_VALUE)
        for identity, value in values.items()
    }


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
    found = [(Metric(name), value) for name, value in finite_metrics(record)]
    return {metric.title: metric.written(value) for metric, value in found}


def curve_of(record: RunRecord, most: int = _POINTS) -> JobCurve | None:
    """The metric that the run's best epoch was chosen by, at no more than so many epochs."""
    name = record.selection_metric
    rows = [row for row in record.by_epoch(name) if math.isfinite(row[1])]
    if len(rows) < 2:
        return None
    metric = Metric(name, record.task.mode)
    n = min(len(rows), most)
    kept = rows if n == len(rows) else [rows[round(place * (len(rows) - 1) / (n - 1))] for place in range(n)]
    epochs, values = zip(*rows, strict=True)
    low, span = min(values), max(values) - min(values) or 1.0
    start, length = epochs[0], epochs[-1] - epochs[0] or 1
    points = " ".join(
        [
            f"{_WIDTH * (epoch - start) / length:.0f},{_HEIGHT - 4 - (_HEIGHT - 8) * (value - low) / span:.1f}"
            for epoch, value in kept
        ]
    )
    best = metric.best(values)
    says = (
        f"{metric.title} by epoch: {metric.written(values[0])} at {start}, best {metric.written(best)} at "
        f"{epochs[values.index(best)]}, last {metric.written(values[-1])} at {epochs[-1]}"
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
