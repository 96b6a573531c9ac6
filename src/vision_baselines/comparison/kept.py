"""What follows from some jobs alone, kept in a process for as long as these are the same objects.

A sweep compares itself after each job, and most of its groups have nothing new then. A record of a cache is one object
for good: a run that has changed has another one, and so has another `Job`. What was found of the same jobs is
therefore never out of date, as long as it follows from their records and from nothing that is not among the arguments:
what their predictions say is an argument of its own. Whoever is given it must not change it.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from functools import lru_cache, wraps
from operator import attrgetter
from typing import Any, Concatenate, ParamSpec, TypeVar, cast

from vision_baselines.comparison.collection import Job
from vision_baselines.runs.kept_record import KeptRecord
from vision_baselines.runs.record import RunRecord

Given = ParamSpec("Given")
Found = TypeVar("Found")

_MOST = 2**11  # of each function: a comparison asks once a group
_MOST_GROUPS = 2**14
_record = attrgetter("record")
# The key of each tuple of jobs by the identity of the tuple, which stays its own as long as it is here.
_looked_at: dict[int, tuple[tuple[Job, ...], _Same | None]] = {}


class _Same:
    """Jobs as a key, equal where they are the same objects; it keeps them alive, so no other gets their identity."""

    __slots__ = ("_hash", "_identity", "jobs")

    def __init__(self, jobs: tuple[Job, ...]) -> None:
        self.jobs = jobs
        self._identity = tuple(map(id, jobs))
        self._hash = hash(self._identity)

    def __hash__(self) -> int:
        return self._hash

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
            keys = _keys(given)
            return function(*given, **named) if keys is None or named else known(*keys)

        return found

    return keeping


def kept_of_group(function: Callable[Concatenate[str, Given], Found]) -> Callable[Concatenate[str, Given], Found]:
    """The same of a function of a group's label and more, where only what was found last of a label is kept.

    So nothing is left of a group as it was before it had one more job: what is found may be long.
    """
    known: dict[str, tuple[Sequence[Any], Found]] = {}

    @wraps(function)
    def found(label: str, /, *given: Given.args, **named: Given.kwargs) -> Found:
        keys = _keys(given)
        if keys is None or named:
            return function(label, *given, **named)
        if label not in known or known[label][0] != keys:
            if len(known) >= _MOST_GROUPS:
                known.clear()
            known[label] = keys, function(label, *given, **named)
        return known[label][1]

    return found


def _keys(given: Iterable[Any]) -> list[Any] | None:
    """What is given, where it can be a key: jobs by their identity; None where a record may be changed by somebody."""
    keys = []
    for one in given:  # a comparison asks some ten thousand times, so that a call more is felt
        if type(one) is tuple and one and type(one[0]) is Job:
            known = _looked_at.get(id(one))
            same = known[1] if known is not None and known[0] is one else _same(one)
            if same is None:
                return None
            keys.append(same)
        else:
            keys.append(one)
    return keys


def _same(jobs: tuple[Job, ...]) -> _Same | None:
    """The key of some jobs, None where a record is not one of a cache; a tuple is looked at once."""
    is_kept = {KeptRecord}.issuperset(map(type, map(_record, jobs)))
    if len(_looked_at) >= _MOST:
        _looked_at.clear()
    same = _Same(jobs) if is_kept else None
    _looked_at[id(jobs)] = jobs, same
    return same


def each_once(values: Iterable[Found]) -> list[Found]:
    """Objects, each once, in their order: records of a cache share what is alike, so that of many few are left."""
    found = list(values)
    return list(dict(zip(map(id, found), found, strict=True)).values())


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
        kept: Found = with_record[name]
        return kept

    return found
