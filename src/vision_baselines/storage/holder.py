"""Who holds a lease, as it stands in the file, and whether that process can still be there."""

from __future__ import annotations

import json
import os
import secrets
import socket
import sys
from collections.abc import Container
from dataclasses import dataclass
from functools import cache
from pathlib import Path

STALE_S = 300.0
"""Seconds without a sign of life after which a holder on another host counts as gone."""


@dataclass(frozen=True)
class Holder:
    """Who holds a folder.

    `machine` is the same for processes that see each other's ids; `started` tells a process from a later one of the
    same id; `job` and `restarts` are Slurm's. Of a file that nobody can read all is empty.
    """

    token: str = ""
    host: str = ""
    machine: str = ""
    pid: int = 0
    started: str = ""
    job: str = ""
    restarts: int = 0

    @property
    def is_here(self) -> bool:
        """Whether this machine knows of the process."""
        return bool(self.machine) and self.machine == machine()

    @property
    def is_earlier_attempt(self) -> bool:
        """Whether it is an attempt of this process's job that Slurm has ended."""
        job, restarts = _attempt()
        return bool(job) and job == self.job and restarts > self.restarts


@cache
def machine() -> str:
    """What processes have in common that see each other's ids: the boot of a kernel, and a namespace of processes."""
    try:
        boot = Path("/proc/sys/kernel/random/boot_id").read_text().strip()
        return f"{boot} {Path('/proc/self/ns/pid').readlink()}"
    except OSError:
        return f"{socket.gethostname()} {sys.platform}"


def own_holder() -> Holder:
    """This process, with a token of its own."""
    pid = os.getpid()
    job, restarts = _attempt()
    return Holder(secrets.token_hex(8), socket.gethostname(), machine(), pid, _started(pid) or "", job, restarts)


def _attempt() -> tuple[str, int]:
    restarts = os.environ.get("SLURM_RESTART_COUNT", "0")
    return os.environ.get("SLURM_JOB_ID", ""), int(restarts) if restarts.isdecimal() else 0


def _started(pid: int) -> str | None:
    """When a process of this machine started, in the kernel's ticks; empty where that is not told, None if it is gone.

    Source: the fields `state` and `starttime` of proc(5).
    """
    try:
        fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    except OSError:
        if Path("/proc/self/stat").exists() or sys.platform == "win32":
            return None  # on Windows the system's own lock has been asked before
        try:
            os.kill(pid, 0)
        except ProcessLookupError:
            return None
        except OSError:
            pass
        return ""
    return None if fields[0] in "ZX" else fields[19]


def is_alive(holder: Holder, age_s: float, claimed: Container[str]) -> bool:
    """Whether a holder is there.

    Args:
        holder: As its file says.
        age_s: Seconds since its last sign of life.
        claimed: Tokens of this process.
    """
    if holder.is_earlier_attempt:
        return False
    if holder.is_here:
        if holder.pid == os.getpid():
            return holder.token in claimed
        return _started(holder.pid) == holder.started
    return abs(age_s) <= STALE_S  # a time far in the future is no sign of life either


def parsed(content: bytes) -> Holder:
    """The holder that a file names; an empty one where it names none."""
    try:
        raw = json.loads(content)
        kinds = {"pid": int, "restarts": int}
        known = {name: raw[name] for name in Holder.__dataclass_fields__}
    except (ValueError, TypeError, KeyError, RecursionError):
        return Holder()
    right = all(type(value) is kinds.get(name, str) for name, value in known.items())
    return Holder(**known) if right and known["pid"] >= 0 else Holder()
