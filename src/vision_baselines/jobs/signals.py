"""Ending on request: a signal waits for the end of a training step, so that the run can be saved first.

SIGINT and SIGTERM; SIGHUP, of a terminal that is closed, where it is not ignored, as under nohup; and SIGUSR1 and
SIGUSR2, by which clusters say that a job is to be preempted or its time is up.
"""

from __future__ import annotations

import signal
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType, TracebackType
from typing import Any

from vision_baselines.errors import causes
from vision_baselines.jobs.together import current

PREEMPTION = tuple(getattr(signal, name) for name in ("SIGUSR1", "SIGUSR2") if hasattr(signal, name))
_CLOSED = tuple(getattr(signal, name) for name in ("SIGHUP",) if hasattr(signal, name))
# A cluster may send the same signal twice, to a job's process and to what started it, which hands it on.
_ECHO_S = 2.0


def handled() -> tuple[signal.Signals, ...]:
    """The signals that ask a run of this process to end."""
    closed = [signum for signum in _CLOSED if signal.getsignal(signum) is not signal.SIG_IGN]
    return (signal.SIGINT, signal.SIGTERM, *closed, *PREEMPTION)


_RESUMES = "the same command with the same name resumes it"


class Interrupted(BaseException):
    """A signal asked the run to end. Not an `Exception`: nothing that survives errors may swallow it.

    Attributes:
        hint: What is printed after the reason: what becomes of the work done so far; empty where nothing is to be said.
    """

    def __init__(self, signum: int, hint: str = _RESUMES) -> None:
        super().__init__(f"ended by {signal.Signals(signum).name}")
        self.signum = signum
        self.exit_code = 128 + signum
        self.hint = hint


def interruption(error: BaseException) -> KeyboardInterrupt | Interrupted | None:
    """The signal that `error` was raised in the wake of, if there was one: a library may make its own error of it."""
    return next((cause for cause in causes(error) if isinstance(cause, KeyboardInterrupt | Interrupted)), None)


@contextmanager
def told_after_signal(hint: str) -> Iterator[None]:
    """While active, whoever ends this by a signal is told `hint`; see `Interrupted`."""
    try:
        yield
    except (Interrupted, KeyboardInterrupt) as error:
        raise Interrupted(getattr(error, "signum", signal.SIGINT), hint) from error


class StopSignals:
    """While active, notes a signal in `received`; a second one, or one outside `deferring`, raises at once.

    A second one that follows within two seconds is the echo of the first, unless it is a Ctrl-C.

    Outside the main thread, where Python allows no signal handlers, it does nothing. But in a job that shares its
    process with others (`together`) it notes what the process is sent; nothing is raised at once there.

    Attributes:
        hint: What is printed where a signal ends the run from now on; see `Interrupted`.
    """

    def __init__(self) -> None:
        self.hint = _RESUMES
        self.received: int | None = None
        self.received_at = 0.0
        self.deferring = False
        self._previous: dict[int, Any] = {}

    def __enter__(self) -> StopSignals:
        self._previous = self.install()
        if (member := current()) is not None:
            member.group.listening(member, self)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        for signum, handler in self._previous.items():
            signal.signal(signum, handler)
        if (member := current()) is not None:
            member.listeners.remove(self)

    def install(self) -> dict[int, Any]:
        """Handle the signals from now on, whoever has handled them so far; those handlers are returned."""
        if threading.current_thread() is not threading.main_thread():
            return {}
        return {signum: signal.signal(signum, self._on_signal) for signum in handled()}

    @contextmanager
    def at_once(self) -> Iterator[None]:
        """Let a signal end what may take long and can be left at any point, such as reading data."""
        self.raise_if_received()
        before, self.deferring = self.deferring, False
        try:
            yield
        finally:
            self.deferring = before

    def raise_if_received(self, *, after_s: float = 0.0) -> None:
        """End now, if that was asked at least `after_s` seconds ago.

        Raises:
            Interrupted: A signal came while `deferring`.
        """
        if signum := self.waiting(after_s=after_s):
            raise Interrupted(signum, self.hint)

    def waiting(self, *, after_s: float = 0.0) -> int:
        """The signal that asked the run to end at least `after_s` seconds ago; 0 for none."""
        waited = self.received is not None and time.monotonic() - self.received_at >= after_s
        return int(self.received or 0) if waited else 0

    def _on_signal(self, signum: int, frame: FrameType | None) -> None:
        now = time.monotonic()
        again = self.received is not None and (signum == signal.SIGINT or now - self.received_at > _ECHO_S)
        if self.received is None or again:
            self.received, self.received_at = signum, now
        if again or not self.deferring:
            raise Interrupted(signum, self.hint)
