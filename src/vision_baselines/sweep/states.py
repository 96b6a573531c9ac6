"""How far a run can be, and what is said of one."""

from __future__ import annotations

import shlex
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path

from vision_baselines.jobs.summary import near


class State(StrEnum):
    """How far a run is."""

    RUNNING = "running"
    QUEUED = "queued"
    PREEMPTED = "preempted"
    NOT_STARTED = "not started"
    INTERRUPTED = "interrupted"
    FAILED = "failed"
    DIVERGED = "diverged"
    PRUNED = "pruned"
    UNREADABLE = "unreadable"
    FINISHED = "finished"


BAD = (State.FAILED, State.DIVERGED, State.UNREADABLE)
OPEN = (State.RUNNING, State.QUEUED, State.PREEMPTED, State.NOT_STARTED, State.INTERRUPTED)


@dataclass(frozen=True)
class RunStatus:
    """One run: its folder below the one asked for, and what is known of it: its metric, its epoch, or its reason.

    `has_record` is whether it has left a record that can be read.
    """

    place: str
    state: State
    said: str = ""
    pid: int | None = None
    label: str = ""
    has_record: bool = True

    @property
    def name(self) -> str:
        """What it is called: what tells it from the other runs beside it, or where it lies."""
        return self.label or self.place


def status_command(folder: Path) -> str:
    """What is typed to see how far the runs of a folder are.

    >>> status_command(Path("outputs/a b"))
    "vision-baselines status 'outputs/a b'"
    """
    return f"vision-baselines status {shlex.quote(near(folder))}"
