"""Several jobs in one process that meet again and again to have something done for all of them at once.

Each job has a thread, and exactly one runs at a time: it runs until it waits at a meeting or ends, then the next one
does. So their order is always the same, and what belongs to the whole process (where it prints, its log, Hydra's
config) can be exchanged whenever another job goes on. Rejected: coroutines, for what runs in a job is not written for
them; processes, for which a common computation would mean copies.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any, Protocol

_HERE = threading.local()
_POLL_S = 0.2


class Surface(Protocol):
    """What belongs to the process and is each job's own while it runs."""

    def take(self) -> None:
        """Its job goes on: put its own in place."""

    def leave(self) -> None:
        """Its job waits: keep what is in place now."""


class Member:
    """One of the jobs.

    Args:
        group: All of them.
        number: From 0.
        surface: See `Surface`; None for nothing.
    """

    def __init__(self, group: Together, number: int, surface: Surface | None) -> None:
        self.group, self.number, self.surface = group, number, surface
        self.turn = threading.Semaphore(0)
        self.has_ended = False
        self.listeners: list[Any] = []  # each has `received` and `received_at`
        self.outcome: Any = None
        self.error: BaseException | None = None

    def meet(self, brought: Any, work: Callable[[Mapping[int, Any]], Mapping[int, Any]]) -> Any:
        """Wait for the others, have the work done for all by one of them, and go on with this one's part.

        Args:
            brought: What the work is given of this job.
            work: From what each waiting job has brought, by number, to what each of some of them gets; those that get
                nothing wait on. At least one gets something.

        Raises:
            BaseException: What the work raised, in every job that waited for it.
        """
        return self.group._meet(self, brought, work)


def current() -> Member | None:
    """The job of this thread, if it is one of several in one process."""
    return getattr(_HERE, "member", None)


@contextmanager
def _shown(member: Member) -> Iterator[None]:
    """While active, the job's own is in place."""
    if member.surface is None:
        yield
        return
    member.surface.take()
    try:
        yield
    finally:
        member.surface.leave()


class Together:
    """Runs jobs in threads of this process, one at a time.

    Attributes:
        shared: For the work of the meetings to keep what it needs from one to the next.
    """

    def __init__(self) -> None:
        self.members: list[Member] = []
        self.shared: dict[Any, Any] = {}
        self._waiting: dict[int, tuple[Any, Callable[[Mapping[int, Any]], Mapping[int, Any]]]] = {}
        self._answers: dict[int, tuple[Any, BaseException | None]] = {}
        self._all_ended = threading.Event()
        self._broken: BaseException | None = None  # what happened between two turns: nobody is left to give the next
        self._signal: tuple[int, float] | None = None

    def run(
        self,
        jobs: Sequence[Callable[[], Any]],
        surfaces: Sequence[Surface | None],
        ended: Callable[[int, Any], None] = lambda number, outcome: None,
    ) -> list[Any]:
        """What each job returns.

        Args:
            jobs: Each is called in a thread of its own.
            surfaces: Of each.
            ended: Called with a job's number and what it returned as soon as it has.

        Raises:
            BaseException: What the first of those that raised has raised, once all have ended; or at once, while the
                others wait for ever, what `ended` has raised, or the passing on of a turn.
        """
        self.members = [Member(self, number, surface) for number, surface in enumerate(surfaces)]
        threads = [
            threading.Thread(target=self._run, args=(member, job, ended), name=f"job-{member.number}", daemon=True)
            for member, job in zip(self.members, jobs, strict=True)
        ]
        for thread in threads:
            thread.start()
        self.members[0].turn.release()
        while not self._all_ended.wait(_POLL_S):  # in the main thread a signal is answered between two waits
            continue
        if self._broken is not None:
            raise self._broken
        for thread in threads:
            thread.join()
        for member in self.members:
            if member.error is not None:
                raise member.error
        return [member.outcome for member in self.members]

    def interrupt(self, signum: int, at: float) -> None:
        """Let every job that listens know of a signal, and those that begin to."""
        self._signal = (signum, at)
        for member in self.members:
            for listener in list(member.listeners):
                listener.received, listener.received_at = signum, at

    def listening(self, member: Member, listener: Any) -> None:
        """Tell it of signals from now on."""
        member.listeners.append(listener)
        if self._signal is not None:
            listener.received, listener.received_at = self._signal

    def _run(self, member: Member, job: Callable[[], Any], ended: Callable[[int, Any], None]) -> None:
        member.turn.acquire()
        _HERE.member = member
        try:
            with _shown(member):
                member.outcome = job()
        except BaseException as error:
            member.error = error
        member.has_ended = True
        try:
            ended(member.number, member.outcome)
            self._let_next()
        except BaseException as error:
            self._broken = error
            self._all_ended.set()

    def _meet(self, member: Member, brought: Any, work: Callable[[Mapping[int, Any]], Mapping[int, Any]]) -> Any:
        self._waiting[member.number] = (brought, work)
        try:
            self._wait(member, work)
            answer, error = self._answers[member.number]
        finally:  # of a job that cannot wait, too: it is not given a turn again
            self._waiting.pop(member.number, None)
            self._answers.pop(member.number, None)
        if error is not None:
            raise error
        return answer

    def _wait(self, member: Member, work: Callable[[Mapping[int, Any]], Mapping[int, Any]]) -> None:
        while member.number not in self._answers:
            if self._next_ready() is None:
                self._work(work)
                if member.number in self._answers and self._next_ready() is member:
                    break
            if member.surface is not None:
                member.surface.leave()
            self._let_next()
            member.turn.acquire()
            if member.surface is not None:
                member.surface.take()

    def _work(self, work: Callable[[Mapping[int, Any]], Mapping[int, Any]]) -> None:
        try:
            answers = work({number: brought for number, (brought, _) in sorted(self._waiting.items())})
            self._answers.update({number: (answer, None) for number, answer in answers.items()})
        except BaseException as error:
            self._answers.update(dict.fromkeys(self._waiting, (None, error)))
        for number in self._answers:
            self._waiting.pop(number, None)

    def _next_ready(self) -> Member | None:
        """The first job that can go on without a meeting."""
        return next((one for one in self.members if not one.has_ended and one.number not in self._waiting), None)

    def _let_next(self) -> None:
        """Let another job go on; where all that are left wait, the first of these does the work."""
        following = self._next_ready()
        if following is None and self._waiting:
            following = self.members[min(self._waiting)]
        if following is None:
            self._all_ended.set()
        else:
            following.turn.release()
