"""What glibc's allocator does with memory that a training step has freed."""

from __future__ import annotations

import ctypes
import platform

# Names of glibc's malloc.h, and the largest block that it will not hand back at once.
_M_TRIM_THRESHOLD, _M_MMAP_THRESHOLD = -1, -3
_LARGEST_KEPT_BYTES = 32 * 2**20


def keep_freed_memory() -> None:
    """Let glibc keep the memory that a step frees for the next step, which wants as much again.

    By default blocks of more than 128 KiB, later up to 32 MiB, go back to the system when they are freed and come
    back page by page, each of them zeroed: for activations of megabytes that is a good part of a training step. Other
    allocators and systems are left as they are.

    Source: mallopt(3), M_MMAP_THRESHOLD and M_TRIM_THRESHOLD.
    """
    if platform.libc_ver()[0] == "glibc":
        libc = ctypes.CDLL(None)
        libc.mallopt(_M_MMAP_THRESHOLD, _LARGEST_KEPT_BYTES)
        libc.mallopt(_M_TRIM_THRESHOLD, 2**31 - 1)
