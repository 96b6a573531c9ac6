"""How far the runs of a folder are: those that are done, that run, that ended badly, and that are still to come.

Nothing is written. What runs is known by its lock, so a run whose process is gone is not called running, whatever its
record says.
"""

from __future__ import annotations

import os
import re
import stat
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from vision_baselines.comparison.collection import Collection, collect
from vision_baselines.comparison.errors import NoRecordsError
from vision_baselines.comparison.formatting import one_line, plural
from vision_baselines.comparison.metric import headline_value
from vision_baselines.jobs.summary import differing
from vision_baselines.runs.files import resume_states
from vision_baselines.runs.places import SOME, not_a_folder
from vision_baselines.runs.planned import read_planned, sweeps_in
from vision_baselines.runs.record import RunRecord, Status
from vision_baselines.storage.lock import holder
from vision_baselines.sweep.planned import sweep_process
from vision_baselines.sweep.scheduled import as_scheduled, submissions
from vision_baselines.sweep.states import BAD, OPEN, RunStatus, State

__all__ = ["BAD", "OPEN", "RunStatus", "State", "SweepStatus", "latest_progress", "status_of"]

_LOG = "train.log"
_TAIL_BYTES = 2**16
_PROGRESS = re.compile(rb"\[vision_baselines\.progress\]\[INFO\] (epoch [^\n]+)")


@dataclass(frozen=True)
class SweepStatus:
    """All runs of a folder, and the process of the sweep that runs there; 0 where its id is not known.

    `faults` are what cannot be read of the files of sweeps, a line each; runs may be missing then.
    """

    folder: Path
    runs: tuple[RunStatus, ...]
    pid: int | None
    faults: tuple[str, ...] = ()

    @property
    def counts(self) -> dict[State, int]:
        """Number of runs by state, those that there are."""
        found = Counter(run.state for run in self.runs)
        return {state: found[state] for state in State if found[state]}

    @property
    def is_live(self) -> bool:
        """Whether anything is still being trained."""
        return self.pid is not None or bool({State.RUNNING, State.PREEMPTED, State.QUEUED} & self.counts.keys())

    @property
    def exit_code(self) -> int:
        """0 where every run is finished, 4 where one ended badly or is not known, 1 where there is more to come."""
        if self.faults or any(state in BAD for state in self.counts):
            return 4
        return 1 if any(state in OPEN for state in self.counts) else 0

    @property
    def headline(self) -> str:
        """All counts in a line, and whether a sweep is running."""
        said = f"{plural(len(self.runs), 'run')}: " + ", ".join(f"{k} {state}" for state, k in self.counts.items())
        return said + (f"; a sweep is running (process {self.pid or 'unknown'})" if self.pid is not None else "")


def status_of(folder: Path) -> SweepStatus:
    """How far the runs at or below a folder are.

    Raises:
        NoRecordsError: It is not a folder, or there is no run in it and none is planned, as far as that can be read.
    """
    if said := not_a_folder(folder, SOME):
        raise NoRecordsError(said)
    pids = {sweep: sweep_process(sweep) for sweep in _sweeps(folder)}
    plans = {sweep: read_planned(sweep) for sweep in pids}
    words = {sweep / name: typed for sweep, plan in plans.items() for name, typed in plan.words.items()}
    planned = {sweep / name: pids[sweep] is not None for sweep, plan in plans.items() for name in plan.words}
    submitted, unread = submissions(pids)
    faults = (*(plan.fault for plan in plans.values() if plan.fault), *unread)
    try:
        found = collect([folder])
    except NoRecordsError as error:
        if not planned:
            raise (NoRecordsError(faults[0]) if faults else error) from None
        found = Collection(())
    runs = [_run(job.folder, _place(job.folder, folder), job.record) for job in found.jobs]
    runs += [
        RunStatus(one.place.partition("/")[2] or one.place, State.UNREADABLE, one.reason, has_record=False)
        for one in found.unreadable
    ]
    known = {run.place for run in runs}
    for job, is_live in planned.items():
        place = job.relative_to(folder).as_posix()
        if place not in known:
            runs.append(_without_record(job, place, is_live=is_live))
    typed = {_place(job.folder, folder): list(job.record.overrides) for job in found.jobs}
    # in the words of its plan, where there is one: those of a job that has begun also say what its sweep is called
    typed |= {job.relative_to(folder).as_posix(): found for job, found in words.items()}
    runs = _labelled(as_scheduled(runs, folder, submitted), typed)
    pid = next((pid for pid in pids.values() if pid is not None), None)
    order = list(State)
    return SweepStatus(folder, tuple(sorted(runs, key=lambda run: (order.index(run.state), run.place))), pid, faults)


def _labelled(runs: Sequence[RunStatus], typed: Mapping[str, Sequence[str]]) -> list[RunStatus]:
    """The runs, called by what differs between those of a folder as in their sweep; by their places where unknown.

    Args:
        runs: As they are found.
        typed: What was typed of each, by its place.
    """
    beside: dict[str, list[RunStatus]] = {}
    for run in runs:
        beside.setdefault(run.place.rpartition("/")[0], []).append(run)
    found: dict[str, str] = {}
    for parent, those in beside.items():
        known = [run.place for run in those if typed.get(run.place)]
        if len(known) > 1:
            named = [", ".join(words) for words in differing([typed[place] for place in known])]
            counts = Counter(named)
            found |= {
                place: f"{parent}/{label}" if parent else label
                for place, label in zip(known, named, strict=True)
                if label and counts[label] == 1
            }
    return [replace(run, label=found.get(run.place, "")) for run in runs]


def _sweeps(folder: Path) -> list[Path]:
    """The folder, and those in it that a sweep has left its plan in."""
    return [folder, *sweeps_in(folder)]


def _run(folder: Path, place: str, record: RunRecord) -> RunStatus:
    pid = holder(folder)
    if pid is not None:
        return RunStatus(place, State.RUNNING, latest_progress(folder) or "starting", pid)
    reason = one_line(record.failure.message) if record.failure is not None else ""
    if record.status is Status.FINISHED:
        return RunStatus(place, State.FINISHED, headline_value(record))
    if record.status is Status.RUNNING:
        then = "resumes it" if resume_states(folder) else "starts it again, for it had saved no state yet"
        return RunStatus(place, State.INTERRUPTED, f"its process is gone; the same command {then}")
    return RunStatus(place, State(str(record.status)), reason)


def _without_record(folder: Path, name: str, *, is_live: bool) -> RunStatus:
    pid = holder(folder)
    if pid is not None:
        return RunStatus(name, State.RUNNING, "starting", pid, has_record=False)
    return RunStatus(name, State.QUEUED if is_live else State.NOT_STARTED, has_record=False)


def _place(folder: Path, top: Path) -> str:
    return folder.relative_to(top).as_posix() if folder != top else folder.resolve().name


def latest_progress(folder: Path) -> str:
    """The last line of progress in a run's log; empty where there is none."""
    try:
        descriptor = os.open(folder / _LOG, os.O_RDONLY | getattr(os, "O_NONBLOCK", 0) | getattr(os, "O_BINARY", 0))
    except OSError:
        return ""
    with os.fdopen(descriptor, "rb") as file:
        facts = os.fstat(descriptor)
        if not stat.S_ISREG(facts.st_mode):
            return ""
        file.seek(max(0, facts.st_size - _TAIL_BYTES))
        found: Sequence[bytes] = _PROGRESS.findall(file.read(_TAIL_BYTES))
    return found[-1].decode(errors="replace") if found else ""
