"""The errors a person can cause, each with the exit code its kind ends in.

The message is one or two lines: what was received, what was expected, what to change. Anything else that is
raised was not expected; its traceback stands in the run's record and log.
"""

from __future__ import annotations

import re

_NO_MEMORY = re.compile(r"can't allocate memory|not enough memory|out of memory|Unable to allocate", re.IGNORECASE)


class VisionBaselinesError(Exception):
    """Something the person at the keyboard can put right."""

    exit_code = 1


class ConfigError(VisionBaselinesError):
    """The configuration asks for something that does not exist or cannot be."""

    exit_code = 2


class DataError(VisionBaselinesError):
    """The data is missing, damaged or not what the configuration says."""

    exit_code = 3


class TrainingError(VisionBaselinesError):
    """A run, or at least one job of a sweep, did not come to its result."""

    exit_code = 4


class DivergedError(TrainingError):
    """The loss is no longer a finite number."""


class PrunedError(VisionBaselinesError):
    """The run belongs to a trial of a search that cannot win; it ends here, and the sweep goes on."""

    exit_code = 0


class OutOfTimeError(TrainingError):
    """`trainer.max_time` is used up; the run is saved and can be resumed."""


class StorageError(VisionBaselinesError):
    """Something cannot be written or what was written cannot be trusted."""

    exit_code = 5


def is_out_of_memory(error: BaseException) -> bool:
    """Whether Python, NumPy, torch or CUDA found no memory; torch says so with a plain `RuntimeError` on a CPU.

    >>> is_out_of_memory(RuntimeError("DefaultCPUAllocator: can't allocate memory")), is_out_of_memory(ValueError("x"))
    (True, False)
    """
    return isinstance(error, MemoryError) or (
        isinstance(error, RuntimeError) and _NO_MEMORY.search(str(error)) is not None
    )
