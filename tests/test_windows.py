"""What Windows lacks is simulated: no `resource`, no `fcntl`, no flags of POSIX, a process that is spawned."""

from __future__ import annotations

import sys

import pytest

from vision_baselines.runs.record import Status
from vision_baselines.storage import lock

WITHOUT = """
import sys
sys.modules.update(dict.fromkeys(["resource", "fcntl", "pwd", "grp", "termios"]))
import os
for name in ("O_NOFOLLOW", "O_NONBLOCK", "sched_getaffinity", "getuid"):
    if hasattr(os, name):
        delattr(os, name)
"""


class Msvcrt:
    """Windows' lock of one byte, as far as it is used; a second holder is refused."""

    LK_LOCK, LK_NBLCK, LK_UNLCK = 0, 1, 2

    def __init__(self):
        self.locked = False

    def locking(self, descriptor, mode, count):
        if mode == self.LK_UNLCK:
            self.locked = False
        elif self.locked:
            raise OSError(36, "Resource deadlock avoided")
        else:
            self.locked = True


@pytest.mark.slow
@pytest.mark.ci
@pytest.mark.parametrize("locks", ["none", "msvcrt"])
def test_a_run_trains_and_is_skipped_without_what_only_unix_has(run_tiny, monkeypatch, locks):
    monkeypatch.setitem(sys.modules, "resource", None)
    monkeypatch.setattr(lock, "fcntl", None)
    monkeypatch.setattr(lock, "msvcrt", Msvcrt() if locks == "msvcrt" else None)
    record = run_tiny("run")
    assert (record.status, record.peak_memory_bytes) == (Status.FINISHED, None)
    assert run_tiny("run").attempts == 1


@pytest.mark.slow
@pytest.mark.ci
def test_a_folder_is_held_by_one_where_a_byte_is_locked(tmp_path, monkeypatch):
    monkeypatch.setattr(lock, "fcntl", None)
    monkeypatch.setattr(lock, "msvcrt", Msvcrt())
    with lock.exclusive(tmp_path), pytest.raises(lock.RunLockedError), lock.exclusive(tmp_path):
        pass
    with lock.exclusive(tmp_path):
        pass


@pytest.mark.slow
def test_a_spawned_process_that_never_had_it_imports_everything_and_trains(python, tmp_path, tiny):
    code = f"""{WITHOUT}
from pathlib import Path
import vision_baselines.cli.entry, vision_baselines.cli.console, vision_baselines.sweep.launcher, vision_baselines.api
from vision_baselines.config.compose import composed_run
from vision_baselines.training.run import train
print(train(composed_run({tiny!r}, Path({str(tmp_path / "o" / "run")!r}))).status)
"""
    done = python("-c", code)
    assert done.stdout.strip().endswith("finished"), done.stderr[-2000:]
