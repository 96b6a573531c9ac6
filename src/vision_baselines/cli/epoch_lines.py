"""Lines of a run's progress where no terminal has a bar: in a log of ``nohup``, or through a pipe."""

from __future__ import annotations

import logging
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager

_EVERY_S = 60.0
_PROGRESS = logging.getLogger("vision_baselines.progress")


class _EveryMinute(logging.StreamHandler):  # type: ignore[type-arg]
    """Prints the latest epoch where a minute has passed since the last that it printed, or since it was made."""

    def __init__(self) -> None:
        super().__init__(sys.stdout)
        self._printed_at = time.monotonic()

    def filter(self, record: logging.LogRecord) -> bool:
        """See `logging.Filterer`."""
        now = time.monotonic()
        is_due = record.levelno == logging.INFO and now - self._printed_at >= _EVERY_S
        if is_due:
            self._printed_at = now
        return is_due


@contextmanager
def printed_every_minute() -> Iterator[None]:
    """Print progress meanwhile, unless errors go to a terminal: a bar is there."""
    handler = logging.NullHandler() if sys.stderr.isatty() else _EveryMinute()
    _PROGRESS.addHandler(handler)
    try:
        yield
    finally:
        _PROGRESS.removeHandler(handler)
