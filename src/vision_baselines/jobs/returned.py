"""What a launcher returns of a job, without keeping what can be made again."""

from __future__ import annotations

import pickle
from collections.abc import Callable, Sequence
from typing import Any

from hydra.core.utils import JobReturn, JobStatus
from omegaconf import DictConfig, open_dict

from vision_baselines.jobs.job import Job


class JobResult(JobReturn):
    """A job's result; its configs are composed when somebody asks for them.

    Args:
        job: The job that was run.
        overrides: As they were asked for.
        composed: Composes the job's config.
        failure: What its value raises where it failed, without the line that Hydra prints at every look.
    """

    def __init__(
        self, job: Job, overrides: Sequence[str], composed: Callable[[], DictConfig], failure: Exception | None
    ) -> None:
        outcome = job.outcome
        self._folder, self._composed, self._failure = job.folder, composed, failure
        self._pickled = outcome.pickled_value if outcome is not None else b""
        super().__init__(
            overrides=overrides,
            status=JobStatus.COMPLETED if failure is None else JobStatus.FAILED,
            working_dir=(outcome.working_dir if outcome is not None else "") or None,
            task_name=(outcome.task_name if outcome is not None else "") or None,
            _return_value=outcome.value if outcome is not None else None,
        )

    @property  # type: ignore[misc]  # without a setter, which nothing needs
    def return_value(self) -> Any:
        """What the task returned."""
        if self._failure is not None:
            raise self._failure
        return pickle.loads(self._pickled) if self._pickled else super().return_value

    @property
    def hydra_cfg(self) -> DictConfig:
        """The job's config with Hydra's part."""
        config = self._composed()
        with open_dict(config):
            config.hydra.runtime.output_dir = str(self._folder)
        return config

    @hydra_cfg.setter
    def hydra_cfg(self, value: DictConfig | None) -> None:
        """Hydra's own constructor sets it."""

    @property
    def cfg(self) -> DictConfig:
        """The job's config, as the task was given it."""
        config = self._composed()
        with open_dict(config):
            del config["hydra"]
        return config

    @cfg.setter
    def cfg(self, value: DictConfig | None) -> None:
        """Hydra's own constructor sets it."""
