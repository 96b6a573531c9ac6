"""How a job went, as it passes from its process to the one that started it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True)
class Outcome:
    """How a job went, in plain data; `exit_code` is 0 only for a job that came to its result.

    Attributes:
        exit_code: 0, or the code that the job's error would end a process of its own with.
        value: What the job returned, if that is a number, text or nothing.
        kind: Class of the error.
        message: What it says.
        pickled_value: What the job returned otherwise; empty where that cannot be sent.
        note: What else is to be said of the job.
        working_dir: The job's current folder.
        task_name: What Hydra calls the application.
    """

    exit_code: int
    value: Any = None
    kind: str = ""
    message: str = ""
    pickled_value: bytes = b""
    note: str = ""
    working_dir: str = ""
    task_name: str = ""

    @property
    def interrupted(self) -> bool:
        """Whether a signal asked the job to end (128 + the signal's number)."""
        return self.exit_code > 128


def without_a_word(exit_code: int | str | None) -> str:
    """Why a process ended that could not say so itself.

    Args:
        exit_code: Negative for a signal, as `multiprocessing` has it; None where it is not known; text is the reason.

    >>> without_a_word(-11), without_a_word(3)
    ('killed by SIGSEGV', 'the process ended by itself with exit code 3')
    """
    import signal

    if isinstance(exit_code, str):
        return exit_code
    if exit_code is None:
        return "its process is gone, and so is the one that started it and would know why"
    if exit_code >= 0:
        return f"the process ended by itself with exit code {exit_code}"
    message = f"killed by {signal.Signals(-exit_code).name}"
    if -exit_code == signal.SIGKILL:
        message += " (from outside, or by the system because memory ran out)"
    return message
