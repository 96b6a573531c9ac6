"""Hydra's side of ``hydra/launcher=slurm``, for any application; the work is done in `vision_baselines.cluster`.

Hydra reads this at every start, so little is imported here.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from hydra.core.utils import JobReturn

from hydra_plugins.vision_baselines_local import JobsLauncher


class SlurmLauncher(JobsLauncher):
    """Makes each job a job of Slurm.

    Args:
        executor: ``slurm``, or ``local`` for processes of this machine, to try it out.
        n_jobs: Jobs at a time; none means `array_parallelism`, and with ``local`` one for each core.
        fail_fast: After the first failure cancel the jobs that are queued or running.
        poll_s: Seconds between two questions to the scheduler.
        jobs: What the application adds: a `vision_baselines.jobs.hooks.Hooks`; none: nothing.
        wishes: What is asked for each job: see `vision_baselines.cluster.submit.Wishes`.
    """

    def __init__(
        self,
        executor: str = "slurm",
        n_jobs: int | None = None,
        fail_fast: bool = False,
        poll_s: float = 5.0,
        jobs: Any = None,
        **wishes: Any,
    ) -> None:
        super().__init__(n_jobs, fail_fast, jobs)
        self.executor, self.poll_s, self.wishes = executor, poll_s, wishes

    def launch(self, job_overrides: Sequence[Sequence[str]], initial_job_idx: int) -> Sequence[JobReturn]:
        """Submit the jobs, and wait for them; one result each, in their order."""
        assert self.config is not None
        from vision_baselines.cluster.pool import cluster_pool
        from vision_baselines.cluster.submit import Submitter, wishes_of
        from vision_baselines.jobs.cores import usable_cores

        at_once = {"array_parallelism": self.n_jobs} if self.n_jobs is not None else {}
        wishes = wishes_of({"executor": self.executor, **self.wishes, **at_once})
        slots = (self.n_jobs or usable_cores()) if self.executor == "local" else None
        submitter = Submitter(Path(str(self.config.hydra.sweep.dir)).absolute(), wishes)
        return self._launch(
            job_overrides,
            initial_job_idx,
            slots=slots or len(job_overrides),
            cluster=lambda sweep: cluster_pool(sweep, submitter, n_jobs=slots, poll_s=self.poll_s),
        )
