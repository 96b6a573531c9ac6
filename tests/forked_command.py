"""The program of `command_server`: it imports once, forks a process for each request, and says how that has ended.

A process is made what a new one would be, and what it has to run is the last that this program does, so that it ends as
Python does. The server that a sweep's jobs are forked from imports the same, and is made the same way: a copy of the
sweep's process from before its first line waits to become it.
"""

from __future__ import annotations

import contextlib
import gc
import importlib
import importlib.util
import json
import multiprocessing.util
import os
import select
import signal
import socket
import struct
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from types import CodeType, ModuleType
from typing import Any

_SERVER_OF_JOBS = "from multiprocessing.forkserver import main"


def send(control: socket.socket, request: Mapping[str, Any], files: Sequence[int]) -> None:
    """One request, with its open files."""
    content = json.dumps(request).encode("utf-8", "surrogateescape")
    socket.send_fds(control, [struct.pack("i", len(content))], list(files))
    control.sendall(content)


def _received(control: socket.socket, files: int) -> tuple[dict[str, Any], list[int]] | None:
    """The next request and its files; None if there is nobody to ask."""
    head, received, _, _ = socket.recv_fds(control, 4, files)
    if not head:
        return None
    left, content = struct.unpack("i", head)[0], bytearray()
    while len(content) < left:
        content += control.recv(left - len(content)) or sys.exit()
    return json.loads(content), received


def serve(control: socket.socket, modules: Sequence[str]) -> CodeType:
    """Fork a process for each request, and say how it ended.

    Returns:
        In each of these processes, what it has to run.
    """
    for name in modules:
        importlib.import_module(name)
    gc.freeze()
    gc.set_threshold(10_000, 20, 50)  # both as in the process of the tests
    os.fsync = lambda descriptor: None
    started = {key: signal.getsignal(key) for key in (signal.SIGCHLD, signal.SIGINT)}
    signal.signal(signal.SIGCHLD, lambda *_: None)
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # it ends with who started it
    waker, wake = os.pipe()
    for end in (waker, wake):
        os.set_blocking(end, False)
    signal.set_wakeup_fd(wake)
    statuses: dict[int, int] = {}
    while True:
        ready, _, _ = select.select([control, waker], [], [])
        if waker in ready:
            os.read(waker, 2**16)
            _report_ends(statuses)
        if control not in ready:
            continue
        if (asked := _received(control, 4)) is None:
            for pid in statuses:
                os.kill(pid, signal.SIGKILL)
            sys.exit()
        request, (*stdio, status) = asked
        if pid := os.fork():
            statuses[pid] = status
            _say(status, pid)
            for file in stdio:
                os.close(file)
            continue
        signal.set_wakeup_fd(-1)
        for key, handler in started.items():
            signal.signal(key, handler)
        for file in (waker, wake, status, *statuses.values()):
            os.close(file)
        control.close()
        return _prepared(request, stdio)


def _report_ends(statuses: dict[int, int]) -> None:
    while statuses:
        pid, code = os.waitpid(-1, os.WNOHANG)
        if not pid:
            return
        status = statuses.pop(pid)
        _say(status, os.waitstatus_to_exitcode(code))
        os.close(status)


def _say(status: int, number: int) -> None:
    with contextlib.suppress(BrokenPipeError):  # nobody waits any more
        os.write(status, struct.pack("i", number))


def _prepared(request: dict[str, Any], stdio: Sequence[int]) -> CodeType:
    """Make this process the one that was asked for; what it has to run."""
    for number, file in enumerate(stdio):
        os.dup2(file, number)
        os.close(file)
    words = request["words"]
    if "-m" in words[1:]:
        asked = _server_of_jobs()
        if asked is not None:
            return _prepared_jobs(*asked)
    _enter(request)
    sys.orig_argv = [sys.executable, *words]
    if words[0] == "-m":
        spec = importlib.util.find_spec(f"{words[1]}.__main__")
        assert spec is not None
        assert spec.origin is not None
        file, words, first = spec.origin, words[1:], str(Path.cwd())
        vars(_main()).update(__spec__=spec, __package__=spec.parent)
    else:
        file, first = words[0], str(Path(words[0]).parent)
    sys.argv = [file, *words[1:]]
    sys.path.insert(0, first)
    vars(_main())["__file__"] = file
    return compile(Path(file).read_bytes(), file, "exec")


def _enter(request: Mapping[str, Any]) -> None:
    """Take over the folder, the environment with its `PYTHONPATH`, and what else a new process finds."""
    own = _searched()
    os.chdir(request["cwd"])
    os.environ.clear()
    os.environ.update(request["env"])
    sys.path[:] = [*_searched(), *(path for path in sys.path[1:] if path not in own)]
    importlib.invalidate_caches()
    if "numpy" in sys.modules:
        sys.modules["numpy"].random.seed()
    sys.modules["__main__"] = ModuleType("__main__")
    vars(_main()).update(__annotations__={}, __cached__=None)


def _searched() -> list[str]:
    """The folders that `PYTHONPATH` adds."""
    return [str(Path(path).absolute()) for path in os.environ.get("PYTHONPATH", "").split(os.pathsep) if path]


def _main() -> ModuleType:
    return sys.modules["__main__"]


def _server_of_jobs() -> tuple[dict[str, Any], list[int]] | None:
    """Fork what a sweep's server of jobs will be, should there be one, before anything else has been done.

    Returns:
        In the process of the sweep None; in the other, once the sweep starts its server, how it does so and its files.
    """
    ours, its = socket.socketpair()
    if not (pid := os.fork()):
        ours.close()
        heard = signal.signal(signal.SIGINT, signal.SIG_IGN)
        asked = _received(its, 16)
        if asked is None:
            os._exit(0)
        its.close()
        signal.pthread_sigmask(signal.SIG_SETMASK, asked[0]["blocked"])
        signal.signal(signal.SIGINT, heard)
        for key in asked[0]["ignored"]:
            signal.signal(key, signal.SIG_IGN)
        return asked
    its.close()
    start = multiprocessing.util.spawnv_passfds

    def start_forked(path: Any, words: Sequence[Any], files: Sequence[int]) -> int:
        if not str(words[-1]).startswith(_SERVER_OF_JOBS) or ours.fileno() < 0:
            return start(path, words, files)
        request = {
            "words": [os.fsdecode(word) for word in words],
            "cwd": str(Path.cwd()),
            "env": dict(os.environ),
            "files": list(files),
            "blocked": list(signal.pthread_sigmask(signal.SIG_BLOCK, [])),
            "ignored": [key for key in signal.valid_signals() if signal.getsignal(key) == signal.SIG_IGN],
        }
        try:
            with ours:
                send(ours, request, [0, 1, 2, *files])
        except OSError:  # it was killed
            return start(path, words, files)
        return pid

    multiprocessing.util.spawnv_passfds = start_forked
    return None


def _prepared_jobs(request: dict[str, Any], received: Sequence[int]) -> CodeType:
    """Make this process a sweep's server of jobs: its files have the numbers that its program names."""
    import fcntl

    numbers = [0, 1, 2, *request["files"]]
    above = max([*numbers, *received]) + 1
    moved = [fcntl.fcntl(file, fcntl.F_DUPFD, above) for file in received]
    for file in received:
        os.close(file)
    for file, number in zip(moved, numbers, strict=True):
        os.dup2(file, number)
        os.close(file)
    _enter(request)
    sys.argv = ["-c"]
    sys.path.insert(0, "")
    return compile(request["words"][-1], "<string>", "exec")


if __name__ == "__main__":
    exec(serve(socket.socket(fileno=int(sys.argv[1])), sys.argv[2:]), vars(_main()))
