"""What follows from some jobs alone, kept in a process for as long as these are the same objects.

A sweep compares itself after each job, and most of its groups have nothing new then. A record of a cache is one object
for good: a run that has changed has another one, and so has another `Job`. What was found of the same jobs is
therefore never out of date, as long as it follows from their records and from nothing that is not among the arguments:
what their predictions say is an argument of its own. Whoever is given it must not change it.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import lru_cache, wraps
from typing import Any, ParamSpec, TypeVar, cast

from vision_baselines.comparison.collection import Job
from vision_baselines.runs.kept_record import KeptRecord
from vision_baselines.runs.record import RunRecord

Given = ParamSpec("Given")
Found = TypeVar("Found")

_MOST = 2**11  # of each function: a comparison asks once a group


class _Same:
    """Jobs as a key, equal where they are the same objects; it keeps them alive, so no other gets their identity."""

    __slots__ = ("_identity", "jobs")

    def __init__(self, jobs: tuple[Job, ...]) -> None:
        self.jobs = jobs
        self._identity = tuple(map(id, jobs))

    def __hash__(self) -> int:
        return hash(self._identity)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, _Same) and self._identity == other._identity


def kept(most: int = _MOST) -> Callable[[Callable[Given, Found]], Callable[Given, Found]]:
    """A function of tuples of jobs and of what can be hashed is asked once for the same; of so many the last are kept.

    It is asked each time where a job's record is not one of a cache, as somebody may change that.
    """

    def keeping(function: Callable[Given, Found]) -> Callable[Given, Found]:
        @lru_cache(maxsize=most)
        def known(*keys: Any) -> Found:
            return cast(Callable[..., Found], function)(*(key.jobs if type(key) is _Same else key for key in keys))

        @wraps(function)
        def found(*given: Given.args, **named: Given.kwargs) -> Found:
            keys = [_Same(one) if type(one) is tuple and one and type(one[0]) is Job else one for one in given]
            jobs = (job for key in keys if type(key) is _Same for job in key.jobs)
            if named or not all(type(job.record) is KeptRecord for job in jobs):
                return function(*given, **named)
            return known(*keys)

        return found

    return keeping


def kept_with_record(read: Callable[[RunRecord], Found]) -> Callable[[RunRecord], Found]:
    """A function of a record alone is asked once for each record of a cache; what it says lies with the record."""
    name = f"_{read.__module__}.{read.__name__}"

    @wraps(read)
    def found(record: RunRecord) -> Found:
        if type(record) is not KeptRecord:
            return read(record)
        with_record = record.__dict__
        if name not in with_record:
            with_record[name] = read(record)
        return cast(Found, with_record[name])

    return found
