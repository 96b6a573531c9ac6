"""How far runs are that a cluster's scheduler has, where it can be asked; else what their submission left is said."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path

from vision_baselines.cluster.note import Submitted, read_outcome, read_submitted
from vision_baselines.cluster.queue import CannotAskError, Seen, seen
from vision_baselines.cluster.queue import State as With
from vision_baselines.sweep.states import RunStatus, State
from vision_baselines.text import one_line

# States of which the scheduler may know more than the files.
_UNDECIDED = (State.QUEUED, State.NOT_STARTED, State.INTERRUPTED, State.FAILED, State.DIVERGED)


def submissions(sweeps: Iterable[Path]) -> tuple[dict[Path, tuple[Path, Submitted]], list[str]]:
    """What was submitted, by the folder of its run, with that of its sweep; and what cannot be read of that."""
    submitted: dict[Path, tuple[Path, Submitted]] = {}
    faults: list[str] = []
    for sweep in sweeps:
        noted = read_submitted(sweep)
        submitted |= {sweep / name: (sweep, one) for name, one in noted.jobs.items()}
        faults += [noted.fault] if noted.fault else []
    return submitted, faults


def as_scheduled(
    runs: Sequence[RunStatus], folder: Path, submissions: Mapping[Path, tuple[Path, Submitted]]
) -> list[RunStatus]:
    """The runs, with what the scheduler says of those that were submitted and neither run nor are finished.

    Args:
        runs: As their files have them.
        folder: That their places are below.
        submissions: Of sweeps at or below it.
    """
    submitted = {job.relative_to(folder).as_posix(): found for job, found in submissions.items()}
    asked = {run.place: submitted[run.place] for run in runs if run.place in submitted and run.state in _UNDECIDED}
    if not asked:
        return list(runs)
    try:
        known = seen(one for _, one in asked.values())
    except CannotAskError as error:
        return [_unknown(run, asked[run.place][1], error) if run.place in asked else run for run in runs]
    return [_seen(run, *asked[run.place], known) if run.place in asked else run for run in runs]


def _unknown(run: RunStatus, one: Submitted, error: CannotAskError) -> RunStatus:
    if run.state not in (State.QUEUED, State.NOT_STARTED):
        return run
    return replace(
        run, state=State.QUEUED, said=one_line(f"submitted as job {one.id}, of which nothing is known: {error}")
    )


def _seen(run: RunStatus, sweep: Path, one: Submitted, known: dict[Submitted, Seen]) -> RunStatus:
    has_begun = run.state not in (State.QUEUED, State.NOT_STARTED)
    found = known.get(one)
    if found is not None and found.state is With.QUEUED:
        state = State.PREEMPTED if run.state is State.INTERRUPTED else State.QUEUED
        return replace(run, state=state, said=f"job {found.id}" + (f", {found.said}" if found.said else ""))
    if found is not None and found.state is With.RUNNING:
        return replace(
            run, state=State.RUNNING, said=f"starting, job {found.id}" + (f" on {found.said}" * bool(found.said))
        )
    reason = f"{found.reason} (job {found.id})" if found is not None and found.reason else ""
    if has_begun:
        more = run.state is State.INTERRUPTED and reason
        return replace(run, said=f"{reason}; the same command resumes it") if more else run
    outcome = read_outcome(sweep, one)
    if outcome is not None and outcome.exit_code:
        return replace(run, state=State.FAILED, said=one_line(outcome.message))
    if found is not None and found.word and found.word != "COMPLETED":
        return replace(run, state=State.INTERRUPTED if found.can_go_on else State.FAILED, said=reason)
    return replace(run, state=State.NOT_STARTED, said=f"job {one.id} is gone" if one.id else "")
