"""Finds the records below some folders, and keeps going where one of them cannot be read.

`runs.record.find_records` stops at the first broken record, which is right for a sweep that is about to
start; a comparison that is rebuilt after every job must rather list it as unreadable and show the others.
"""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from vision_baselines.comparison.errors import NoRecordsError
from vision_baselines.comparison.formatting import one_line
from vision_baselines.errors import single_line
from vision_baselines.runs.places import SOME, not_a_folder, without_a_run
from vision_baselines.runs.record import FRESH_SEEDS, RECORD_FILE, RunRecord, read_record

OUTPUT_FOLDER = "comparison"


@dataclass(frozen=True)
class Job:
    """One record and the folder it lies in; `place` is that folder as a reader would name it."""

    folder: Path
    place: str
    record: RunRecord

    @property
    def is_fresh(self) -> bool:
        """Whether its setting was chosen before it was trained (`sweep.fresh`), so that it must not choose."""
        return self.folder.parent.name == FRESH_SEEDS


@dataclass(frozen=True)
class Unreadable:
    """A ``run.json`` that is no record, and why."""

    place: str
    reason: str


@dataclass(frozen=True)
class Collection:
    """Everything found, sorted by path."""

    jobs: tuple[Job, ...]
    unreadable: tuple[Unreadable, ...] = ()

    @property
    def sweeps(self) -> tuple[str, ...]:
        """Names of the sweeps, sorted."""
        return tuple(sorted({job.record.sweep for job in self.jobs}))


def require_records(folders: Sequence[Path]) -> None:
    """Refuse folders that hold nothing to compare, without reading a record.

    Raises:
        NoRecordsError: A folder does not exist, or there is no record at or below any.
    """
    for top in folders:
        if said := not_a_folder(top, SOME):
            raise NoRecordsError(said)
    if not any(True for top in folders for _ in _record_folders(top)):
        raise NoRecordsError(without_a_run(folders, SOME))


def require_readable(jobs: Sequence[Job], unreadable: Sequence[Unreadable]) -> None:
    """Refuse what holds no record that can be read.

    Raises:
        NoRecordsError: All are damaged; it says what is wrong with the first.
    """
    if not jobs and unreadable:
        first, *more = unreadable
        raise NoRecordsError(first.reason + (f"; so are {len(more)} more" if more else ""))


def collect(folders: Sequence[Path]) -> Collection:
    """Read every record at or below `folders`, each once.

    Folders named ``comparison`` below the given ones are passed over: they hold comparisons.

    Raises:
        NoRecordsError: A folder does not exist, or there is no record, good or bad, in any.
    """
    require_records(folders)
    jobs: dict[Path, Job] = {}
    unreadable: dict[Path, Unreadable] = {}
    for top in folders:
        for folder in _record_folders(top):
            identity = folder.resolve()
            if identity in jobs or identity in unreadable:
                continue
            place = folder.relative_to(top.parent).as_posix() if folder != top else top.resolve().name
            try:
                jobs[identity] = Job(folder, place, read_record(folder))
            except (ValueError, OSError, RecursionError) as error:
                unreadable[identity] = Unreadable(place, one_line(single_line(error), length=300))
    return Collection(
        tuple(job for _, job in sorted(jobs.items())), tuple(found for _, found in sorted(unreadable.items()))
    )


def _record_folders(top: Path) -> Iterator[Path]:
    for path, subfolders, files in os.walk(top):
        subfolders[:] = sorted(name for name in subfolders if name != OUTPUT_FOLDER)
        if RECORD_FILE in files:
            yield Path(path)
