"""Hydra's side of ``hydra/launcher=slurm``, for any application; the work is done in `vision_baselines.cluster`.

Hydra reads this at every start, so little is imported here.
"""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from hydra.core.utils import JobReturn
from hydra.plugins.launcher import Launcher
from hydra.types import HydraContext, TaskFunction
from omegaconf import DictConfig


class SlurmLauncher(Launcher):
    """Makes each job a job of Slurm.

    Args:
        executor: ``slurm``, or ``local`` for processes of this machine, to try it out.
        n_jobs: Jobs at a time; none means `array_parallelism`, and with ``local`` one for each core.
        fail_fast: After the first failure cancel the jobs that are queued or running.
        poll_s: Seconds between two questions to the scheduler.
        jobs: What the application adds: a `vision_baselines.jobs.hooks.Hooks`; none: nothing.
        wishes: What is asked for each job: see `vision_baselines.cluster.submit.Wishes`.
    """

    checks_jobs = True  # composes every job before it submits one

    def __init__(
        self,
        executor: str = "slurm",
        n_jobs: int | None = None,
        fail_fast: bool = False,
        poll_s: float = 5.0,
        jobs: Any = None,
        **wishes: Any,
    ) -> None:
        self.executor, self.n_jobs, self.fail_fast = executor, n_jobs, fail_fast
        self.poll_s, self.jobs, self.wishes = poll_s, jobs, wishes
        self.config: DictConfig | None = None
        self.hydra_context: HydraContext | None = None
        self.task_function: TaskFunction | None = None

    def setup(self, *, hydra_context: HydraContext, task_function: TaskFunction, config: DictConfig) -> None:
        """Take what Hydra hands over."""
        self.config, self.hydra_context, self.task_function = config, hydra_context, task_function

    def launch(self, job_overrides: Sequence[Sequence[str]], initial_job_idx: int) -> Sequence[JobReturn]:
        """Submit the jobs, and wait for them; one result each, in their order."""
        assert self.config is not None
        assert self.hydra_context is not None
        assert self.task_function is not None
        from vision_baselines.cluster.pool import cluster_pool
        from vision_baselines.cluster.submit import Submitter, wishes_of
        from vision_baselines.jobs.hooks import Hooks
        from vision_baselines.jobs.launch import launch

        at_once = {"array_parallelism": self.n_jobs} if self.n_jobs is not None else {}
        wishes = wishes_of({"executor": self.executor, **self.wishes, **at_once})
        cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
        slots = (self.n_jobs or cores) if self.executor == "local" else None
        submitter = Submitter(Path(str(self.config.hydra.sweep.dir)).absolute(), wishes)
        return launch(
            job_overrides,
            initial_job_idx,
            config=self.config,
            hydra_context=self.hydra_context,
            task_function=self.task_function,
            hooks=self.jobs or Hooks(),
            slots=slots or len(job_overrides),
            fail_fast=self.fail_fast,
            cluster=lambda sweep: cluster_pool(sweep, submitter, n_jobs=slots, poll_s=self.poll_s),
        )
