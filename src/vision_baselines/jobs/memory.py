"""How many jobs fit into memory at a time."""

from __future__ import annotations

import contextlib
from collections.abc import Iterable
from pathlib import Path

_CGROUP = Path("/sys/fs/cgroup")
_MEMINFO = Path("/proc/meminfo")


def free_bytes() -> int | None:
    """Memory that can still be used without swapping, of the system and of this container; None if nothing says so.

    Source: MemAvailable of proc(5); memory.max and memory.current of Linux's control groups, version 2.
    """
    found = []
    with contextlib.suppress(OSError, ValueError, StopIteration):
        line = next(line for line in _MEMINFO.read_text().splitlines() if line.startswith("MemAvailable:"))
        found.append(int(line.split()[1]) * 1024)
    with contextlib.suppress(OSError, ValueError):  # "max" where there is no limit
        limit, used = (int((_CGROUP / name).read_text()) for name in ("memory.max", "memory.current"))
        found.append(max(0, limit - used))
    return min(found, default=None)


def fitting(slots: int, needs: Iterable[int]) -> tuple[int, str]:
    """Jobs at a time for which there is memory, at least one, and a line where they are fewer than `slots`.

    Args:
        slots: Jobs at a time that were asked for, or that there are cores for.
        needs: Memory of each job, in bytes; the largest ones are taken to run together.

    >>> fitting(4, [])
    (4, '')
    """
    free, largest = free_bytes(), sorted(needs, reverse=True)[:slots]
    if free is None or not largest or sum(largest) <= free:
        return slots, ""
    fit = max(1, sum(sum(largest[: count + 1]) <= free for count in range(len(largest))))
    return fit, f"{fit} at a time: a job needs about {_size(largest[0])}, and {_size(free)} of memory are free"


def _size(size_bytes: int) -> str:
    return f"{size_bytes / 2**30:.1f} GiB" if size_bytes >= 2**30 else f"{size_bytes / 2**20:.0f} MiB"
