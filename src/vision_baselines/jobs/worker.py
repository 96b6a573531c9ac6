"""The inside of a job's process: it runs one job under Hydra and tells the process that started it how it went.

The module is imported once by the server that all jobs are forked from, so a job starts in a fraction of a second.
"""

from __future__ import annotations

import contextlib
import functools
import logging
import os
import signal
import sys
import time
import traceback
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

import cloudpickle
from hydra.core.singleton import Singleton
from hydra.core.utils import JobReturn, JobStatus, run_job, setup_globals
from hydra.types import HydraContext, TaskFunction
from omegaconf import DictConfig
from omegaconf.basecontainer import BaseContainer

from vision_baselines.errors import StorageError, VisionBaselinesError
from vision_baselines.jobs.job import Packed, unpacked
from vision_baselines.jobs.outcome import Outcome
from vision_baselines.jobs.pool import end_with_parent, hear_sigint
from vision_baselines.jobs.portable import unpacked_task
from vision_baselines.jobs.signals import Interrupted, handled
from vision_baselines.jobs.surface import JobSurface
from vision_baselines.jobs.surroundings import Surroundings
from vision_baselines.jobs.together import Together

# neither through a link to a file elsewhere nor into a pipe that nobody reads
_APPEND = os.O_WRONLY | os.O_CREAT | os.O_APPEND | getattr(os, "O_NOFOLLOW", 0) | getattr(os, "O_NONBLOCK", 0)


class _ToParent(logging.Handler):
    """Sends each line of progress through the pipe; with the job's number where a process has several."""

    def __init__(self, connection: Connection, logger: logging.Logger, number: int | None = None) -> None:
        super().__init__(logging.INFO)
        self.connection, self.logger, self.number = connection, logger, number

    def emit(self, record: logging.LogRecord) -> None:
        line = record.getMessage()
        try:
            self.connection.send(line if self.number is None else (self.number, line))
        except OSError:
            self.logger.removeHandler(self)  # nobody listens any more


def run(
    connection: Connection,
    packed_config: bytes | Packed,
    folder: str,
    environment: Mapping[str, str],
    surroundings: Surroundings,
) -> None:
    """Run the job that the config describes, and send its `Outcome`."""
    _begin(environment, surroundings)

    def around(task: TaskFunction) -> TaskFunction:
        if surroundings.progress_logger is not None:
            task = _reporting(task, connection, surroundings.progress_logger)
        hear_sigint()
        return task

    _send(connection, outcome_of(packed_config, folder, surroundings, around=around))
    connection.close()
    sys.stdout.flush()


def run_together(
    connection: Connection,
    packed_configs: Sequence[bytes | Packed],
    folders: Sequence[str],
    environment: Mapping[str, str],
    surroundings: Surroundings,
) -> None:
    """Run several jobs in this process, which meet to be computed at once; see `together`.

    What is sent has the job's number before it: its lines of progress and its `Outcome`.
    """
    _begin(environment, surroundings)
    configs = [unpacked(packed) for packed in packed_configs]
    if surroundings.prepare is not None:
        for config in configs:
            surroundings.prepare(config)
    hydra_context, task_function = _taken_up(surroundings)
    name, group = surroundings.progress_logger, Together()

    def job(number: int, config: DictConfig) -> Outcome:
        task = task_function if name is None else _reporting(task_function, connection, name, number)
        if surroundings.output is not None:
            try:
                _redirect_output(Path(folders[number]), surroundings.output)
            except OSError as error:
                return _no_output(folders[number], surroundings.output, error)
        return _outcome(config, hydra_context, task, writes_traceback=surroundings.writes_traceback)

    surfaces = [JobSurface(*([] if name is None else [name])) for _ in configs]
    for signum in handled():
        signal.signal(signum, lambda received, frame: group.interrupt(received, time.monotonic()))
    hear_sigint()
    jobs = [functools.partial(job, number, config) for number, config in enumerate(configs)]

    def ended(number: int, outcome: Outcome | None) -> None:
        if outcome is not None:  # of one that could not begin nothing is known here
            _send(connection, (number, outcome))

    outcomes = group.run(jobs, surfaces, ended)
    _send(connection, Outcome(0, value=outcomes))
    connection.close()
    sys.stdout.flush()


def _send(connection: Connection, message: object) -> None:
    """Tell the sweep's process, if it is there: one that was killed learns from the run's folder how its job went."""
    with contextlib.suppress(OSError):
        connection.send(message)


def _begin(environment: Mapping[str, str], surroundings: Surroundings) -> None:
    if hasattr(os, "setsid"):
        os.setsid()  # the terminal's Ctrl-C goes to the parent alone, which asks its jobs to end
    signal.signal(signal.SIGTERM, signal.SIG_DFL)
    end_with_parent()
    surroundings.take_environment(environment)


def outcome_of(
    packed_config: bytes | Packed,
    folder: str,
    surroundings: Surroundings,
    *,
    around: Callable[[TaskFunction], TaskFunction] = lambda task: task,
) -> Outcome:
    """Run the job that the config describes in this process, which is its own.

    Args:
        packed_config: See `job.packed`.
        folder: Where the job writes.
        surroundings: The same for all jobs of a sweep.
        around: Called with the task just before it runs; what it returns is run.
    """
    if surroundings.output is not None:
        try:
            _redirect_output(Path(folder), surroundings.output)
        except OSError as error:
            return _no_output(folder, surroundings.output, error)
    config = unpacked(packed_config)
    if surroundings.prepare is not None:
        surroundings.prepare(config)
    hydra_context, task_function = _taken_up(surroundings)
    return _outcome(config, hydra_context, around(task_function), writes_traceback=surroundings.writes_traceback)


def _no_output(folder: str, name: str, error: OSError) -> Outcome:
    said = f"what it prints cannot be written to {Path(folder, name)}: {error.strerror}"
    return Outcome(StorageError.exit_code, kind="StorageError", message=said)


def _taken_up(surroundings: Surroundings) -> tuple[HydraContext, TaskFunction]:
    """Hydra's part of the process that started this one."""
    setup_globals()
    hydra_context, task_function, singletons, resolvers = unpacked_task(surroundings.task)
    # those that this process has registered itself stay
    Singleton.set_state({"instances": singletons, "omegaconf_resolvers": {**resolvers, **BaseContainer._resolvers}})
    return hydra_context, task_function


def _reporting(
    task_function: TaskFunction, connection: Connection, name: str, number: int | None = None
) -> TaskFunction:
    """The task, with its progress sent to the parent: attached inside, after Hydra has set up all handlers anew."""

    def task(config: DictConfig) -> Any:
        progress = logging.getLogger(name)
        progress.setLevel(logging.INFO)
        progress.addHandler(_ToParent(connection, progress, number))
        return task_function(config)

    return task


def _outcome(
    config: DictConfig, hydra_context: HydraContext, task_function: TaskFunction, *, writes_traceback: bool
) -> Outcome:
    try:
        result = run_job(
            hydra_context=hydra_context,
            task_function=task_function,
            config=config,
            job_dir_key="hydra.sweep.dir",
            job_subdir_key="hydra.sweep.subdir",
        )
    except Interrupted as interrupted:
        return Outcome(interrupted.exit_code, kind="Interrupted", message=str(interrupted))
    except KeyboardInterrupt as ended:  # of an application that does not listen to signals itself
        _write_traceback(ended)
        return Outcome(128 + signal.SIGINT, kind="Interrupted", message="ended by SIGINT")
    if result.status is JobStatus.COMPLETED:
        return _completed(result)
    error = result._return_value
    if writes_traceback:
        _write_traceback(error)
    code = error.exit_code if isinstance(error, VisionBaselinesError) else 4
    kind = type(error).__name__
    message = "; ".join(_text(error).split("\n"))
    if writes_traceback and not isinstance(error, VisionBaselinesError):
        message = f"{kind}: {message}" if message else kind
    return Outcome(code, kind=kind, message=message or kind)


def _write_traceback(error: BaseException) -> None:
    with contextlib.suppress(OSError, ValueError):  # it may have closed its output
        traceback.print_exception(error)
        sys.stderr.flush()


def _text(error: BaseException) -> str:
    try:
        return str(error)
    except Exception as own:  # of the error's class
        return f"its text cannot be made: {type(own).__name__}"


def _completed(result: JobReturn) -> Outcome:
    value = result._return_value
    outcome = Outcome(0, working_dir=result.working_dir or "", task_name=result.task_name or "")
    if value is None or type(value) in (bool, int, float, str):
        return replace(outcome, value=value)
    try:
        return replace(outcome, pickled_value=cloudpickle.dumps(value))
    except Exception as error:  # whatever a class's own methods raise
        note = f"it returned a {type(value).__name__}, which cannot be sent between processes: {error}"
        return replace(outcome, note=note)


def _redirect_output(folder: Path, name: str) -> None:
    """What is printed, by C code too, goes to a file of the job's own; a crash leaves its last words there."""
    folder.mkdir(parents=True, exist_ok=True)
    descriptor = os.open(folder / name, _APPEND, 0o644)
    os.dup2(descriptor, 1)
    os.dup2(descriptor, 2)
    os.close(descriptor)
