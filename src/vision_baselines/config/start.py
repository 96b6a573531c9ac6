"""How this process was started: what stands before the words of its command, to start another one the same way."""

from __future__ import annotations

import sys

_program: list[str] = []


def note_start(words: int) -> None:
    """Remember Python, its options and the script; the last `words` words of the process are the command's own."""
    start = getattr(sys, "orig_argv", [sys.executable, *sys.argv])
    _program[:] = [sys.executable, *start[1 : len(start) - words]]


def program() -> list[str]:
    """Python, its options and the script or module, as they were typed."""
    return list(_program) or [sys.executable, sys.argv[0]]
