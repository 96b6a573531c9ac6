"""One process per job, several at a time: what happens to one job happens to that job alone.

Jobs are forked from a server that has imported torch and Lightning once. A job that raises, is killed, runs out of
memory or calls `sys.exit` is one failed job with its reason in its record. Rejected: Hydra's basic launcher, where all
jobs share a process; joblib's, where one killed worker ends the sweep; a fork of this process, which must not have
threads or a GPU in use and cannot promise that.
"""

from __future__ import annotations

import functools
import logging
import multiprocessing
import os
import signal
import sys
import time
from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass, field
from multiprocessing import forkserver
from multiprocessing.connection import Connection, wait
from multiprocessing.process import BaseProcess
from pathlib import Path
from typing import Any

from hydra.core.singleton import Singleton
from hydra.core.utils import JobReturn, JobStatus, configure_log, filter_overrides
from hydra.types import HydraContext, TaskFunction
from omegaconf import DictConfig, open_dict

from vision_baselines.config.checks import checked_config
from vision_baselines.config.data_facts import data_listing
from vision_baselines.errors import ConfigError, TrainingError
from vision_baselines.runs.fingerprint import fingerprint, job_name
from vision_baselines.runs.init_source import source_path
from vision_baselines.runs.record import Failure, Status, now, read_record
from vision_baselines.runs.resumption import Action, Decision, decide
from vision_baselines.storage.lock import RunLockedError, exclusive
from vision_baselines.sweep.callback import SweepCallback
from vision_baselines.sweep.console import SweepConsole
from vision_baselines.sweep.distinct import first_of_each
from vision_baselines.sweep.outcome import Outcome
from vision_baselines.sweep.worker_entry import run
from vision_baselines.training.signals import StopSignals

log = logging.getLogger(__name__)

_POLL_S = 0.2
_GRACE_S = 30.0
_SHOWN_FAILURES = 5
_SERVER_IMPORTS = ["vision_baselines.sweep.worker"]


@dataclass(eq=False)
class Job:
    """One job: what to run, and once it runs, its process and the pipe it talks through."""

    index: int
    overrides: list[str]
    config: DictConfig
    folder: Path
    fingerprint: str
    starts_from: Path | None = None
    process: BaseProcess | None = None
    connection: Connection | None = None
    started: float = 0.0
    outcome: Outcome | None = field(default=None)

    @property
    def name(self) -> str:
        """The name of its folder."""
        return self.folder.name


def launch(
    job_overrides: Sequence[Sequence[str]],
    initial_job_idx: int,
    *,
    config: DictConfig,
    hydra_context: HydraContext,
    task_function: TaskFunction,
    n_jobs: int | None,
    fail_fast: bool,
) -> list[JobReturn]:
    """Run every job that is not finished yet; one `JobReturn` each, in the order given.

    Every job's config is looked at before the first one starts.

    Raises:
        ConfigError: A job's config cannot be run, or its folder holds a run of another config; nothing was started.
        Interrupted: SIGINT or SIGTERM; jobs that ran were given the time to save.
    """
    configure_log(config.hydra.hydra_logging, config.hydra.verbose)
    jobs: list[Job] = []
    for offset, overrides in enumerate(job_overrides):
        jobs.append(_job(initial_job_idx + offset, list(overrides), config, hydra_context))
        if jobs[-1].outcome is None and not config.preview:
            _context()  # its server imports while the other jobs are looked at
    asked, jobs = jobs, _without_repeats(jobs)
    _require_a_beginning(jobs)
    if config.preview:
        from vision_baselines.sweep.preview import show

        show([job.config for job in jobs], [job.folder for job in jobs])
        return [JobReturn(overrides=job.overrides, status=JobStatus.COMPLETED) for job in asked]
    slots = n_jobs or _cores()
    to_run = [job for job in jobs if job.outcome is None]
    with StopSignals() as stop, SweepConsole(total=len(to_run), slots=slots) as console:
        stop.deferring = True
        if skipped := len(jobs) - len(to_run):
            console.note(f"{skipped} of {len(jobs)} jobs are finished already")
        _Pool(to_run, slots, hydra_context, task_function, console, stop, fail_fast=fail_fast).run()
    _raise_failures(jobs)
    by_fingerprint = {job.fingerprint: job for job in jobs}
    return [_job_return(by_fingerprint[job.fingerprint], job.overrides) for job in asked]


class _Pool:
    """The jobs that wait, the jobs that run, and what passes between them and the console."""

    def __init__(
        self,
        jobs: Sequence[Job],
        slots: int,
        hydra_context: HydraContext,
        task_function: TaskFunction,
        console: SweepConsole,
        stop: StopSignals,
        *,
        fail_fast: bool,
    ) -> None:
        self.waiting = deque(jobs)
        self.running: list[Job] = []
        self.slots = slots
        self.hydra_context = hydra_context
        self.task_function = task_function
        self.console = console
        self.stop = stop
        self.fail_fast = fail_fast
        self.context = _context()

    def run(self) -> None:
        """Until nothing waits or runs, or somebody asks for the end."""
        try:
            while self.waiting or self.running:
                self.stop.raise_if_received()
                self._fill_slots()
                if self._listen():
                    self._fill_slots()  # a comparison takes a second or two, in which the next job can run
                    SweepCallback.update()
        except BaseException:
            self._end_all()
            raise

    def _fill_slots(self) -> None:
        for _ in range(len(self.waiting)):
            if len(self.running) >= self.slots:
                return
            job = self.waiting.popleft()
            if self._waits_for_another(job) or _is_busy(job.folder):
                self.waiting.append(job)  # its first weights are still trained, or another sweep trains it
                continue
            self._start(job)

    def _waits_for_another(self, job: Job) -> bool:
        """Whether the job whose weights this one starts from is still to end."""
        if job.starts_from is None:
            return False
        sources = {job.starts_from, *job.starts_from.parents}  # a checkpoint lies inside its run's folder
        return any(other.folder in sources for other in [*self.waiting, *self.running])

    def _start(self, job: Job) -> None:
        job.connection, theirs = self.context.Pipe(duplex=False)
        arguments = (theirs, job.config, self.hydra_context, self.task_function, Singleton.get_state()["instances"])
        job.process = self.context.Process(target=run, args=arguments, name=job.name, daemon=True)
        job.started = time.monotonic()
        job.process.start()
        theirs.close()
        self.running.append(job)
        self.console.started(job.name)

    def _listen(self) -> bool:
        """Wait for news from a job; whether one has ended."""
        before = len(self.running)
        sources: list[Any] = []
        for job in self.running:
            assert job.process is not None
            sources += [job.connection, job.process.sentinel]
        if not sources:
            time.sleep(_POLL_S)  # every job that is left is trained by another sweep
        ready = wait(sources, timeout=_POLL_S)
        for job in list(self.running):
            assert job.process is not None
            if job.connection in ready or job.process.sentinel in ready:
                self._read(job)
                if job.outcome is not None or not job.process.is_alive():
                    self._ended(job)
        self.console.refresh()
        return len(self.running) < before

    def _read(self, job: Job) -> None:
        assert job.connection is not None
        try:
            while job.outcome is None and job.connection.poll():
                message = job.connection.recv()
                if isinstance(message, Outcome):
                    job.outcome = message
                else:
                    self.console.progress(job.name, str(message))
        except (EOFError, OSError):
            pass  # it died while talking

    def _ended(self, job: Job) -> None:
        assert job.process is not None
        job.process.join()
        if job.outcome is None:
            job.outcome = _died(job)
        self.running.remove(job)
        self.console.ended(job.name, job.folder, job.outcome)
        if job.outcome.exit_code and self.fail_fast:
            raise TrainingError(
                f"{job.name}: {job.outcome.message} (fail_fast=true: the jobs after it were not started)"
            )

    def _end_all(self) -> None:
        """Ask every job to save and end; end those that do not within the grace period."""
        for job in self.running:
            if job.process is not None and job.process.is_alive():
                os.kill(job.process.pid or 0, signal.SIGTERM)
        deadline = time.monotonic() + _GRACE_S
        for job in self.running:
            assert job.process is not None
            job.process.join(max(0.0, deadline - time.monotonic()))
            if job.process.is_alive():
                job.process.kill()
                job.process.join()


@functools.cache
def _context() -> Any:
    """Where processes come from: a server that has imported torch and Lightning, or a fresh interpreter each."""
    if not sys.platform.startswith("linux"):
        return multiprocessing.get_context("spawn")
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload(_SERVER_IMPORTS)
    forkserver.ensure_running()
    return context


def _job(index: int, overrides: list[str], config: DictConfig, hydra_context: HydraContext) -> Job:
    composed = hydra_context.config_loader.load_sweep_config(config, overrides)
    with open_dict(composed):
        composed.hydra.job.id = f"{composed.hydra.job.name}_{index}"
        composed.hydra.job.num = index
    task = [str(override) for override in composed.hydra.overrides.task]
    folder = (Path(str(composed.hydra.sweep.dir)) / job_name(task)).absolute()
    checked = checked_config(composed)
    decision = decide(folder, checked, rerun=composed.rerun, listing_sha256=data_listing(composed))
    skip = decision.action is Action.SKIP and not decision.files_changed
    outcome = _finished_before(decision) if skip else None
    starts_from = source_path(composed.init_from, folder, task) if composed.init_from else None
    return Job(index, overrides, composed, folder, fingerprint(checked), starts_from, outcome=outcome)


def _without_repeats(jobs: Sequence[Job]) -> list[Job]:
    """Each run once, with a word on those that were asked for again: `seed=0,0`, or `optimizer.lr=1e-3,0.001`."""
    first = first_of_each(jobs, (job.fingerprint for job in jobs))
    kept = [job for job, same in zip(jobs, first, strict=True) if job is same]
    for job, same in zip(jobs, first, strict=True):
        if job is not same:
            log.warning("job %d is the same run as job %d (%s); it runs once", job.index, same.index, same.name)
    return kept


def _require_a_beginning(jobs: Sequence[Job]) -> None:
    """Refuse jobs that start from each other, which would wait for each other for ever."""
    by_folder = {job.folder: job for job in jobs}
    for job in jobs:
        chain = [job]
        while (source := chain[-1].starts_from) in by_folder:
            if by_folder[source] in chain:
                raise ConfigError(f"init_from makes {chain[-1].name} start from {source.name}, which starts from it")
            chain.append(by_folder[source])


def _finished_before(decision: Decision) -> Outcome:
    assert decision.previous is not None
    return Outcome(0, value=decision.previous.metrics.get(decision.previous.selection_metric))


def _cores() -> int:
    """Cores this process may use, where the system says so."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def _is_busy(folder: Path) -> bool:
    if not folder.is_dir():
        return False
    try:
        with exclusive(folder):
            return False
    except RunLockedError:
        return True


def _died(job: Job) -> Outcome:
    """What a process that said nothing died of; its record, which it could not close, is closed for it."""
    code = job.process.exitcode if job.process is not None else None
    if code is not None and code < 0:
        message = f"killed by {signal.Signals(-code).name}"
        if -code == signal.SIGKILL:
            message += " (from outside, or by the system because memory ran out)"
    else:
        message = f"the process ended by itself with exit code {code}"
    try:
        record = read_record(job.folder)
    except (OSError, ValueError):
        pass
    else:
        if record.status is Status.RUNNING:
            record.status, record.ended_at = Status.FAILED, now()
            record.failure = Failure(kind="ProcessDied", message=message)
            try:
                record.write(job.folder)
            except OSError as error:  # no reason to end the other jobs
                log.error("could not note in %s how it ended: %s", job.folder, error.strerror)
    return Outcome(4, kind="ProcessDied", message=message)


def _raise_failures(jobs: Sequence[Job]) -> None:
    """Raise one error for all jobs that failed; Hydra would name the first and print a line of its own before it."""
    failed = [(job.name, job.outcome.message) for job in jobs if job.outcome is not None and job.outcome.exit_code]
    if not failed:
        return
    (name, message), *others = failed
    if not others:
        raise TrainingError(f"{name}: {message}")
    same = " (all for the same reason)" if {text for _, text in failed} == {message} else ""
    names = ", ".join(other for other, _ in others[:_SHOWN_FAILURES])
    more = f" and {len(others) - _SHOWN_FAILURES} more" if len(others) > _SHOWN_FAILURES else ""
    raise TrainingError(f"{len(failed)} of {len(jobs)} jobs failed{same}: {name}: {message}\nAlso {names}{more}")


def _job_return(job: Job, overrides: list[str]) -> JobReturn:
    result = JobReturn(overrides=filter_overrides(overrides), cfg=job.config, task_name=job.config.hydra.job.name)
    if job.outcome is not None and job.outcome.exit_code == 0:
        result.status, result.return_value = JobStatus.COMPLETED, job.outcome.value
    else:
        message = job.outcome.message if job.outcome else "not started"
        result.status, result.return_value = JobStatus.FAILED, TrainingError(f"{job.name}: {message}")
    return result
