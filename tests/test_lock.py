"""One trainer at a time in a folder, and the lock dies with its holder."""

from __future__ import annotations

import os
import subprocess
import sys

import pytest

from vision_baselines.storage.lock import RunLockedError, exclusive
from vision_baselines.storage.lock import holder as lock_holder

HOLD = """
import sys, time
from pathlib import Path
from vision_baselines.storage.lock import exclusive
with exclusive(Path(sys.argv[1])):
    print("held", flush=True)
    time.sleep(float(sys.argv[2]))
    print("let go", flush=True)
"""


@pytest.fixture
def holder(tmp_path, environment):
    """A process that holds the folder; started by calling it with the seconds it holds on for."""
    started = []

    def hold(seconds):
        command = [sys.executable, "-c", HOLD, str(tmp_path), str(seconds)]
        process = subprocess.Popen(command, env=environment, stdout=subprocess.PIPE, text=True)
        started.append(process)
        assert process.stdout.readline() == "held\n"
        return process

    yield hold
    for process in started:
        process.kill()
        process.wait()
        process.stdout.close()


def test_a_second_process_is_refused_and_learns_who_holds_the_folder(tmp_path, holder):
    process = holder(60)
    with (
        pytest.raises(RunLockedError, match=f"is being trained by process {process.pid}") as refused,
        exclusive(tmp_path),
    ):
        pass
    assert refused.value.pid == process.pid


def test_a_killed_holder_lets_go(tmp_path, holder):
    process = holder(60)
    process.kill()
    process.wait()
    with exclusive(tmp_path):
        pass


def test_waiting_lasts_until_the_holder_is_done(tmp_path, holder):
    process = holder(0.5)
    with exclusive(tmp_path, wait=True):
        assert process.stdout.readline() == "let go\n"  # it was said before the folder was free


def test_the_lock_is_free_again_after_the_block_and_after_an_error(tmp_path):
    with pytest.raises(KeyError), exclusive(tmp_path / "new" / "folder"):
        raise KeyError
    with exclusive(tmp_path / "new" / "folder"):
        pass


def test_the_same_process_is_refused_a_second_time(tmp_path):
    with exclusive(tmp_path), pytest.raises(RunLockedError, match=str(os.getpid())), exclusive(tmp_path):
        pass


def test_while_held_the_file_names_the_holder(tmp_path):
    with exclusive(tmp_path):
        assert (tmp_path / ".lock").read_text() == str(os.getpid())
    assert (tmp_path / ".lock").read_text() == ""


@pytest.mark.parametrize("kind", ["folder", "pipe", "link", "text"])
def test_who_only_looks_takes_what_is_no_lock_for_none(tmp_path, kind):
    path = tmp_path / ".lock"
    makers = {
        "folder": path.mkdir,
        "pipe": lambda: os.mkfifo(path),
        "link": lambda: path.symlink_to(tmp_path),
        "text": lambda: path.write_text("[" * 9000),
    }
    makers[kind]()
    assert lock_holder(tmp_path) is None
