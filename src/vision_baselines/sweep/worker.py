"""The inside of a job's process: it runs one job under Hydra and tells its parent how it went.

The module is imported once by the server that all jobs are forked from, with torch and Lightning, so a job starts in
a fraction of a second.
"""

from __future__ import annotations

import logging
import os
import pickle
import signal
import sys
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

from hydra.core.singleton import Singleton
from hydra.core.utils import JobStatus, run_job, setup_globals
from hydra.types import HydraContext, TaskFunction
from omegaconf import DictConfig, OmegaConf
from omegaconf.basecontainer import BaseContainer

import vision_baselines.training.run  # noqa: F401  # once, in the server that jobs are forked from
from vision_baselines.config.compose import register_resolvers
from vision_baselines.config.packages import find_in_start_folder
from vision_baselines.errors import VisionBaselinesError
from vision_baselines.sweep.outcome import Outcome
from vision_baselines.sweep.pool import end_with_parent, hear_sigint
from vision_baselines.training.signals import Interrupted

OUTPUT_FILE = "output.txt"


class _ToParent(logging.Handler):
    """Sends each line of progress through the pipe."""

    def __init__(self, connection: Connection) -> None:
        super().__init__(logging.INFO)
        self.connection = connection

    def emit(self, record: logging.LogRecord) -> None:
        try:
            self.connection.send(record.getMessage())
        except OSError:
            logging.getLogger("vision_baselines.progress").removeHandler(self)  # nobody listens any more


def run(
    connection: Connection,
    pickled_config: bytes,
    hydra_context: HydraContext,
    task_function: TaskFunction,
    singletons: dict[Any, Any],
) -> None:
    """Run the job that the config describes, and send its `Outcome`."""
    if hasattr(os, "setsid"):
        os.setsid()  # the terminal's Ctrl-C goes to the parent alone, which asks its jobs to end
    signal.signal(signal.SIGTERM, signal.SIG_DFL)
    end_with_parent()
    register_resolvers()
    config: DictConfig = pickle.loads(pickled_config)
    trusted = [str(name) for name in config.get("trusted_packages") or ()]  # the command line's: files cannot set it
    find_in_start_folder(trusted, Path(config.hydra.runtime.cwd))
    setup_globals()
    # Resolvers are closures, which cannot be sent: this process has registered its own.
    Singleton.set_state({"instances": singletons, "omegaconf_resolvers": BaseContainer._resolvers})
    folder = Path(str(config.hydra.sweep.dir)) / str(OmegaConf.select(config, "hydra.sweep.subdir"))
    _redirect_output(folder)
    hear_sigint()
    connection.send(_outcome(config, hydra_context, _reporting(task_function, connection)))
    connection.close()
    sys.stdout.flush()


def _reporting(task_function: TaskFunction, connection: Connection) -> TaskFunction:
    """The task, with its progress sent to the parent: attached inside, after Hydra has set up all handlers anew."""

    def task(config: DictConfig) -> Any:
        progress = logging.getLogger("vision_baselines.progress")
        progress.setLevel(logging.INFO)
        progress.addHandler(_ToParent(connection))
        return task_function(config)

    return task


def _outcome(config: DictConfig, hydra_context: HydraContext, task_function: TaskFunction) -> Outcome:
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
    if result.status is JobStatus.COMPLETED:
        value = result._return_value
        return Outcome(0, value=value if isinstance(value, float | int) else None)
    error = result._return_value
    code = error.exit_code if isinstance(error, VisionBaselinesError) else 4
    kind = type(error).__name__
    return Outcome(code, kind=kind, message="; ".join(str(error).split("\n")) or kind)


def _redirect_output(folder: Path) -> None:
    """What is printed, by C code too, goes to a file of the job's own; a crash leaves its last words there."""
    folder.mkdir(parents=True, exist_ok=True)
    descriptor = os.open(folder / OUTPUT_FILE, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o644)
    os.dup2(descriptor, 1)
    os.dup2(descriptor, 2)
    os.close(descriptor)
