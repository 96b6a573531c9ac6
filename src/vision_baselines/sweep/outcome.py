"""How a job went, as it passes from its process to the sweep's."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Outcome:
    """How a job went, in plain data; `exit_code` is 0 only for a job that came to its result."""

    exit_code: int
    value: float | None = None
    kind: str = ""
    message: str = ""

    @property
    def interrupted(self) -> bool:
        """Whether a signal asked the job to end (128 + the signal's number)."""
        return self.exit_code > 128
