"""What a job's process is given beside its config, the same for all jobs of a sweep."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping
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
        environment: Of the process that starts the jobs, which may have changed since their server was started.
    """

    prepare: Callable[[DictConfig], None] | None
    progress_logger: str | None
    writes_traceback: bool
    output: str | None
    task: bytes
    environment: Mapping[str, str]

    @classmethod
    def of(cls, hooks: Hooks[Any], *, output: str | None, task: bytes) -> Surroundings:
        """As an application's hooks want it."""
        return cls(hooks.prepare, hooks.progress_logger, hooks.writes_traceback, output, task, dict(os.environ))

    def take_environment(self, own: Mapping[str, str]) -> None:
        """Give this process the environment of the one that started it, and a job's `own` variables."""
        for name in os.environ.keys() - self.environment.keys():
            del os.environ[name]
        os.environ.update({**self.environment, **own})
