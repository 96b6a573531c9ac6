"""Finds the records below some folders, and keeps going where one of them cannot be read.

`runs.record.find_records` stops at the first broken record, which is right for a sweep that is about to
start; a comparison that is rebuilt after every job must rather list it as unreadable and show the others.
"""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from functools import cached_property
from operator import methodcaller
from pathlib import Path

from vision_baselines.comparison.errors import NoRecordsError
from vision_baselines.comparison.formatting import one_line
from vision_baselines.errors import single_line
from vision_baselines.runs.places import SOME, not_a_folder, without_a_run
from vision_baselines.runs.planned import PLANNED_FILE, read_planned, sweeps_in
from vision_baselines.runs.record import FRESH_SEEDS, RECORD_FILE, RunRecord, read_record
from vision_baselines.runs.record_cache import CACHE_FILE, RecordCache
from vision_baselines.terminal import Waiting

OUTPUT_FOLDER = "comparison"
# The order of paths, without the cost of a path, as there may be thousands: nothing in a name is before what ends it.
_BY_PARTS = methodcaller("replace", os.sep, "\0")


@dataclass(frozen=True)
class Job:
    """One record and the folder it lies in; `place` is that folder as a reader would name it."""

    folder: Path
    place: str
    record: RunRecord

    @cached_property
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
    """Everything found, sorted by path.

    Attributes:
        jobs: The records.
        unreadable: What should be one, and is none.
        n_parsed: Number of records that no cache had.
        not_begun: What was typed of each job that was planned in one of the folders and has left no record.
        unread_plans: Why a folder's plan cannot be read, in a line each.
    """

    jobs: tuple[Job, ...]
    unreadable: tuple[Unreadable, ...] = ()
    n_parsed: int = 0
    not_begun: tuple[tuple[str, ...], ...] = ()
    unread_plans: tuple[str, ...] = ()


@dataclass(frozen=True)
class _Plan:
    """What a folder's plan said when its file looked as `signature`: where jobs lie, with what was typed of each."""

    signature: tuple[int, int, int] = (0, 0, 0)
    places: tuple[tuple[str, tuple[str, ...]], ...] = ()
    fault: str = ""


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
    return Records(folders, is_cached=False).collected()


class Records:
    """The records at or below some folders: what is read of them is kept, here and beside the comparison.

    Args:
        folders: Sweeps, or folders of sweeps.
        is_cached: Whether records are those of a `RecordCache`, to be read and not to be written.
    """

    def __init__(self, folders: Sequence[Path], *, is_cached: bool = True) -> None:
        self.folders = tuple(folders)
        self.caches = [RecordCache(top / OUTPUT_FOLDER / CACHE_FILE) for top in folders] if is_cached else []
        self._found: dict[str, Job | Unreadable] = {}
        self._plans: dict[Path, _Plan] = {}
        self._sweeps_inside: list[Path] = []
        self._is_complete = False

    def collected(self, changed: Sequence[Path] | None = None) -> Collection:
        """Everything that is there.

        Args:
            changed: The only folders whose record is new, has changed or is gone since the last time; None looks at
                all.

        Raises:
            NoRecordsError: A folder does not exist, or there is no record, good or bad, in any.
        """
        before = self.n_parsed
        if changed is None or not self._is_complete:
            require_records(self.folders)
            known, self._found = self._found, {}
            for place, top in enumerate(self.folders):
                real = str(top.resolve())
                for below in _record_folders(top):
                    self._read(place, below, real, known)
            self._sweeps_inside = [sweep for top in self.folders for sweep in sweeps_in(top)]
            self._is_complete = True
        else:
            for folder in dict.fromkeys(path.absolute() for path in changed):
                for place, top in enumerate(self.folders):
                    if folder.is_relative_to(top.absolute()):
                        inside = folder.relative_to(top.absolute())
                        below = str(inside) if inside.parts else ""
                        self._read(place, below, str(top.resolve()), self._found, again=True)
        found = [self._found[identity] for identity in sorted(self._found, key=_BY_PARTS)]
        plans = [self._plan(sweep) for sweep in (*self.folders, *self._sweeps_inside)]
        return Collection(
            tuple([one for one in found if isinstance(one, Job)]),
            tuple([one for one in found if isinstance(one, Unreadable)]),
            self.n_parsed - before,
            tuple([typed for plan in plans for identity, typed in plan.places if identity not in self._found]),
            tuple([plan.fault for plan in plans if plan.fault]),
        )

    def _plan(self, sweep: Path) -> _Plan:
        """That of a folder, read anew where its file is another one."""
        try:
            found = os.lstat(sweep / PLANNED_FILE)
        except OSError:
            return _Plan()
        signature, known = (found.st_size, found.st_mtime_ns, found.st_ino), self._plans.get(sweep)
        if known is None or known.signature != signature:
            real, plan = sweep.resolve(), read_planned(sweep)
            places = tuple((str(real / name), tuple(typed)) for name, typed in plan.words.items())
            known = self._plans[sweep] = _Plan(signature, places, plan.fault)
        return known

    @property
    def n_parsed(self) -> int:
        """Number of records that no cache had."""
        return sum(cache.records_parsed for cache in self.caches)

    def save(self, place: int) -> None:
        """Keep what was read of one of the folders, whose comparison is held by this process.

        Nothing is kept where it cannot be written: it is read again.
        """
        if self.caches and self.caches[place].path.parent.is_dir():
            with suppress(OSError):
                self.caches[place].save(self._places(place))

    def _places(self, place: int) -> Iterator[str]:
        """Where the records at or below one of the folders lie, as its cache calls them."""
        real = self.folders[place].resolve()
        for identity, one in self._found.items():
            if isinstance(one, Job) and (path := Path(identity)).is_relative_to(real):
                yield path.relative_to(real).as_posix()

    def _read(
        self, place: int, below: str, real: str, known: Mapping[str, Job | Unreadable], *, again: bool = False
    ) -> None:
        """Read the record of the folder at the path `below` one of the folders, which is `real` without links.

        A job whose record is the one that is `known` of it is the same object.
        """
        top = self.folders[place]
        identity = os.path.join(real, below) if below else real  # noqa: PTH118  (of thousands, as above)
        if identity in self._found and not again:
            return
        folder, posix = (top / below, below.replace(os.sep, "/")) if below else (top, ".")
        name = f"{top.name}/{posix}".lstrip("/") if below else Path(real).name
        before = known.get(identity)
        try:
            record = self.caches[place].record(folder, posix) if self.caches else read_record(folder)
            if not isinstance(before, Job) or before.record is not record:
                before = Job(folder, name, record)
            self._found[identity] = before
        except FileNotFoundError:
            self._found.pop(identity, None)
            if not again:
                raise
        except (ValueError, OSError, RecursionError) as error:
            self._found[identity] = Unreadable(name, one_line(single_line(error), length=300))


def _is_folder(entry: os.DirEntry[str]) -> bool:
    try:
        return entry.is_dir()
    except OSError:  # a link in a circle
        return False


def _record_folders(top: Path) -> Iterator[str]:
    """Folders with a record at or below `top`, by path below it, in the order of their names; links are not followed.

    As `os.walk` finds them, without the list of every file of each: there may be thousands.
    """
    waiting, line, seen = [""], Waiting(f"looking for runs in {top}", "folders"), 0
    while waiting:
        below = waiting.pop()
        line.told(seen)
        seen += 1
        try:
            with os.scandir(top / below) as found:
                entries = list(found)
        except OSError:
            continue
        if any(entry.name == RECORD_FILE and not _is_folder(entry) for entry in entries):
            yield below
        names = [entry.name for entry in entries if entry.is_dir(follow_symlinks=False)]
        start = f"{below}{os.sep}" if below else ""
        waiting += [f"{start}{name}" for name in sorted(names, reverse=True) if name != OUTPUT_FOLDER]
