"""Commands of this checkout in tests, forked from a process that has imported torch and Lightning, which takes seconds.

`CommandServer.run` does what `subprocess.run` does: each command has a process of its own, with its arguments, folder,
environment and output, that ends as any Python does; see `forked_command`. Only the start of Python and the imports are
left out. So a test of these starts a real process, ``python(…, fresh=True)``, and so does one of what two processes may
not have in common, such as the seed of their hashes.
"""

from __future__ import annotations

import contextlib
import io
import os
import select
import selectors
import signal
import socket
import struct
import subprocess
import sys
import threading
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from tests import forked_command

ROOT = Path(__file__).resolve().parents[1]
MODULES = (
    "vision_baselines.cli.console",
    "vision_baselines.cli.train",
    "vision_baselines.report.run_page",
    "vision_baselines.report.write",
    "vision_baselines.search.epochs",
    "vision_baselines.sweep.ahead",
    "vision_baselines.sweep.callback",
    "vision_baselines.sweep.hooks",
    "matplotlib.backends.backend_svg",
    "pandas",
)
# Heeded when Python starts or a library is imported, and so not in a command of the server.
AT_START = (
    "PYTHON", "LD_", "MALLOC", "OMP_", "MKL_", "KMP_", "GOMP_", "OPENBLAS_", "TORCH", "PYTORCH", "MPL", "LC_", "LANG",
    "TZ",
)  # fmt: skip


class CommandServer:
    """The process that commands are forked from; it starts with the first of them and ends with this process.

    Args:
        environment: What it is started with.
        modules: What it imports.
    """

    def __init__(self, environment: Mapping[str, str], modules: Sequence[str] = MODULES) -> None:
        self._environment, self._modules = dict(environment), modules
        self._process: subprocess.Popen[bytes] | None = None
        self._lock = threading.Lock()

    def takes(self, words: Sequence[str], environment: Mapping[str, str]) -> bool:
        """Whether a command line of Python is one of this checkout's commands, in an environment that can be set."""
        if not hasattr(os, "fork") or not words:
            return False
        is_ours = list(words[:2]) == ["-m", "vision_baselines"] or (
            words[0].endswith(".py") and Path(words[0]).is_relative_to(ROOT)
        )
        changed = {key for key, _ in {*self._environment.items()} ^ {*environment.items()}} - {"PYTHONPATH"}
        # folders may be added; one that is taken away may be an installation's too, which only a new process finds out
        ours, its = (one.get("PYTHONPATH", "").split(os.pathsep) for one in (self._environment, environment))
        return is_ours and {*ours} <= {*its} and not any(key.startswith(AT_START) for key in changed)

    def run(
        self, words: Sequence[str], *, cwd: str | Path, env: Mapping[str, str], timeout: float
    ) -> subprocess.CompletedProcess[str]:
        """Run a command and keep what it prints.

        Raises:
            TimeoutExpired: It took longer than `timeout` seconds, and was killed.
        """
        given = [sys.executable, *words]
        request = {"words": list(words), "cwd": str(cwd), "env": dict(env)}
        pipes = [os.pipe() for _ in range(3)]
        with contextlib.ExitStack() as stack:
            theirs = [end for _, end in pipes]
            try:
                with open(os.devnull) as nothing:  # noqa: PTH123
                    self._send(request, [nothing.fileno(), *theirs])
            finally:
                for end in theirs:
                    os.close(end)
            out, err, status = (stack.enter_context(open(ours, "rb", buffering=0)) for ours, _ in pipes)  # noqa: PTH123
            pid = _number(status)
            try:
                read = _read_all([out, err], time.monotonic() + timeout)
                _wait_for(status, time.monotonic() + timeout)
            except TimeoutError:
                os.kill(pid, signal.SIGKILL)
                _number(status)
                raise subprocess.TimeoutExpired(given, timeout) from None
            except BaseException:
                os.kill(pid, signal.SIGKILL)
                raise
            code = _number(status)
        texts = [io.TextIOWrapper(io.BytesIO(content)).read() for content in read]
        return subprocess.CompletedProcess(given, code, *texts)

    def close(self) -> None:
        """End the server, and with it what it still runs."""
        if self._process is not None:
            self._control.close()
            self._process.wait()
            self._process = None

    def _send(self, request: Mapping[str, Any], files: Sequence[int]) -> None:
        with self._lock:
            if self._process is None:
                self._start()
            forked_command.send(self._control, request, files)

    def _start(self) -> None:
        self._control, theirs = socket.socketpair()
        with theirs:
            self._process = subprocess.Popen(
                [sys.executable, forked_command.__file__, str(theirs.fileno()), *self._modules],
                env=self._environment,
                pass_fds=[theirs.fileno()],
                stdin=subprocess.DEVNULL,
                stdout=subprocess.DEVNULL,
            )


def _read_all(streams: Sequence[Any], deadline: float) -> list[bytes]:
    """What comes from each until it is closed."""
    read = {stream: bytearray() for stream in streams}
    with selectors.DefaultSelector() as selector:
        for stream in streams:
            selector.register(stream, selectors.EVENT_READ)
        while selector.get_map():
            ready = selector.select(max(deadline - time.monotonic(), 0))
            if not ready:
                raise TimeoutError
            for key, _ in ready:
                part = os.read(key.fd, 2**16)
                read[key.fileobj] += part
                if not part:
                    selector.unregister(key.fileobj)
    return [bytes(content) for content in read.values()]


def _wait_for(stream: Any, deadline: float) -> None:
    if not select.select([stream], [], [], max(deadline - time.monotonic(), 0))[0]:
        raise TimeoutError


def _number(stream: Any) -> int:
    content = stream.read(4)
    assert len(content) == 4, "the server of commands has ended"
    return int(struct.unpack("i", content)[0])
