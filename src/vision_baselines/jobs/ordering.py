"""In which order jobs are started, so that no long one begins when all others are done."""

from __future__ import annotations

import heapq
from collections.abc import Sequence


def start_order(lengths: Sequence[float | None], slots: int) -> list[int]:
    """Places of jobs in the order in which to start them: longest first, where all would be over sooner.

    Args:
        lengths: How long each takes, in any unit; None where that is not known, and then the order stays as it is.
        slots: Jobs at a time.

    Source: Graham 1969, "Bounds on multiprocessing timing anomalies": longest first is at most a third above the best.

    >>> start_order([1.0, 1.0, 1.0, 3.0], 2)
    [3, 0, 1, 2]
    >>> start_order([1.0, None, 3.0], 2)
    [0, 1, 2]
    """
    given = list(range(len(lengths)))
    known = [length for length in lengths if length is not None]
    if len(known) < len(given):
        return given
    longest = sorted(given, key=lambda place: -known[place])
    is_sooner = makespan([known[place] for place in longest], slots) < makespan(known, slots)
    return longest if is_sooner else given


def makespan(lengths: Sequence[float], slots: int) -> float:
    """When the last job is over, if each is started in this order as soon as one of the `slots` is free.

    >>> makespan([1.0, 1.0, 1.0, 3.0], 2), makespan([3.0, 1.0, 1.0, 1.0], 2)
    (4.0, 3.0)
    """
    free = [0.0] * max(1, slots)
    for length in lengths:
        heapq.heapreplace(free, free[0] + length)
    return max(free)
