"""A terminal that is closed while a run trains: the run saves and ends, or goes on where it was told to."""

from __future__ import annotations

import os
import pty
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from vision_baselines.runs.record import Status, find_records, read_record

# in a session of its own, whose terminal the pseudoterminal is; `before` says what becomes of its signal
START = """
import fcntl, os, signal, sys, termios
fcntl.ioctl(0, termios.TIOCSCTTY, 0)
{before}
os.execv(sys.executable, [sys.executable, *sys.argv[1:]])
"""


def close_terminal_of(words: list[str], env: dict[str, str], outputs: Path, before: str) -> int:
    """The exit code of a command whose terminal is closed once something trains."""
    ours, its = pty.openpty()
    command = [sys.executable, "-c", START.format(before=before), "-m", "vision_baselines", *words]
    process = subprocess.Popen(command, stdin=its, stdout=its, stderr=its, env=env, start_new_session=True)
    os.close(its)
    os.set_blocking(ours, False)
    until = time.monotonic() + 120
    while not any("epoch 1 " in log.read_text() for log in outputs.rglob("train.log")):
        assert process.poll() is None
        assert time.monotonic() < until
        try:
            os.read(ours, 2**16)
        except BlockingIOError:
            time.sleep(0.05)
    os.close(ours)
    return process.wait(timeout=120)


@pytest.mark.slow
@pytest.mark.ci(every=2)
@pytest.mark.parametrize(
    ("before", "code", "status"),
    [
        ("", 129, Status.INTERRUPTED),
        ("signal.signal(signal.SIGHUP, signal.SIG_IGN)", 0, Status.FINISHED),  # nohup, or disown
    ],
    ids=["saves", "goes_on"],
)
def test_a_run_whose_terminal_is_closed(
    before: str,
    code: int,
    status: Status,
    environment: dict[str, str],
    tiniest: list[str],
    tmp_path: Path,
    cli: Callable[..., Any],
) -> None:
    folder = tmp_path / "outputs" / "run"
    words = [*tiniest[:-1], "trainer.max_epochs=120"]
    words += [f"paths.output_dir={tmp_path / 'outputs'}", f"hydra.run.dir='{folder}'"]
    env = {**environment, "TERM": "xterm-256color"}
    assert close_terminal_of(["train", *words], env, tmp_path, before) == code
    record = read_record(folder)
    assert record.status is status
    if status is Status.INTERRUPTED:
        assert record.failure is not None
        assert "SIGHUP" in record.failure.message
        assert list((folder / "checkpoints").glob("resume-step=*.ckpt"))
        assert cli(*words).returncode == 0
        assert read_record(folder).finished


@pytest.mark.slow
def test_a_sweep_whose_terminal_is_closed_ends_its_jobs_and_goes_on_later(
    environment: dict[str, str], tiniest: list[str], tmp_path: Path, cli: Callable[..., Any]
) -> None:
    words = ["-m", *tiniest[:-1], "name=swept", "seed=0,1", "n_jobs=2", "trainer.max_epochs=120"]
    env = {**environment, "TERM": "xterm-256color"}
    place = f"paths.output_dir={tmp_path / 'outputs'}"
    assert close_terminal_of(["train", place, *words], env, tmp_path, "") == 129
    assert {record.status for _, record in find_records([tmp_path])} == {Status.INTERRUPTED}
    assert cli(*words).returncode == 0
    assert [record.finished for _, record in find_records([tmp_path])] == [True, True]
