"""Jobs of one process run one at a time, in an order that is always the same, and meet."""

from __future__ import annotations

from collections.abc import Mapping
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
