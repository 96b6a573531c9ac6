"""A sweep in a real terminal of 40 columns, and Ctrl-C in the midst of it."""

from __future__ import annotations

import os
import re
import select
import sys
import time

import pytest
from rich.cells import cell_len

from vision_baselines.runs.record import Status, read_record

pty = pytest.importorskip("pty")
_MOST_S = 240.0


class Terminal:
    """A command in a terminal of its own, and all that it has written."""

    def __init__(self, words, environment, *, columns):
        import fcntl
        import struct
        import termios

        self.pid, self.file = pty.fork()
        if self.pid == 0:
            os.execve(words[0], words, environment)
        fcntl.ioctl(self.file, termios.TIOCSWINSZ, struct.pack("HHHH", 24, columns, 0, 0))
        self.out = b""

    def read_until(self, pattern):
        """Read until something is said, or until the command has ended."""
        until = time.monotonic() + _MOST_S
        while time.monotonic() < until and not re.search(pattern, self.out):
            if select.select([self.file], [], [], 0.2)[0]:
                try:
                    found = os.read(self.file, 2**16)
                except OSError:  # Linux' word for a terminal that nobody writes to any more
                    return
                if not found:
                    return
                self.out += found

    def close(self):
        """The exit code."""
        self.read_until(rb"(?!)")
        os.close(self.file)
        return os.waitstatus_to_exitcode(os.waitpid(self.pid, 0)[1])


@pytest.mark.slow
@pytest.mark.ci
@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="a sweep's server of processes is Linux'")
def test_a_sweep_is_followed_in_forty_columns_and_leaves_the_terminal_clean(root, tiny, tmp_path, environment):
    words = [sys.executable, str(root / "scripts" / "train.py"), "-m", "name=seen", "seed=0,1", "n_jobs=1", *tiny]
    words = [*words[:-1], "trainer.max_epochs=2000", f"paths.output_dir={tmp_path}", "callbacks.filters=null"]
    terminal = Terminal(words, {**environment, "TERM": "xterm", "NO_COLOR": "1", "COLUMNS": "40"}, columns=40)
    try:
        terminal.read_until(rb"epoch [1-9]")
        assert terminal.out.startswith("loading …".encode())
        os.write(terminal.file, b"\x03")
    finally:
        code = terminal.close()
    out = terminal.out.decode(errors="replace")
    plain = re.sub(r"\x1b\[[0-9;?]*[A-Za-z]", "", out)
    live = [line for line in re.split(r"[\r\n]+", plain) if re.search(r"epoch \d", line)]
    assert live
    assert all(cell_len(line) <= 40 and "acc 0." in line for line in live)
    assert not re.search(r"\x1b\[[0-9;]*3[0-7]m", out), "colours, though NO_COLOR is set"
    assert "Traceback" not in out
    assert out.rfind("\x1b[?25h") > out.rfind("\x1b[?25l")
    assert code == 130
    assert all(cell_len(line.rstrip()) <= 40 or "/" in line for line in re.split(r"[\r\n]+", plain))
    said = " ".join(plain.split())
    assert "1 of 2 jobs interrupted, 1 not started" in said
    assert said.endswith("ended by SIGINT; the same command with the same name resumes it")
    [record] = [read_record(path.parent) for path in (tmp_path / "seen").glob("*/run.json")]
    assert record.status is Status.INTERRUPTED
