"""A command that is waited for ends in its own time after a signal, and whoever started it ends after it."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
from pathlib import Path
from typing import Any

import pytest

from vision_baselines.jobs.child import run_command, until_children_end
from vision_baselines.jobs.signals import Interrupted

# Two seconds after the first signal, far more than `subprocess.run` waits, it has put its things in order.
_TIDY = """
import pathlib, signal, sys, time
said = []
for number in (signal.SIGINT, signal.SIGTERM):
    signal.signal(number, lambda signum, frame: said.append(signum))
print("ready", flush=True)
while not said:
    time.sleep(0.05)
time.sleep(2)
pathlib.Path(sys.argv[1]).write_text("in order")
"""
_STARTS_IT = f"""
import sys, tempfile
from vision_baselines.jobs.child import run_command
from vision_baselines.jobs.signals import Interrupted
try:
    with tempfile.TemporaryDirectory(dir=sys.argv[1]) as scratch:
        command = [sys.executable, "-c", {_TIDY!r}, sys.argv[1] + "/tidy"]
        run_command(command, on_line=lambda line: print(line, flush=True))
except Interrupted as error:
    sys.exit(error.exit_code)
"""


def python(code: str, *words: str) -> list[str]:
    return [sys.executable, "-c", code, *words]


@pytest.mark.parametrize("code", [0, 3])
def test_it_answers_as_subprocess_does(code: int) -> None:
    command = python(f"import sys; print('é'); print('x', file=sys.stderr); sys.exit({code})")
    found, plain = run_command(command, capture=True), subprocess.run(command, capture_output=True, text=True)
    assert (found.returncode, found.stdout, found.stderr) == (plain.returncode, plain.stdout, plain.stderr)


def test_lines_are_handed_over_as_they_come_and_errors_fill_no_pipe() -> None:
    lines: list[str] = []
    code = "import sys\nfor n in range(3): print(n); print('x' * 100_000, file=sys.stderr)"
    found = run_command(python(code), on_line=lines.append)
    assert (lines, found.stdout, len(found.stderr)) == (["0", "1", "2"], "0\n1\n2\n", 300_003)


def test_what_the_reader_of_lines_raises_is_raised_and_the_handlers_are_as_before() -> None:
    def refuse(line: str) -> None:
        raise ValueError(line)

    before = signal.getsignal(signal.SIGINT)
    with pytest.raises(ValueError, match="1"):
        run_command(python("print(1)"), on_line=refuse)
    assert signal.getsignal(signal.SIGINT) is before


def test_a_thread_of_its_own_may_run_a_command_too() -> None:
    found: list[Any] = []
    thread = threading.Thread(target=lambda: found.append(run_command(python("print(1)"), capture=True)))
    thread.start()
    thread.join()
    assert found[0].stdout == "1\n"


@pytest.mark.parametrize("signum", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_is_raised_once_the_block_has_ended(signum: int) -> None:
    reached = []

    def block() -> None:
        with until_children_end():
            os.kill(os.getpid(), signum)
            reached.append(True)

    with pytest.raises(Interrupted) as ended:
        block()
    assert (reached, ended.value.signum) == ([True], signum)


def test_a_signal_that_was_ignored_stays_so() -> None:
    before = signal.signal(signal.SIGINT, signal.SIG_IGN)
    try:
        with until_children_end():
            os.kill(os.getpid(), signal.SIGINT)
    finally:
        signal.signal(signal.SIGINT, before)


@pytest.mark.skipif(os.name != "posix", reason="process groups")
@pytest.mark.slow
@pytest.mark.ci
@pytest.mark.parametrize("to", ["the group", "the parent"])
@pytest.mark.parametrize("signum", [signal.SIGINT, signal.SIGTERM])
def test_the_child_ends_in_its_own_time_and_the_parent_cleans_up_after_it(
    tmp_path: Path, environment: Any, signum: int, to: str
) -> None:
    parent = subprocess.Popen(
        python(_STARTS_IT, str(tmp_path)),
        stdout=subprocess.PIPE,
        text=True,
        env=environment,
        start_new_session=True,
    )
    assert parent.stdout is not None
    assert parent.stdout.readline() == "ready\n"
    (os.killpg if to == "the group" else os.kill)(parent.pid, signum)
    parent.communicate()
    assert parent.returncode == 128 + signum
    assert [path.name for path in tmp_path.iterdir()] == ["tidy"]
    with pytest.raises(ProcessLookupError):
        os.killpg(parent.pid, 0)
