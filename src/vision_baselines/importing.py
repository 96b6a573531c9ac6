"""Imports, and whatever else is made to stay, without the garbage collector's looks at it."""

from __future__ import annotations

import gc
import sys
from collections.abc import Iterator
from contextlib import contextmanager


@contextmanager
def collector_waits() -> Iterator[None]:
    """Make what stays, or what frees itself, without looks at it: there are thousands of records in a large folder."""
    was_enabled = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if was_enabled:
            gc.enable()


@contextmanager
def without_collector() -> Iterator[None]:
    """Import without the garbage collector, which looks again and again at what is made to stay, and never after that.

    For `import torch, pytorch_lightning` these looks are a tenth of the time, and as much again when Python ends. Where
    nothing is imported, because all of it is there already, nothing is kept from the collector: an earlier run in the
    same process may have left much.
    """
    before = len(sys.modules)
    with collector_waits():
        try:
            yield
        finally:
            if len(sys.modules) > before:
                gc.freeze()
