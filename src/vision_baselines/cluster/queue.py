"""What the scheduler says of jobs: whether each waits, runs or has ended, and why.

Slurm's own commands are asked, once for all jobs of a person: `squeue`, which forgets an ended job after some minutes,
and `sacct`, which many clusters have and which remembers.
"""

from __future__ import annotations

import contextlib
import getpass
import os
import signal
import subprocess
from collections.abc import Iterable
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path

from vision_baselines.cluster.note import Submitted

_TIMEOUT_S = 20.0
_QUEUED = frozenset({"PENDING", "REQUEUED", "REQUEUE_HOLD", "REQUEUE_FED", "RESV_DEL_HOLD", "SPECIAL_EXIT"})
_RUNNING = frozenset(
    {"RUNNING", "COMPLETING", "CONFIGURING", "SUSPENDED", "STAGE_OUT", "SIGNALING", "RESIZING", "STOPPED"}
)
_BECAUSE = {
    "OUT_OF_MEMORY": "Slurm ended it because its memory ran out (hydra.launcher.mem_gb)",
    "TIMEOUT": "Slurm ended it because its time was up (hydra.launcher.time_min)",
    "DEADLINE": "Slurm ended it because its time was up",
    "NODE_FAIL": "its node failed",
    "BOOT_FAIL": "its node did not start",
    "PREEMPTED": "Slurm preempted it and did not queue it again",
    "CANCELLED": "cancelled",
}
_INTERRUPTED = ("CANCELLED", "PREEMPTED", "TIMEOUT", "DEADLINE", "NODE_FAIL", "BOOT_FAIL")


class State(StrEnum):
    """How far a job is, for the scheduler."""

    QUEUED = "queued"
    RUNNING = "running"
    ENDED = "ended"


@dataclass(frozen=True)
class Seen:
    """What the scheduler says of a job.

    Attributes:
        id: Its id.
        state: How far it is.
        said: Of a job that waits or runs: on what, or where.
        word: Slurm's own word for how one ended.
    """

    id: str
    state: State
    said: str = ""
    word: str = ""

    @property
    def reason(self) -> str:
        """Why it ended, where the scheduler knows."""
        return _BECAUSE.get(self.word, "") or (f"Slurm says {self.word}" if self.word else "")

    @property
    def can_go_on(self) -> bool:
        """Whether it was ended from outside, and the same command resumes it."""
        return self.word in _INTERRUPTED


class CannotAskError(Exception):
    """The scheduler does not answer."""


def seen(jobs: Iterable[Submitted]) -> dict[Submitted, Seen]:
    """What the scheduler says of jobs; those that it knows nothing of are left out.

    Raises:
        CannotAskError: It is not at hand.
    """
    jobs = list(jobs)
    found = {one: _process(one) for one in jobs if one.scheduler == "local"}
    asked = [one for one in jobs if one.scheduler == "slurm"]
    if asked:
        by_id, by_token = _squeue()
        for one in asked:
            main = by_token.get(one.token, "")
            name = one.id or (f"{main}_{one.index}" if one.size > 1 else main)
            if name in by_id:
                found[one] = by_id[name]
        gone = [one for one in asked if one not in found and one.id]
        remembered = _sacct({one.id.partition("_")[0] for one in gone}) if gone else {}
        found.update({one: remembered[one.id] for one in gone if one.id in remembered})
    return found


def cancel(jobs: Iterable[Submitted]) -> None:
    """Ask the scheduler to end jobs."""
    jobs = [one for one in jobs if one.id]
    if ids := [one.id for one in jobs if one.scheduler == "slurm"]:
        _said(["scancel", *ids])
    for one in jobs:
        if one.scheduler == "local" and _process(one).state is State.RUNNING:
            with contextlib.suppress(ProcessLookupError):
                os.kill(int(one.id), signal.SIGTERM)


def _squeue() -> tuple[dict[str, Seen], dict[str, str]]:
    """By id, and the number of a submission by its token, which stands in the job's comment."""
    text = _said(["squeue", "-h", "-r", "-t", "all", "-u", getpass.getuser(), "-o", "%i|%T|%N|%k|%r"])
    by_id: dict[str, Seen] = {}
    by_token: dict[str, str] = {}
    for line in text.splitlines():
        name, word, node, comment, reason = (line.split("|") + [""] * 5)[:5]
        by_id[name] = _understood(name, word, node, reason)
        by_token[comment] = name.partition("_")[0]
    return by_id, by_token


def _understood(name: str, word: str, node: str = "", reason: str = "") -> Seen:
    word = word.split()[0].rstrip("+") if word.strip() else ""
    if word in _QUEUED:
        return Seen(name, State.QUEUED, "" if reason in ("None", "(null)", "") else reason)
    if word in _RUNNING:
        return Seen(name, State.RUNNING, node)
    return Seen(name, State.ENDED, word=word)


def _sacct(numbers: Iterable[str]) -> dict[str, Seen]:
    try:
        text = _said(["sacct", "-n", "-X", "-P", "-j", ",".join(sorted(numbers)), "-o", "JobID,State"])
    except CannotAskError:  # a cluster without accounting
        return {}
    rows = [line.split("|") for line in text.splitlines()]
    return {row[0]: _understood(row[0], row[1]) for row in rows if len(row) == 2 and row[1]}


def _said(command: list[str]) -> str:
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=_TIMEOUT_S, check=False)
    except (OSError, subprocess.TimeoutExpired) as error:
        raise CannotAskError(f"{command[0]}: {getattr(error, 'strerror', None) or 'no answer'}") from error
    if done.returncode:
        raise CannotAskError(f"{command[0]}: {' '.join(done.stderr.split()) or done.returncode}")
    return done.stdout


def _process(one: Submitted) -> Seen:
    """A process of this machine that starts a job and, where it is preempted, starts it again."""
    try:
        words = Path(f"/proc/{one.id}/cmdline").read_bytes().split(b"\0")
        is_there = any(b"submitit" in word for word in words) and os.fsencode(one.token) in b"".join(words)
    except OSError:
        is_there = False
    return Seen(one.id, State.RUNNING if is_there else State.ENDED)
