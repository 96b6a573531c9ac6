"""What a job's process is told beside its config, the same for all jobs of a sweep."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from omegaconf import DictConfig

from vision_baselines.jobs.hooks import Hooks


@dataclass(frozen=True)
class Surroundings:
    """In plain data and names of functions.

    Attributes:
        prepare: See `Hooks`.
        progress_logger: See `Hooks`.
        writes_traceback: See `Hooks`.
        output: File in the job's folder for what is printed, by C code too; None: it is printed where the sweep is.
        task: See `portable.packed_task`.
    """

    prepare: Callable[[DictConfig], None] | None
    progress_logger: str | None
    writes_traceback: bool
    output: str | None
    task: bytes

    @classmethod
    def of(cls, hooks: Hooks[Any], *, output: str | None, task: bytes) -> Surroundings:
        """As an application's hooks want it."""
        return cls(hooks.prepare, hooks.progress_logger, hooks.writes_traceback, output, task)
