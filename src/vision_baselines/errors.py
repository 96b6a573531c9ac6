"""The errors a person can cause, each with the exit code its kind ends in.

The message is one or two lines: what was received, what was expected, what to change. Anything else that is
raised was not expected; its traceback stands in the run's record and log.
"""

from __future__ import annotations

import re
from collections.abc import Iterator

_NO_MEMORY = re.compile(r"can't allocate memory|not enough memory|out of memory|Unable to allocate", re.IGNORECASE)
_BREAK = re.compile("[\t-\r\x1c-\x1e\x85\u2028\u2029]")


class VisionBaselinesError(Exception):
    r"""Something the person at the keyboard can put right.

    Each argument is a line of the message. What a path or a label brings along, such as a newline, is spelled out, so
    that it breaks none; inside another message the lines follow each other.

    >>> str(ConfigError("there is no a\nb", "Choose another.")), f"{DataError('one.', 'Two.')} Three."
    ('there is no a\\nb\nChoose another.', 'one. Two. Three.')
    """

    exit_code = 1

    def __str__(self) -> str:
        return "\n".join(map(single_line, self.args))

    def __format__(self, spec: str) -> str:
        return format(" ".join(map(single_line, self.args)), spec)


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


def single_line(text: object) -> str:
    r"""A text whose line breaks and tabs are spelled out.

    >>> single_line("a\nb\tc")
    'a\\nb\\tc'
    """
    return _BREAK.sub(lambda found: found[0].encode("unicode_escape").decode(), str(text))


def is_out_of_memory(error: BaseException) -> bool:
    """Whether Python, NumPy, torch or CUDA found no memory; torch says so with a plain `RuntimeError` on a CPU.

    >>> is_out_of_memory(RuntimeError("DefaultCPUAllocator: can't allocate memory")), is_out_of_memory(ValueError("x"))
    (True, False)
    """
    return isinstance(error, MemoryError) or (
        isinstance(error, RuntimeError) and _NO_MEMORY.search(str(error)) is not None
    )


def causes(error: BaseException | None) -> Iterator[BaseException]:
    """An error and those in whose wake it was raised, each once."""
    seen: set[int] = set()
    while error is not None and id(error) not in seen:
        seen.add(id(error))
        yield error
        error = error.__cause__ or error.__context__
