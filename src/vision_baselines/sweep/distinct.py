"""Which jobs of a sweep are the same run."""

from __future__ import annotations

from collections.abc import Hashable, Iterable, Sequence
from typing import TypeVar

T = TypeVar("T")


def first_of_each(jobs: Sequence[T], keys: Iterable[Hashable]) -> list[T]:
    """For every job the first one with the same key: itself, unless an earlier job is the same run.

    >>> first_of_each(["lr=1e-3", "lr=0.001", "lr=1"], [0.001, 0.001, 1.0])
    ['lr=1e-3', 'lr=1e-3', 'lr=1']
    """
    first: dict[Hashable, T] = {}
    return [first.setdefault(key, job) for job, key in zip(jobs, keys, strict=True)]
