"""A sweep's jobs: which are to be trained, what each of them waits for, and what is said and done after each.

Their processes are the pool's; see `vision_baselines.sweep.pool`.
"""

from __future__ import annotations

import logging
import pickle
import signal
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import Any

from hydra.core.singleton import Singleton
from hydra.core.utils import JobReturn, JobStatus, configure_log, filter_overrides
from hydra.types import HydraContext, TaskFunction
from omegaconf import DictConfig, OmegaConf, open_dict

from vision_baselines.comparison.formatting import plural
from vision_baselines.config.plan import RunPlan, planned
from vision_baselines.errors import ConfigError, TrainingError
from vision_baselines.report.hparam_rows import Row
from vision_baselines.runs.fingerprint import chosen_options, key_of
from vision_baselines.runs.record import Failure, RunRecord, Status, now, read_record
from vision_baselines.runs.resumption import Action
from vision_baselines.storage.lock import RunLockedError, exclusive
from vision_baselines.sweep.callback import SweepCallback
from vision_baselines.sweep.checks import comparison_keys, require_a_beginning, require_one_sweep, without_repeats
from vision_baselines.sweep.columns import write_planned_columns
from vision_baselines.sweep.console import SweepConsole
from vision_baselines.sweep.job import Job
from vision_baselines.sweep.memory import fitting, job_bytes
from vision_baselines.sweep.outcome import Outcome
from vision_baselines.sweep.planned import noted
from vision_baselines.sweep.pool import Pool, start_server
from vision_baselines.sweep.summary import failures, labels, last_words
from vision_baselines.sweep.worker_entry import run
from vision_baselines.training.signals import StopSignals

log = logging.getLogger(__name__)

# Runs jobs, given their overrides, after so many before them.
Launch = Callable[[Sequence[Sequence[str]], int], Sequence[JobReturn]]
_PRELOAD = ["vision_baselines.sweep.worker"]


def launch(
    job_overrides: Sequence[Sequence[str]],
    initial_job_idx: int,
    *,
    config: DictConfig,
    hydra_context: HydraContext,
    task_function: TaskFunction,
    slots: int,
    fail_fast: bool,
) -> list[JobReturn]:
    """Run every job that is not finished yet; one `JobReturn` each, in the order given.

    Every job's config is looked at before the first one starts.

    Raises:
        ConfigError: A job's config cannot be run, or its folder holds a run of another config; nothing was started.
        Interrupted: SIGINT or SIGTERM; jobs that ran were given the time to save.
    """
    configure_log(config.hydra.hydra_logging, config.hydra.verbose)
    if not job_overrides:
        raise ConfigError("the sweep has no job: one of its lists, ranges or globs is empty")
    require_one_sweep(job_overrides)
    jobs: list[Job] = []
    compared = comparison_keys(config)
    for offset, overrides in enumerate(job_overrides):
        jobs.append(_job(initial_job_idx + offset, list(overrides), config, hydra_context, compared))
        if jobs[-1].outcome is None and not config.preview:
            start_server(_PRELOAD)  # it imports while the other jobs are looked at
    for key, option in compared.items():
        raise ConfigError(f"comparison.{option} names {key!r}, which no job has; expected a key of the config, or null")
    asked, jobs = jobs, without_repeats(jobs)
    require_a_beginning(jobs)
    if config.preview:
        from vision_baselines.sweep.preview import show

        show(planned(job.config, job.folder) for job in jobs)
        return [JobReturn(overrides=job.overrides, status=JobStatus.COMPLETED) for job in asked]
    for job, label in zip(jobs, labels([job.task for job in jobs]), strict=True):
        job.label = label
    to_run = [job for job in jobs if job.outcome is None]
    slots, too_many = fitting(slots, (job.need_bytes for job in to_run))
    sweep_folder = Path(str(config.hydra.sweep.dir))
    with (
        noted(sweep_folder, [job.folder for job in jobs]),
        StopSignals() as stop,
        SweepConsole(total=len(to_run), slots=slots) as console,
    ):
        stop.deferring = True
        if to_run:
            console.note(f"{plural(len(to_run), 'job')}, {min(slots, len(to_run))} at a time")
        if skipped := len(jobs) - len(to_run):
            console.note(f"{skipped} of {len(jobs)} jobs are finished already")
        if too_many:
            console.note(too_many)
        sweep = _Sweep(hydra_context, task_function, console, stop, fail_fast=fail_fast)
        try:
            if to_run:
                write_planned_columns(Path(str(config.hydra.sweep.dir)), jobs)
                Pool(sweep, slots=slots, target=run, preload=_PRELOAD).run(to_run)
        finally:
            ended = [(job.label, job.outcome, job.is_started) for job in jobs]
            counts, lines = failures(ended)
            # shown below the table, which would push them out of sight
            SweepCallback.last_words = last_words(ended, [job.folder for job in jobs], sweep_folder)
    summary = f"{counts}; {lines[0]}" if lines else counts
    by_fingerprint = {job.fingerprint: job for job in jobs}
    return [_job_return(by_fingerprint[job.fingerprint], job.overrides, summary) for job in asked]


class _Sweep:
    """What the pool asks and tells of this sweep's jobs."""

    def __init__(
        self,
        hydra_context: HydraContext,
        task_function: TaskFunction,
        console: SweepConsole,
        stop: StopSignals,
        *,
        fail_fast: bool,
    ) -> None:
        self.hydra_context = hydra_context
        self.task_function = task_function
        self.console = console
        self.stop = stop
        self.fail_fast = fail_fast
        self.has_started = False

    def arguments(self, job: Job) -> tuple[Any, ...]:
        """See `worker.run`. A signal ends the sweep at once until the first job runs, which waits for all imports."""
        self.stop.raise_if_received()
        self.stop.deferring = self.has_started
        return job.pickled_config, self.hydra_context, self.task_function, Singleton.get_state()["instances"]

    def may_start(self, job: Job, unfinished: Iterable[Job]) -> bool:
        """Whether no other job has its folder, none that it starts from is still to end, and no other sweep trains it.

        A checkpoint that it starts from lies inside the folder of the other job.
        """
        sources = {job.starts_from, *job.starts_from.parents} if job.starts_from else set()
        others = [other for other in unfinished if other is not job]
        same = any(other.folder == job.folder and (other.is_started or other.index < job.index) for other in others)
        return not same and not any(other.folder in sources for other in others) and not _is_busy(job.folder)

    def started(self, job: Job) -> None:
        """Show it as running."""
        job.is_started = self.has_started = self.stop.deferring = True
        self.console.started(job.label)

    def progress(self, job: Job, line: str) -> None:
        """Show how far it is."""
        self.console.progress(job.label, line)

    def ended(self, job: Job, outcome: Outcome | None, exit_code: int | None) -> None:
        """Say how it went.

        Raises:
            TrainingError: It failed, and the sweep is to end at its first failure.
        """
        job.outcome = outcome or _without_a_word(job, exit_code)
        job.pickled_config = b""
        self.console.ended(job.label, job.folder, job.outcome)
        if job.outcome.exit_code and self.fail_fast:
            raise TrainingError(
                f"{job.label}: {job.outcome.message} (fail_fast=true: the jobs after it were not started)"
            )

    def stopped(self, job: Job, outcome: Outcome | None) -> None:
        """Keep how it went; one that did not end in time was killed."""
        job.outcome = outcome or Outcome(143, kind="Interrupted", message="ended with the sweep")

    def refresh(self) -> None:
        """Draw what runs, and end if that was asked."""
        self.console.refresh()
        self.stop.raise_if_received()

    def some_ended(self) -> None:
        """Compare what is there."""
        SweepCallback.update()


def planned_job(
    index: int, overrides: list[str], config: DictConfig, hydra_context: HydraContext
) -> tuple[DictConfig, RunPlan]:
    """A job's config with Hydra's part, and what its folder calls for.

    Raises:
        ConfigError: It cannot be run.
    """
    composed = hydra_context.config_loader.load_sweep_config(config, overrides)
    with open_dict(composed):
        composed.hydra.job.id = f"{composed.hydra.job.name}_{index}"
        composed.hydra.job.num = index
    folder = Path(str(composed.hydra.sweep.dir)) / str(OmegaConf.select(composed, "hydra.sweep.subdir"))
    return composed, planned(composed, folder.absolute())


def _job(
    index: int, overrides: list[str], config: DictConfig, hydra_context: HydraContext, compared: dict[str, str]
) -> Job:
    """Look at a job; the keys in `compared` that it has are taken from there."""
    composed, plan = planned_job(index, overrides, config, hydra_context)
    typed = {key_of(text) for text in plan.overrides}
    for key in [key for key in compared if key in typed or OmegaConf.select(composed, key) is not None]:
        del compared[key]
    job = Job(
        index,
        overrides,
        list(plan.overrides),
        pickle.dumps(composed),
        plan.folder,
        plan.fingerprint,
        job_bytes(plan.resolved),
        starts_from=plan.starts_from,
        previous=plan.decision.previous,
        row=Row.planned(plan.config, plan.overrides, chosen_options(composed.hydra.runtime.choices)),
    )
    if plan.decision.action is Action.SKIP and not plan.decision.files_changed and job.previous is not None:
        job.outcome = _result(job.previous)
    return job


def _result(record: RunRecord) -> Outcome:
    return Outcome(0, value=record.metrics.get(record.selection_metric))


def _is_busy(folder: Path) -> bool:
    if not folder.is_dir():
        return False
    try:
        with exclusive(folder):
            return False
    except RunLockedError:
        return True


def _without_a_word(job: Job, exit_code: int | None) -> Outcome:
    """How a job went whose process could not say so: its record is believed, and closed where that is open still."""
    if exit_code is None:
        message = "its process is gone, and so is the one that started it and would know why"
    elif exit_code < 0:
        message = f"killed by {signal.Signals(-exit_code).name}"
        if -exit_code == signal.SIGKILL:
            message += " (from outside, or by the system because memory ran out)"
    else:
        message = f"the process ended by itself with exit code {exit_code}"
    try:
        record = read_record(job.folder)
    except (OSError, ValueError):
        return Outcome(4, kind="ProcessDied", message=message)
    if record.finished and record != job.previous:
        return _result(record)
    if record.status is Status.RUNNING:
        record.status, record.ended_at = Status.FAILED, now()
        record.failure = Failure(kind="ProcessDied", message=message)
        from vision_baselines.report.hparams import write_row  # it imports TensorBoard's messages

        try:
            write_row(record, job.folder)
            record.write(job.folder)
        except OSError as error:  # no reason to end the other jobs
            log.error("could not note in %s how it ended: %s", job.folder, error.strerror)
    return Outcome(4, kind="ProcessDied", message=message)


class _FailedJob(JobReturn):
    """Raises what it failed of where its value is asked for, without the line that Hydra prints at every look."""

    @property  # type: ignore[misc]  # without a setter, which nothing needs
    def return_value(self) -> Any:
        """Never there."""
        raise self._return_value


def _job_return(job: Job, asked: list[str], summary: str) -> JobReturn:
    overrides = filter_overrides(asked)
    if job.outcome is not None and job.outcome.exit_code == 0:
        return JobReturn(overrides=overrides, status=JobStatus.COMPLETED, _return_value=job.outcome.value)
    return _FailedJob(overrides=overrides, status=JobStatus.FAILED, _return_value=TrainingError(summary))
