"""Runs the jobs of a Hydra application: looks at each before the first one starts, and has a process for each.

What the jobs are, which need not be run and what follows their ends is said by `Hooks`.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterable, Sequence
from functools import partial
from typing import Any, Generic, TypeVar

from hydra.core.utils import JobReturn, JobStatus, configure_log, filter_overrides, setup_globals
from hydra.types import HydraContext, TaskFunction
from omegaconf import DictConfig

from vision_baselines.jobs.asking import answer_of
from vision_baselines.jobs.composing import numbered
from vision_baselines.jobs.console import SweepConsole
from vision_baselines.jobs.hooks import Hooks
from vision_baselines.jobs.job import Job
from vision_baselines.jobs.looking import looked_at
from vision_baselines.jobs.memory import fitting
from vision_baselines.jobs.ordering import start_order
from vision_baselines.jobs.outcome import Outcome
from vision_baselines.jobs.pool import Pool
from vision_baselines.jobs.portable import packed_task
from vision_baselines.jobs.returned import JobResult
from vision_baselines.jobs.signals import Interrupted, StopSignals
from vision_baselines.jobs.summary import in_one_line, labels, near
from vision_baselines.jobs.surroundings import Surroundings
from vision_baselines.jobs.worker_entry import run

J = TypeVar("J", bound=Job)

_PRELOAD = ("vision_baselines.jobs.worker",)


def launch(
    job_overrides: Sequence[Sequence[str]],
    initial_job_idx: int,
    *,
    config: DictConfig,
    hydra_context: HydraContext,
    task_function: TaskFunction,
    hooks: Hooks[J],
    slots: int,
    fail_fast: bool = False,
    output: str | None = "output.txt",
    preload: Sequence[str] = (),
    cluster: Callable[[Any], Any] | None = None,
) -> list[JobReturn]:
    """Run every job that has no outcome yet; one `JobReturn` each, in the order given.

    Args:
        job_overrides: Of each job.
        initial_job_idx: Number of the first one.
        config: The sweep's.
        hydra_context: Composes the jobs.
        task_function: What each of them runs.
        hooks: What the application adds.
        slots: Jobs at a time.
        fail_fast: Start no further job, and stop those that run, after the first failure.
        output: File in each job's folder for what it prints; None: it is printed here.
        preload: Modules that are imported once, beside those of the hooks.
        cluster: Makes what runs the jobs elsewhere, with a `run` as `Pool` has it, from what a pool calls;
            None: they are processes of this machine.

    Raises:
        Exception: What `hooks` refuses jobs with; nothing was started.
        BaseException: What `hooks` makes of a signal, or of the first failure; jobs that ran had the time to save.
    """
    setup_globals()
    configure_log(config.hydra.hydra_logging, config.hydra.verbose)
    preload = [*_PRELOAD, *_hydras_modules(), *hooks.preload, *preload]
    asked = looked_at(
        job_overrides,
        initial_job_idx,
        config=config,
        hydra_context=hydra_context,
        hooks=hooks,
        preload=preload if cluster is None else None,
    )
    runs_for = hooks.same(asked)
    jobs = list(dict.fromkeys(runs_for))
    if hooks.only_shown(jobs, config):
        return [JobReturn(overrides=job.overrides, status=JobStatus.COMPLETED) for job in asked]
    for job, label in zip(jobs, labels([job.words for job in jobs]), strict=True):
        job.label = label
    to_run = [job for job in jobs if job.outcome is None]
    leading = hooks.grouped(to_run, slots) if cluster is None else to_run
    needs = (sum(one.need_bytes for one in job.members) for job in leading)
    slots, too_many = fitting(slots, needs) if cluster is None else (slots, "")
    with hooks.running(jobs, config):
        try:
            with StopSignals() as stop, SweepConsole(total=len(to_run), slots=slots, live=bool(output)) as console:
                stop.deferring = True
                console.places = {job.label: place for place, job in enumerate(jobs)}
                if to_run and (words := hooks.announced(to_run, min(slots, len(leading)))):
                    console.note(words)
                if skipped := len(jobs) - len(to_run):
                    console.note(f"{skipped} of {len(jobs)} jobs are finished already")
                if too_many:
                    console.note(too_many)
                if to_run:
                    hooks.starts(jobs, config)
                    task = packed_task(hydra_context, task_function)
                    surroundings = Surroundings.of(hooks, output=output, task=task)
                    sweep = _Sweep(hooks, surroundings, console, stop, slots=slots, fail_fast=fail_fast)
                    pool = cluster(sweep) if cluster else Pool(sweep, slots=slots, target=run, preload=preload)
                    if cluster is None and len(leading) > slots:
                        ask = partial(answer_of, preload=preload, meanwhile=stop.raise_if_received)
                        leading = [leading[place] for place in start_order(hooks.lengths(leading, ask), slots)]
                    pool.run(leading)
        except Interrupted as error:
            raise hooks.interrupted(error) from None
        finally:
            for job in jobs:
                if job.outcome is None or job.outcome.interrupted:
                    job.is_started = hooks.has_begun(job)
            hooks.all_ended(jobs)
    ended = [(job.label, job.outcome, job.is_started) for job in jobs]
    summary = in_one_line(ended, [job.folder for job in jobs], see=hooks.see())
    found: list[JobReturn] = []
    for job, own in zip(runs_for, asked, strict=True):
        compose = partial(composed_job, own.index, own.overrides, config, hydra_context)
        failed = job.outcome is None or job.outcome.exit_code != 0
        found.append(
            JobResult(job, filter_overrides(own.overrides), compose, hooks.failure(summary) if failed else None)
        )
    return found


def _hydras_modules() -> list[str]:
    """What is imported here of Hydra and this project's plugins: each job needs them, to read Hydra's state.

    Plugins of others are left to the jobs: one may start a thread, which the server must not have.
    """
    return sorted(name for name in sys.modules if name.startswith(("hydra.", "hydra_plugins.vision_baselines_")))


def composed_job(index: int, overrides: list[str], config: DictConfig, hydra_context: HydraContext) -> DictConfig:
    """A job's config with Hydra's part."""
    return numbered(hydra_context.config_loader.load_sweep_config(config, overrides), index)


class _Sweep(Generic[J]):
    """What the pool calls, for this sweep's jobs."""

    def __init__(
        self,
        hooks: Hooks[J],
        surroundings: Surroundings,
        console: SweepConsole,
        stop: StopSignals,
        *,
        slots: int,
        fail_fast: bool,
    ) -> None:
        self.hooks = hooks
        self.surroundings = surroundings
        self.console = console
        self.stop = stop
        self.slots = slots
        self.fail_fast = fail_fast
        self.has_started = False

    def arguments(self, job: J, slot: int) -> tuple[Any, ...]:
        """See `worker.run`. A signal ends the sweep at once until the first job runs, which waits for all imports."""
        self.stop.raise_if_received()
        self.stop.deferring = self.has_started
        environment = dict(self.hooks.environment(job, slot, self.slots))
        if not job.companions:
            return job.packed_config, str(job.folder), environment, self.surroundings
        configs, folders = zip(*((one.packed_config, str(one.folder)) for one in job.members), strict=True)
        return configs, folders, environment, self.surroundings

    def may_start(self, job: J, unfinished: Iterable[J]) -> bool:
        """Whether no other job has its folder, and the application has nothing against it."""
        others = [one for other in unfinished if other is not job for one in other.members]
        same = any(
            other.folder == one.folder and (other.is_started or other.index < one.index)
            for other in others
            for one in job.members
        )
        return not same and self.hooks.may_start(job, others)

    def started(self, job: J) -> None:
        """Show it as running."""
        self.has_started = self.stop.deferring = True
        for one in job.members:
            one.is_started = True
            self.console.started(one.label)

    def progress(self, job: J, said: Any) -> None:
        """Show how far it is, or how one of several jobs of a process went."""
        own, line = (job.members[said[0]], said[1]) if isinstance(said, tuple) else (job, said)
        if isinstance(line, Outcome):
            self._show(own, line)
            self._end_at_first_failure([own])
        else:
            self.console.progress(own.label, line)

    def ended(self, job: J, outcome: Outcome | None, exit_code: int | str | None) -> None:
        """Say how it went.

        Raises:
            Exception: It failed, and the sweep is to end at its first failure.
        """
        for one, own in zip(job.members, _each(job, outcome), strict=True):
            if one.outcome is None:
                self._show(one, own or self.hooks.without_a_word(one, exit_code))
        self._end_at_first_failure(job.members)

    def _show(self, job: J, outcome: Outcome) -> None:
        if outcome.interrupted:
            outcome = self.hooks.after_signal(job, outcome)
        job.outcome = outcome
        job.packed_config = b""
        self.console.ended(job.label, outcome, near(job.folder) if outcome.exit_code else self.hooks.result(job))
        if outcome.note:
            self.console.note(f"  {job.label}: {outcome.note}")

    def _end_at_first_failure(self, jobs: Iterable[Job]) -> None:
        failed = [(job, job.outcome) for job in jobs if job.outcome is not None and job.outcome.exit_code]
        if failed and self.fail_fast:
            job, outcome = failed[0]
            said = f"{job.label}: {outcome.message} ({near(job.folder)})"
            raise self.hooks.failure(f"{said}; fail_fast=true: the jobs after it were not started")

    def stopped(self, job: J, outcome: Outcome | None) -> None:
        """Say how it went, where that was not said before; one that did not end in time was killed."""
        for one, own in zip(job.members, _each(job, outcome), strict=True):
            if one.outcome is None:
                self._show(one, own or Outcome(143, kind="Interrupted", message="ended with the sweep"))

    def refresh(self) -> None:
        """Draw what runs, let the application do what is due, and end if that was asked."""
        self.hooks.meanwhile()
        self.console.refresh()
        self.stop.raise_if_received()

    def some_ended(self) -> None:
        """Let the application look at what is there."""
        self.hooks.some_ended()


def _each(job: Job, outcome: Outcome | None) -> list[Outcome | None]:
    """The outcome of each job of a process; one of several has them all as its value."""
    if not job.companions:
        return [outcome]
    return list(outcome.value) if outcome is not None and outcome.value else [None] * len(job.members)
