"""One process per job, several at a time: what happens to one job happens to that job alone.

Processes are forked from a server that has imported what jobs need once. What a job is, whether it may start yet and
what follows its end is given by `Jobs`; nothing here knows of training. Rejected: Hydra's basic launcher, where all
jobs share a process; joblib's, where one killed worker ends the sweep; a fork of this process, which must not have
threads or a GPU in use and cannot promise that.

A process is not daemonic, so that it may have children of its own (a loader's workers). It ends with its parent all the
same: see `end_with_parent`.
"""

from __future__ import annotations

import contextlib
import multiprocessing
import os
import signal
import sys
import threading
import time
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from multiprocessing import forkserver, resource_tracker
from multiprocessing.connection import Connection, wait
from multiprocessing.process import BaseProcess
from typing import Any, Generic, Protocol, TypeVar

from vision_baselines.jobs.outcome import Outcome

POLL_S = 0.2
GRACE_S = 30.0

# What multiprocessing reports where the server that would know the exit code is gone; or a job's own exit(255).
_UNKNOWN = 255

# How often a job is started before a fork server that has gone is believed to stay away.
START_ATTEMPTS = 10


J = TypeVar("J")
J_contra = TypeVar("J_contra", contravariant=True)


class Jobs(Protocol[J_contra]):
    """What the pool calls."""

    def arguments(self, job: J_contra, slot: int) -> tuple[Any, ...]:
        """What `target` gets after its end of the pipe; no two jobs that run at a time have the same `slot`."""

    def may_start(self, job: J_contra, unfinished: Iterable[J_contra]) -> bool:
        """Whether the job can run beside the `unfinished` ones, which wait or run."""

    def started(self, job: J_contra) -> None:
        """Its process runs."""

    def progress(self, job: J_contra, line: Any) -> None:
        """It has said how far it is; where its process has several jobs: the number of one, and what that has said."""

    def ended(self, job: J_contra, outcome: Outcome | None, exit_code: int | str | None) -> None:
        """It is over; without an outcome its process died with `exit_code`, or for a reason; None: it is not known.

        What is raised here ends the pool.
        """

    def stopped(self, job: J_contra, outcome: Outcome | None) -> None:
        """It was ended because the pool is; an outcome, if it came to one."""

    def refresh(self) -> None:
        """Called several times a second; what is raised here ends the pool."""

    def some_ended(self) -> None:
        """At least one job is over, and those that could start in its place run."""


@dataclass(eq=False)
class _Running(Generic[J]):
    """A job's process, and the pipe that it talks through."""

    job: J
    process: BaseProcess
    connection: Connection
    slot: int
    outcome: Outcome | None = None
    silent: bool = False  # its end of the pipe is closed

    @property
    def server_lost(self) -> bool:
        """Whether the exit code is unknown: the job may run on, and shows by its end of the pipe that it does."""
        return self.process.exitcode == _UNKNOWN

    @property
    def alive(self) -> bool:
        """Whether its process has not ended, as far as can be seen."""
        return not self.silent if self.server_lost else self.process.exitcode is None

    def sources(self) -> list[Any]:
        """What to wait for: each becomes ready when there is something new."""
        return [
            *([] if self.silent else [self.connection]),
            *([] if self.server_lost else [self.process.sentinel]),
        ]

    def read(self) -> list[Any]:
        """Lines of progress that have come, of several jobs with their numbers; an outcome is kept."""
        lines: list[Any] = []
        try:
            while not self.silent and self.connection.poll():
                message = self.connection.recv()
                if isinstance(message, Outcome):
                    self.outcome = message
                else:
                    lines.append(message if isinstance(message, tuple) else str(message))
        except Exception:  # it died while talking, which may cut a message anywhere
            self.silent = True
        return lines

    def wait(self, deadline: float) -> None:
        """Wait for the process to end, until `deadline` on the monotonic clock."""
        while self.alive and (left := deadline - time.monotonic()) > 0:
            wait(self.sources(), timeout=left)
            self.read()

    def signal(self, signum: int) -> None:
        """Send it a signal, if it is still there."""
        if self.alive and self.process.pid:
            with contextlib.suppress(ProcessLookupError):
                os.kill(self.process.pid, signum)

    def close(self) -> int | None:
        """Free everything that is held open here; the exit code, if it is known."""
        exit_code = None if self.server_lost else self.process.exitcode
        self.connection.close()
        with contextlib.suppress(ValueError):  # killed a moment ago
            self.process.close()
        return exit_code


class Pool(Generic[J]):
    """The jobs that wait and those that run.

    Args:
        jobs: What the pool calls.
        slots: Jobs at a time.
        target: Called in each process with its end of the pipe and `Jobs.arguments`; its module should import little.
        preload: Modules that the server imports once.
    """

    def __init__(self, jobs: Jobs[J], *, slots: int, target: Callable[..., None], preload: Sequence[str] = ()) -> None:
        self.jobs = jobs
        self.slots = slots
        self.target = target
        self.context = start_server(preload)
        self.waiting: deque[J] = deque()
        self.running: list[_Running[J]] = []

    def run(self, jobs: Iterable[J]) -> None:
        """Until no job waits or runs; when anything is raised, those that run are asked to save and end."""
        self.waiting.extend(jobs)
        try:
            while self.waiting or self.running:
                self.jobs.refresh()
                self._fill_slots()
                if self._listen():
                    self._fill_slots()  # what follows an end may take seconds, in which the next job can run
                    self.jobs.some_ended()
        except BaseException as error:
            self._end_all(getattr(error, "signum", signal.SIGTERM))
            raise

    def _fill_slots(self) -> None:
        for _ in range(len(self.waiting)):
            if len(self.running) >= self.slots:
                return
            job = self.waiting.popleft()
            if self.jobs.may_start(job, [*self.waiting, *(other.job for other in self.running)]):
                self._start(job)
            else:
                self.waiting.append(job)

    def _start(self, job: J) -> None:
        for attempt in range(START_ATTEMPTS):
            try:
                started = self._process(job)
                break
            except (EOFError, ConnectionError):
                # the server was killed meanwhile; a new one is started once the system says that it has ended
                if attempt == START_ATTEMPTS - 1:
                    raise
                time.sleep(0.2)
        self.running.append(started)
        self.jobs.started(job)

    def _process(self, job: J) -> _Running[J]:
        slot = min(set(range(self.slots)) - {running.slot for running in self.running})
        ours, theirs = self.context.Pipe(duplex=False)
        try:
            process = self.context.Process(target=self.target, args=(theirs, *self.jobs.arguments(job, slot)))
            process.start()
        except BaseException:
            ours.close()
            raise
        finally:
            theirs.close()
        return _Running(job, process, ours, slot)

    def _listen(self) -> bool:
        """Wait for news from a job; whether one has ended."""
        sources = [source for running in self.running for source in running.sources()]
        if sources:
            wait(sources, timeout=POLL_S)
        else:
            time.sleep(POLL_S)  # no job that is left may start yet
        ended = []
        for running in self.running:
            alive = running.alive  # before the pipe is read: what it said last is in there
            for line in running.read():
                self.jobs.progress(running.job, line)
            if running.outcome is not None or not alive:
                ended.append(running)
        for running in ended:
            self._ended(running)
        return bool(ended)

    def _ended(self, running: _Running[J]) -> None:
        running.wait(time.monotonic() + GRACE_S)
        running.signal(signal.SIGKILL)
        running.wait(time.monotonic() + POLL_S)
        self.running.remove(running)
        self.jobs.ended(running.job, running.outcome, running.close())

    def _end_all(self, signum: int) -> None:
        """Ask every job to save and end; end those that do not within the grace period, or at a second signal.

        Args:
            signum: What they are sent: the signal that ends the sweep, where one does.
        """
        try:
            for running in self.running:
                running.signal(signum)
            deadline = time.monotonic() + GRACE_S
            for running in self.running:
                running.wait(deadline)
        finally:
            for running in self.running:
                running.signal(signal.SIGKILL)
                running.wait(time.monotonic() + POLL_S)
                running.close()
                self.jobs.stopped(running.job, running.outcome)


def start_server(preload: Sequence[str] = ()) -> Any:
    """Where processes come from: a server that has imported `preload`, or a fresh interpreter each.

    Returns at once; a server that runs already is kept.
    """
    if not sys.platform.startswith("linux"):
        return multiprocessing.get_context("spawn")
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload(list(preload))
    resource_tracker.ensure_running()  # the server starts it otherwise, and it ends a block of SIGINT
    with _sigint_held_back():
        forkserver.ensure_running()
    return context


@contextlib.contextmanager
def _sigint_held_back() -> Iterator[None]:
    """What is started inside begins with SIGINT blocked.

    The terminal's Ctrl-C would end the server in the midst of its imports, with a traceback; once it has imported it
    ignores the signal. Its jobs inherit the block, and get what was sent to them once they can answer: `hear_sigint`.
    """
    if not hasattr(signal, "pthread_sigmask"):
        yield
        return
    before = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


def hear_sigint() -> None:
    """Called in a job when it can answer a SIGINT, which may have been sent before."""
    if hasattr(signal, "pthread_sigmask"):
        signal.pthread_sigmask(signal.SIG_UNBLOCK, {signal.SIGINT})


def end_with_parent(grace_s: float = GRACE_S) -> None:
    """Called in a job: when the parent's process is gone, this one is asked to end, and ended after the grace period.

    The system's own way (PR_SET_PDEATHSIG) would watch the server, which is the parent that a fork has.
    """
    parent = multiprocessing.parent_process()

    def watch() -> None:
        if parent is not None:
            parent.join()
            os.kill(os.getpid(), signal.SIGTERM)
            time.sleep(grace_s)
            os.kill(os.getpid(), signal.SIGKILL)

    threading.Thread(target=watch, daemon=True).start()
