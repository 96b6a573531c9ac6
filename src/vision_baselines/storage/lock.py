"""One trainer at a time in a run's folder: a lock that dies with the process that holds it.

An advisory lock on an open file is let go by the operating system however the process ends, SIGKILL included.
Rejected: a file with a process id in it, which outlives its process and then has to be judged.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TextIO

try:
    import fcntl
except ImportError:  # Windows has no advisory locks of this kind
    fcntl = None  # type: ignore[assignment]

LOCK_FILE = ".lock"
# Open locks of this process. A child that is forked while one is held, such as a data loader's worker, lets go of its
# copy at once: it may outlive a killed parent by seconds, and with the copy the lock would outlive it too.
_held: set[TextIO] = set()


class RunLockedError(Exception):
    """Another process holds the folder; `pid` is that process's id, 0 if it is not known."""

    def __init__(self, folder: Path, pid: int) -> None:
        super().__init__(f"{folder} is being trained by process {pid or '(unknown)'}")
        self.pid = pid


@contextmanager
def exclusive(folder: Path, *, wait: bool = False) -> Iterator[None]:
    """Hold `folder` for as long as the block runs.

    Args:
        folder: The run's folder; made if it is not there.
        wait: Wait until it is free instead of raising.

    Raises:
        RunLockedError: Another process holds it.
        OSError: The folder cannot be written.
    """
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / LOCK_FILE
    with path.open("a+") as file:
        if fcntl is not None:
            try:
                fcntl.flock(file, fcntl.LOCK_EX if wait else fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                file.seek(0)
                raise RunLockedError(folder, int(file.read().strip() or 0)) from None
        file.truncate(0)
        file.write(str(os.getpid()))
        file.flush()
        _held.add(file)
        try:
            yield
        finally:
            _held.discard(file)
            if not file.closed:
                file.truncate(0)


def _let_go() -> None:
    for file in _held:
        file.close()
    _held.clear()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_let_go)
