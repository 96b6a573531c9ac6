"""The lock where the system's own does nothing: several hosts are processes that give themselves other names."""

from __future__ import annotations

import errno
import json
import os
import subprocess
import sys
import threading
import time

import pytest

from vision_baselines.errors import StorageError
from vision_baselines.storage import holder as holders
from vision_baselines.storage import lease, lock
from vision_baselines.storage.lock import RunLockedError, exclusive, holder

# What a process of another host would be: it sees no process of this one.
OTHER = """
import sys, time, fcntl
from pathlib import Path
from vision_baselines.storage import holder, lease
from vision_baselines.storage.lock import exclusive, RunLockedError
fcntl.flock = lambda *_: None
if sys.argv[2] != "here":
    holder.machine = lambda: sys.argv[2]
lease.BEAT_S = 0.05
try:
    with exclusive(Path(sys.argv[1])):
        print("held", flush=True)
        sys.stdin.readline()
    print("let go", flush=True)
except RunLockedError as error:
    print("refused", flush=True)
"""


def unsupported(*_):
    raise OSError(errno.ENOLCK, "No locks available")


@pytest.fixture(params=["does nothing", "unsupported"], autouse=True)
def flock(request, monkeypatch):
    monkeypatch.setattr(lock.fcntl, "flock", unsupported if request.param == "unsupported" else lambda *_: None)


@pytest.fixture
def other(tmp_path, environment):
    started = []

    def start(host):
        command = [sys.executable, "-c", OTHER, str(tmp_path), host]
        process = subprocess.Popen(command, env=environment, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        started.append(process)
        assert process.stdout.readline() == "held\n"
        return process

    yield start
    for process in started:
        process.kill()
        process.communicate()


def left(folder, **facts):
    """A lease as a holder left it."""
    path = folder / ".lock.lease"
    own = {
        "token": "0123456789abcdef",
        "host": "node7",
        "machine": "x",
        "pid": 7,
        "started": "1",
        "job": "",
        "restarts": 0,
    }
    path.write_text(json.dumps({**own, **facts}))
    return path


@pytest.mark.parametrize("host", ["here", "another"])
def test_a_second_process_is_refused_whichever_host_it_is_on(tmp_path, other, host):
    process = other(host)
    with pytest.raises(RunLockedError, match=f"process {process.pid}") as refused, exclusive(tmp_path):
        pass
    assert refused.value.pid == holder(tmp_path) == process.pid
    assert bool(refused.value.host) == (host == "another")
    process.stdin.write("\n")
    process.stdin.flush()
    assert process.stdout.readline() == "let go\n"
    with exclusive(tmp_path):
        assert holder(tmp_path) == os.getpid()
    assert holder(tmp_path) is None


def test_of_a_process_killed_on_this_host_the_lock_is_taken_at_once(tmp_path, other):
    process = other("here")
    process.kill()
    process.wait()
    assert holder(tmp_path) is None
    with exclusive(tmp_path):
        pass


@pytest.mark.slow
def test_of_a_process_killed_on_another_host_it_is_taken_when_it_was_quiet_long_enough(tmp_path, other, monkeypatch):
    monkeypatch.setattr(holders, "STALE_S", 1.0)
    process = other("another")
    time.sleep(1.2)
    with pytest.raises(RunLockedError), exclusive(tmp_path):  # its signs of life come
        pass
    process.kill()
    with pytest.raises(RunLockedError), exclusive(tmp_path):
        pass
    with exclusive(tmp_path, wait=True):
        pass


@pytest.mark.parametrize(("age_s", "is_held"), [(0, True), (290, True), (310, False), (-290, True), (-310, False)])
def test_the_age_is_that_of_the_file_systems_own_clock(tmp_path, monkeypatch, age_s, is_held):
    path = left(tmp_path)
    begun = path.stat().st_mtime
    monkeypatch.setattr(lease, "_file_system_time", lambda _: begun + age_s)
    monkeypatch.setattr(time, "time", lambda: 0.0)  # a host whose clock is wrong
    if is_held:
        with pytest.raises(RunLockedError, match="on node7"), exclusive(tmp_path):
            pass
    else:
        with exclusive(tmp_path):
            assert holder(tmp_path) == os.getpid()


def test_a_later_attempt_of_the_same_job_takes_it_at_once(tmp_path, monkeypatch):
    left(tmp_path, job="12", restarts=0)
    monkeypatch.setenv("SLURM_JOB_ID", "12")
    with pytest.raises(RunLockedError), exclusive(tmp_path):
        pass
    monkeypatch.setenv("SLURM_RESTART_COUNT", "1")
    with exclusive(tmp_path):
        pass


def test_a_process_id_that_is_another_process_now_holds_nothing(tmp_path):
    left(tmp_path, machine=holders.machine(), pid=os.getppid(), started="1")
    with exclusive(tmp_path):
        pass
    left(tmp_path, machine=holders.machine(), pid=os.getpid(), started=holders._started(os.getpid()))
    with exclusive(tmp_path):
        pass


@pytest.mark.parametrize(
    "content", [b"", b"\xff\x00", b"[]", b"null", b'{"pid": "x"}', b"{" * 5000, b'{"token": 1}', b"9" * 5000]
)
def test_a_file_that_says_nothing_holds_the_folder_until_it_is_old(tmp_path, content):
    path = tmp_path / ".lock.lease"
    path.write_bytes(content)
    with (
        pytest.raises(RunLockedError, match=r"\.lock\.lease names no process; .* until it is 300 s old or removed"),
        exclusive(tmp_path),
    ):
        pass
    os.utime(path, (1, 1))
    with exclusive(tmp_path):
        pass


@pytest.mark.parametrize("make", ["mkdir", "symlink", "fifo"])
def test_what_is_no_file_is_refused_in_a_line(tmp_path, make):
    path = tmp_path / ".lock.lease"
    {"mkdir": path.mkdir, "symlink": lambda: path.symlink_to("x"), "fifo": lambda: os.mkfifo(path)}[make]()
    with pytest.raises(StorageError, match="not a regular file"), exclusive(tmp_path):
        pass
    assert holder(tmp_path) is None


def test_of_many_who_find_a_dead_one_one_has_it_at_a_time(tmp_path):
    left(tmp_path, machine=holders.machine(), pid=2**22 + 1)
    inside, most, done = [], [], []

    def take():
        for _ in range(20):
            with exclusive(tmp_path, wait=True):
                inside.append(1)
                most.append(len(inside))
                inside.pop()
        done.append(1)

    threads = [threading.Thread(target=take) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert (max(most), len(done)) == (1, 4)
    assert sorted(path.name for path in tmp_path.iterdir()) == [".lock"]


def test_without_hard_links_the_lease_holds_all_the_same(tmp_path, monkeypatch):
    def no_links(*_):
        raise OSError(errno.EPERM, "no links here")

    monkeypatch.setattr(os, "link", no_links)
    with exclusive(tmp_path), pytest.raises(RunLockedError), exclusive(tmp_path):
        pass


def test_a_folder_that_cannot_be_written_is_an_error_of_the_system(tmp_path, monkeypatch):
    def full(*_):
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(os, "link", full)
    with pytest.raises(OSError, match="No space"), exclusive(tmp_path):
        pass


@pytest.mark.slow
def test_a_process_whose_lease_was_taken_while_it_slept_ends(tmp_path, other):
    process = other("another")
    (tmp_path / ".lock.lease").unlink()
    time.sleep(0.2)  # removed with its folder: nobody's
    assert process.poll() is None
    left(tmp_path)
    assert process.wait(30) == lease._LOST
