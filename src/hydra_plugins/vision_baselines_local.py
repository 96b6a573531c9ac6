"""Hydra's side of ``hydra/launcher=local`` and ``hydra/sweeper=paired`` or ``until_decided``, for any application.

The work is done in `vision_baselines.jobs`; what runs of this project need is plugged in by its own configs.

Hydra takes launchers and sweepers from this namespace only, and reads it at every start, so little is imported here.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from hydra._internal.core_plugins.basic_sweeper import BasicSweeper
from hydra.core.override_parser.overrides_parser import OverridesParser
from hydra.core.utils import JobReturn
from hydra.errors import CompactHydraException
from hydra.plugins.launcher import Launcher
from hydra.types import HydraContext, TaskFunction
from omegaconf import DictConfig, OmegaConf

from vision_baselines.jobs.counting import n_jobs


class JobsLauncher(Launcher):
    """What launchers of `vision_baselines.jobs.launch` share; each has a `launch` of its own.

    Args:
        n_jobs: Jobs at a time; none means as many as the launcher finds right.
        fail_fast: Start no further job, and stop those that run, after the first failure.
        jobs: What the application adds: a `vision_baselines.jobs.hooks.Hooks`; none: nothing.
    """

    checks_jobs = True  # composes every job before it starts one

    def __init__(self, n_jobs: int | None, fail_fast: bool, jobs: Any) -> None:
        self.n_jobs, self.fail_fast, self.jobs = n_jobs, fail_fast, jobs
        self.config: DictConfig | None = None
        self.hydra_context: HydraContext | None = None
        self.task_function: TaskFunction | None = None

    def setup(self, *, hydra_context: HydraContext, task_function: TaskFunction, config: DictConfig) -> None:
        """Take what Hydra hands over."""
        self.config, self.hydra_context, self.task_function = config, hydra_context, task_function

    def _launch(self, job_overrides: Sequence[Sequence[str]], initial_job_idx: int, **options: Any) -> list[JobReturn]:
        """Run the jobs with the options of `vision_baselines.jobs.launch.launch` that are the launcher's own."""
        assert self.config is not None
        assert self.hydra_context is not None
        assert self.task_function is not None
        from vision_baselines.jobs.hooks import Hooks
        from vision_baselines.jobs.launch import launch

        return launch(
            job_overrides,
            initial_job_idx,
            config=self.config,
            hydra_context=self.hydra_context,
            task_function=self.task_function,
            hooks=self.jobs or Hooks(),
            fail_fast=self.fail_fast,
            **options,
        )


class LocalLauncher(JobsLauncher):
    """Runs each job in a process of its own, several at a time.

    Args:
        n_jobs: Jobs at a time; none means one for each core this process may use.
        fail_fast: Start no further job, and stop those that run, after the first failure.
        output: File in each job's folder for what it prints; none: it is printed where the sweep is.
        preload: Modules that are imported once, for all jobs.
        jobs: What the application adds: a `vision_baselines.jobs.hooks.Hooks`; none: nothing.
    """

    def __init__(
        self,
        n_jobs: int | None = None,
        fail_fast: bool = False,
        output: str | None = "output.txt",
        preload: Sequence[str] = (),
        jobs: Any = None,
    ) -> None:
        super().__init__(n_jobs, fail_fast, jobs)
        self.output, self.preload = output, preload

    def launch(self, job_overrides: Sequence[Sequence[str]], initial_job_idx: int) -> Sequence[JobReturn]:
        """Run the jobs; one result each, in their order."""
        from vision_baselines.jobs.cores import usable_cores
        from vision_baselines.jobs.options import check_options

        check_options(n_jobs=self.n_jobs, fail_fast=self.fail_fast, output=self.output, preload=self.preload)
        slots = self.n_jobs or usable_cores()
        return self._launch(job_overrides, initial_job_idx, slots=slots, output=self.output, preload=list(self.preload))


class PairedSweeper(BasicSweeper):
    """Hydra's grid, and beside it axes that belong together.

    Each group of overrides spans a grid of its own with what the command line adds, so that a CNN can be swept over its
    learning rates and a fully connected net over others, without the product of both.

    Args:
        max_batch_size: Jobs handed to the launcher at a time; none means all.
        params: Sweeps that stand in the config, as for Hydra's own sweeper.
        groups: Lists of overrides; none is the plain grid.
        runs: What the application adds: a `vision_baselines.sweep.around.AroundRuns`; none: nothing.
    """

    def __init__(
        self,
        max_batch_size: int | None = None,
        params: dict[str, str] | None = None,
        groups: Sequence[Sequence[str]] | None = None,
        runs: Any = None,
    ) -> None:
        super().__init__(max_batch_size=max_batch_size, params=params)
        self.groups = [list(group) for group in groups or []]
        self.runs = runs

    def sweep(self, arguments: list[str]) -> Any:
        """Run the sweep."""
        if self.runs is None:
            return self._sweep(arguments)
        assert self.launcher is not None
        return self.runs.around(
            lambda: self._sweep(arguments),
            launch=self.launcher.launch,
            config=self.config,
            hydra_context=self.hydra_context,
        )

    def _sweep(self, arguments: list[str]) -> Any:
        return super().sweep(arguments)

    def split_arguments(self, overrides: Any, max_batch_size: int | None) -> list[list[list[str]]]:  # type: ignore[override]
        """Batches of jobs, each job a list of overrides; the same job once."""
        if self.runs is not None:
            overrides, self.groups = self.runs.spread(overrides, self.groups, self.config)
        batches = self._split(overrides, max_batch_size)
        if self.runs is not None:
            jobs = [job for batch in batches for job in batch]
            self.runs.look_at(jobs, self.config, are_composed=self._are_composed(batches))
        return batches

    def _split(self, overrides: Any, max_batch_size: int | None) -> list[list[list[str]]]:
        grids = self._grids(overrides)
        if self.runs is not None:  # before a list of them is made
            self.runs.look_at_number(sum(map(n_jobs, grids)), self.config)
        if not self.groups:
            return super().split_arguments(overrides, max_batch_size)
        jobs: list[list[str]] = []
        for grid in grids:
            for batch in super().split_arguments(grid, None):
                jobs += [job for job in batch if job not in jobs]
        return [list(chunk) for chunk in self.split_overrides_to_chunks(jobs, max_batch_size)]

    def _grids(self, overrides: Any) -> list[list[Any]]:
        if not self.groups:
            return [list(overrides)]
        assert self.hydra_context is not None
        parser = OverridesParser.create(config_loader=self.hydra_context.config_loader)
        return [[*overrides, *parser.parse_overrides(group)] for group in self.groups]

    def _are_composed(self, batches: Sequence[Any]) -> bool:
        """Whether the launcher composes all jobs before it starts one."""
        return len(batches) == 1 and getattr(self.launcher, "checks_jobs", False)

    def validate_batch_is_legal(self, batch: Sequence[Sequence[str]]) -> None:
        """Compose every job to see whether that can be done, where the launcher does not."""
        if not getattr(self.launcher, "checks_jobs", False):
            super().validate_batch_is_legal(batch)


class UntilDecidedSweeper(PairedSweeper):
    """The paired sweeper with ``seed=auto``: seeds are added to groups until they are decided against the baseline.

    Args:
        params: As for `PairedSweeper`.
        groups: As for `PairedSweeper`.
        runs: As for `PairedSweeper`, and needed here.
    """

    def __init__(
        self,
        params: dict[str, str] | None = None,
        groups: Sequence[Sequence[str]] | None = None,
        runs: Any = None,
    ) -> None:
        super().__init__(params=params, groups=groups, runs=runs)

    def _sweep(self, arguments: list[str]) -> Any:
        if self.runs is None:
            raise CompactHydraException(
                "hydra/sweeper=until_decided decides by the records that jobs leave, and the jobs of this application "
                "leave none; hydra/sweeper=paired sweeps over a fixed list"
            )
        assert self.config is not None
        assert self.hydra_context is not None
        assert self.launcher is not None
        parser = OverridesParser.create(config_loader=self.hydra_context.config_loader)
        params = [f"{key}={value}" for key, value in (self.params or {}).items()]
        [jobs] = self.split_arguments(parser.parse_overrides([*params, *arguments]), None)
        from vision_baselines.sweep.until_decided import run_until_decided

        folder = Path(self.config.hydra.sweep.dir)
        folder.mkdir(parents=True, exist_ok=True)
        OmegaConf.save(self.config, folder / "multirun.yaml")
        return run_until_decided(jobs, self.launcher.launch, config=self.config, hydra_context=self.hydra_context)
