"""Jobs of one process run one at a time, in an order that is always the same, and meet."""

from __future__ import annotations

import functools
import itertools
import threading
from collections.abc import Callable, Mapping
from typing import Any

import pytest

from vision_baselines.jobs.signals import StopSignals
from vision_baselines.jobs.together import Together, current


def summed(brought: Mapping[int, int]) -> dict[int, int]:
    return dict.fromkeys(brought, sum(brought.values()))


def here() -> Any:
    member = current()
    assert member is not None
    return member


def test_every_job_gets_what_was_computed_of_all() -> None:
    order: list[tuple[int, int]] = []

    def job() -> list[int]:
        found = []
        for meeting in range(3):
            order.append((meeting, here().number))
            found.append(here().meet(10 ** here().number, summed))
        return found

    assert Together().run([job] * 3, [None] * 3) == [[111] * 3] * 3
    assert order == [(meeting, number) for meeting in range(3) for number in range(3)]
    assert current() is None


def test_jobs_that_end_or_fail_leave_the_others_to_meet() -> None:
    def job() -> list[int]:
        found = []
        for meeting in range(3):
            if here().number == 1 and meeting == 1:
                raise ValueError("job 1")
            if here().number == 2 and meeting == 2:
                return found
            found.append(here().meet(10 ** here().number, summed))
        return found

    ended: list[tuple[int, Any]] = []
    with pytest.raises(ValueError, match="job 1"):
        Together().run([job] * 3, [None] * 3, lambda number, found: ended.append((number, found)))
    assert ended == [(1, None), (2, [111, 101]), (0, [111, 101, 1])]


def test_a_job_that_gets_nothing_waits_until_the_others_are_there() -> None:
    def least(brought: Mapping[int, int]) -> dict[int, tuple[int, ...]]:
        now = tuple(number for number, at in brought.items() if at == min(brought.values()))
        return dict.fromkeys(now, now)

    def job() -> list[tuple[int, ...]]:
        return [here().meet(at, least) for at in range(here().number, 3)]

    assert Together().run([job] * 3, [None] * 3) == [
        [(0,), (0, 1), (0, 1, 2)],
        [(0, 1), (0, 1, 2)],
        [(0, 1, 2)],
    ]


def test_an_error_of_the_work_reaches_every_job() -> None:
    def fails(brought: Mapping[int, Any]) -> dict[int, Any]:
        raise MemoryError("all of it")

    def job() -> str:
        try:
            here().meet(None, fails)
        except MemoryError as error:
            return str(error)
        return "nothing"

    assert Together().run([job] * 2, [None] * 2) == ["all of it"] * 2


def test_what_belongs_to_the_process_is_each_jobs_own() -> None:
    place: dict[str, str] = {"log": "outside"}

    class Log:
        def __init__(self) -> None:
            self.own = "new"

        def take(self) -> None:
            place["log"] = self.own

        def leave(self) -> None:
            self.own = place["log"]

    def job() -> str:
        assert place["log"] == "new"
        place["log"] = f"of {here().number}"
        here().meet(0, summed)
        return place["log"]

    assert Together().run([job] * 3, [Log(), Log(), Log()]) == ["of 0", "of 1", "of 2"]


def test_a_signal_reaches_every_job_that_listens_and_those_that_begin_to() -> None:
    group = Together()

    def job() -> tuple[int, int]:
        with StopSignals() as stop:
            stop.deferring = True
            here().meet(0, summed)
            if here().number == 0:
                group.interrupt(15, 0.0)
            early = stop.waiting()
        with StopSignals() as later:
            return early, later.waiting()

    assert group.run([job] * 2, [None] * 2) == [(15, 15)] * 2
    assert all(not member.listeners for member in group.members)


class Failing:
    """Fails the n-th of all calls that are counted, or from the n-th on; `counted` makes them so."""

    def __init__(self, at: int, *, stays: bool) -> None:
        self.at, self.stays, self.calls = at, stays, 0
        self.has_failed = False

    def counted(self, function: Callable[..., Any]) -> Callable[..., Any]:
        def called(*arguments: Any) -> Any:
            number, self.calls = self.calls, self.calls + 1
            if number == self.at or (self.stays and number > self.at):
                self.has_failed = True
                raise OSError("planted")
            return function(*arguments)

        return called


class Unchanged:
    """A surface on which nothing is a job's own."""

    def take(self) -> None:
        pass

    def leave(self) -> None:
        pass


@pytest.mark.parametrize("stays", [False, True])
def test_whatever_fails_between_two_turns_ends_the_group_or_one_job_and_leaves_nobody_waiting(
    monkeypatch: pytest.MonkeyPatch, stays: bool
) -> None:
    for at in itertools.count():
        failing = Failing(at, stays=stays)
        with monkeypatch.context() as patched:
            patched.setattr(Together, "_let_next", failing.counted(Together._let_next))
            patched.setattr(Unchanged, "take", failing.counted(Unchanged.take))
            patched.setattr(Unchanged, "leave", failing.counted(Unchanged.leave))
            jobs, surfaces, ended = [meeting_twice] * 3, [Unchanged()] * 3, failing.counted(noted)
            found = in_time(functools.partial(Together().run, jobs, surfaces, ended))
        if not failing.has_failed:
            break
        assert isinstance(found, OSError), f"call {at}: {found}"
    assert at > 20
    assert found == [[111, 111]] * 3


def meeting_twice() -> list[int]:
    return [here().meet(10 ** here().number, summed) for _ in range(2)]


def noted(number: int, outcome: Any) -> None:
    pass


def in_time(run: Callable[[], Any]) -> Any:
    """What it returns or raises; fails where it does neither within seconds."""
    found: list[Any] = []

    def called() -> None:
        try:
            found.append(run())
        except BaseException as error:
            found.append(error)

    thread = threading.Thread(target=called, daemon=True)
    thread.start()
    thread.join(10)
    assert found, "it waits for ever"
    return found[0]


def test_a_job_that_cannot_go_on_fails_alone() -> None:
    class Once(Unchanged):
        """The folder of the second job is gone when it is to go on after its first meeting."""

        taken = 0

        def take(self) -> None:
            self.taken += 1
            if self.taken == 2:
                raise FileNotFoundError("planted")

    ended: list[tuple[int, Any]] = []
    surfaces = [Unchanged(), Once(), Unchanged()]
    found = in_time(lambda: Together().run([meeting_twice] * 3, surfaces, lambda *one: ended.append(one)))
    assert isinstance(found, FileNotFoundError)
    assert sorted(ended) == [(0, [111, 101]), (1, None), (2, [111, 101])]
