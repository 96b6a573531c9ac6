"""A command of ours in a process that is waited for: a signal ends it in its own time, and then whoever started it.

`subprocess.run` gives a child a quarter of a second after Ctrl-C and then kills it. A sweep that is killed so leaves
its jobs' processes behind, in a folder that is removed under them.
"""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import tempfile
import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from types import FrameType
from typing import Any

from vision_baselines.jobs.signals import Interrupted, handled

# A terminal sends Ctrl-C to the child too. So long is waited before a signal is handed on, for children that it did not
# reach; less than `StopSignals` takes for the echo of the first.
_HANDED_ON_S = 0.5


@contextlib.contextmanager
def until_children_end() -> Iterator[list[subprocess.Popen[Any]]]:
    """While active, a signal that asks this process to end is handed to the children in the list, and noted.

    Outside the main thread, where Python allows no signal handlers, it does nothing.

    Yields:
        The list, for the block to put its children in; it has to wait for each.

    Raises:
        Interrupted: A signal came, and the block has ended.
    """
    children: list[subprocess.Popen[Any]] = []
    received: list[int] = []
    waiting: list[threading.Timer] = []

    def hand_on() -> None:
        for child in children:
            with contextlib.suppress(ProcessLookupError):
                child.terminate()

    def note(signum: int, frame: FrameType | None) -> None:
        received.append(signum)
        if os.name == "posix":  # elsewhere there is no other end than at once
            waiting.append(threading.Timer(_HANDED_ON_S, hand_on))
            waiting[-1].daemon = True
            waiting[-1].start()

    before: dict[int, Any] = {}
    if threading.current_thread() is threading.main_thread():
        heard = [signum for signum in handled() if signal.getsignal(signum) is not signal.SIG_IGN]
        before = {signum: signal.signal(signum, note) for signum in heard}
    try:
        yield children
    finally:
        for timer in waiting:
            timer.cancel()
        for signum, handler in before.items():
            signal.signal(signum, handler)
    if received:
        raise Interrupted(received[0], "")


def run_command(
    command: Sequence[str],
    *,
    env: Mapping[str, str] | None = None,
    cwd: Path | None = None,
    capture: bool = False,
    on_line: Callable[[str], None] | None = None,
) -> subprocess.CompletedProcess[str]:
    """Run a command to its end, however that comes, as `subprocess.run` does without a signal.

    Args:
        command: The program and its arguments.
        env: Its environment; by default this process's.
        cwd: Where it starts.
        capture: Keep what it prints, as text, instead of printing it.
        on_line: Called with each line of its standard output as it comes; what it prints is kept too.

    Raises:
        Interrupted: A signal asked this process to end; the command has ended by then.
    """
    kept = capture or on_line is not None
    lines: list[str] = []
    with contextlib.ExitStack() as stack:
        errors = stack.enter_context(tempfile.TemporaryFile("w+", errors="replace")) if kept else None
        children = stack.enter_context(until_children_end())
        child = subprocess.Popen(
            command,
            env=env,
            cwd=cwd,
            stdout=subprocess.PIPE if kept else None,
            stderr=errors,
            text=True,
            errors="replace",
        )
        children.append(child)
        with child:  # waits for its end, also where `on_line` raises
            try:
                for line in child.stdout or ():
                    lines.append(line)
                    if on_line is not None:
                        on_line(line.rstrip("\n"))
            except BaseException:
                child.terminate()
                raise
        if errors is not None:
            errors.seek(0)
        said = errors.read() if errors is not None else ""
    return subprocess.CompletedProcess(list(command), child.returncode, "".join(lines), said)
