"""What the page says of one job: how it went, the settings that set it apart, its curve, and links to its own files.

The links lead from the page's folder to the run's; the page is complete without them.
"""

from __future__ import annotations

import math
import os
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from itertools import chain, islice
from pathlib import Path
from urllib.parse import quote

from vision_baselines.comparison.collection import Job
from vision_baselines.comparison.configuration import ABSENT, leaf_text, section_texts, varied_sections
from vision_baselines.comparison.formatting import number, one_line, plural
from vision_baselines.comparison.kept import kept
from vision_baselines.comparison.metric import Metric
from vision_baselines.comparison.table import ComparisonTable
from vision_baselines.report.tables import JobRow, failure_reason
from vision_baselines.runs.files import RUN_PAGE, is_probe_picture
from vision_baselines.runs.fingerprint import relevant
from vision_baselines.runs.record import RECORD_FILE, RunRecord
from vision_baselines.storage.reading import stays_below

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
    return name.endswith(_IMAGES) and stays_below(name)


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
        own = (settings or SettingsOfJobs.of([tuple(row.job for row in rows)])).of_each()
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


Field = tuple[str, str]
"""A setting of jobs: the config's key that it is below, and its dotted key."""


@dataclass(frozen=True)
class SettingsOfJobs:
    """The settings of the jobs of some groups as texts by dotted key: what all have alike, and the rest, sorted."""

    shared: Mapping[str, str]
    own: Sequence[Field]
    groups: Sequence[tuple[Job, ...]]

    @classmethod
    def of(cls, groups: Sequence[tuple[Job, ...]]) -> SettingsOfJobs:
        """Of the jobs of all groups; copies are left out of what is not alike, as ``data.seed`` is one of ``seed``."""
        first = next((job.record.config for jobs in groups for job in jobs), {})
        varied = varied_sections(groups)
        found = relevant({key: section for key, section in first.items() if key not in varied})
        shared = {key: leaf_text(value) for key, value in found.items()}
        fields: list[Field] = []
        for section in varied:
            common, names = zip(*(_common(jobs, section) for jobs in groups), strict=True)
            alike = dict(frozenset.intersection(*common))
            shared |= alike
            fields += [(section, name) for name in dict.fromkeys(chain.from_iterable(names)) if name not in alike]
        ends: dict[str, list[Field]] = {}
        for field in sorted(fields, key=lambda field: field[1].count(".")):
            twins = ends.setdefault(field[1].rpartition(".")[2], [])
            if not any(all(_column(jobs, *twin) == _column(jobs, *field) for jobs in groups) for twin in twins):
                twins.append(field)
        own = sorted(chain.from_iterable(ends.values()), key=lambda field: field[1])
        return cls({key: _shown(text) for key, text in sorted(shared.items())}, own, groups)

    def by_appearance(self) -> tuple[Field, ...]:
        """What is not alike, in the order of the first job that has it."""

        def first(field: Field) -> int:
            texts = chain.from_iterable(_column(jobs, *field) for jobs in self.groups)
            return next(place for place, text in enumerate(texts) if text is not None)

        return tuple(sorted(self.own, key=first))

    def rows(self, fields: tuple[Field, ...]) -> list[tuple[tuple[str | None, ...], ...]]:
        """What each job has of some settings, group by group."""
        return [_rows(jobs, fields) for jobs in self.groups]

    def of_each(self) -> list[dict[str, str]]:
        """What each job has of its own."""
        names = [name for _, name in self.own]
        rows = chain.from_iterable(self.rows(tuple(self.own)))
        return [{name: text for name, text in zip(names, row, strict=True) if text is not None} for row in rows]


@kept()
def _common(jobs: tuple[Job, ...], section: str) -> tuple[frozenset[tuple[str, str]], list[str]]:
    """The settings below a key of the config that a group's jobs have alike, with their texts, and the names of all."""
    found = list(section_texts(jobs, section).values())
    return frozenset.intersection(*(frozenset(texts.items()) for texts in found)), list(chain.from_iterable(found))


@kept(most=2**14)
def _column(jobs: tuple[Job, ...], section: str, name: str) -> tuple[str | None, ...]:
    """The text of a setting in each job, None where it has none."""
    texts = {
        identity: None if (text := of.get(name)) is None else _shown(text)
        for identity, of in section_texts(jobs, section).items()
    }
    return tuple([texts[id(job.record.config.get(section, ABSENT))] for job in jobs])


@kept()
def _rows(jobs: tuple[Job, ...], fields: tuple[Field, ...]) -> tuple[tuple[str | None, ...], ...]:
    columns = [_column(jobs, *field) for field in fields]
    return tuple(zip(*columns, strict=True)) if columns else ((),) * len(jobs)


def _shown(text: str) -> str:
    return one_line(text, _LONGEST_VALUE)


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
    inside = [name for name in names if stays_below(name) and _is_file(job.folder / name)]
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
