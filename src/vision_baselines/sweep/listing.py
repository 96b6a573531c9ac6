"""The jobs of a sweep as shell commands, one a line, for any scheduler, an array job or GNU parallel (``list=true``).

Each command alone leaves the record that the sweep's job would. They are started from the folder that the sweep's
command was typed in, with the same Python and the same script. What is finished is left out.
"""

from __future__ import annotations

import shlex
import sys
from collections.abc import Sequence
from pathlib import Path

from hydra._internal.utils import get_args_parser
from omegaconf import DictConfig, OmegaConf

from vision_baselines.config.of_sweeps import is_of_sweep
from vision_baselines.config.start import program
from vision_baselines.errors import ConfigError
from vision_baselines.runs.fingerprint import key_of
from vision_baselines.sweep.job import Job
from vision_baselines.sweep.planned import note_planned
from vision_baselines.text import plural

# Of the sweep as a whole, as `is_of_sweep`: a single run is not given them.
_OF_HYDRA = ("hydra.hydra_logging", "hydra.mode", "list")


def list_jobs(jobs: Sequence[Job], config: DictConfig) -> None:
    """Print a command for every job that is not finished, and note all jobs in the sweep's folder, for `status`."""
    to_run = [job for job in jobs if job.outcome is None]
    for job in to_run:
        sys.stdout.write(command_of(job, config) + "\n")
    sys.stdout.flush()
    note_planned(
        Path(str(config.hydra.sweep.dir)).absolute(), [job.folder for job in jobs], [job.words for job in jobs]
    )
    finished = len(jobs) - len(to_run)
    said = f"{len(to_run)} of {plural(len(jobs), 'job')} listed" + (f", {finished} finished" if finished else "")
    sys.stderr.write(said + "\n")


def require_known_jobs(config: DictConfig) -> None:
    """Refuse to list jobs that depend on the results of others, or that would only be previewed.

    Raises:
        ConfigError: Which option makes them.
    """
    if config.preview:
        raise ConfigError("list=true and preview=true show the jobs in two ways; expected one of them")
    if config.comparison.get("fresh_seeds"):
        raise ConfigError("list=true: comparison.fresh_seeds chooses its jobs by results; leave it out")
    if "seed=auto" in config.hydra.overrides.task or str(config.hydra.runtime.choices["hydra/sweeper"]) == "search":
        raise ConfigError("list=true: this sweeper chooses its jobs by results; list a fixed number of seeds instead")


def command_of(job: Job, config: DictConfig) -> str:
    """The command of one job, quoted for a shell."""
    composed = job.config
    words = [text for text in job.overrides if not _is_of_the_sweep(text)]
    if not any(key_of(text) == "name" for text in words):
        words.append(f"name={config.name}")  # the time, where none was typed: the sweep's
    words += [text for text in config.hydra.overrides.hydra if not _is_of_the_sweep(text)]
    if Path(str(OmegaConf.select(composed, "hydra.run.dir"))).absolute() != job.folder:
        folder = str(job.folder).replace("\\", "\\\\").replace('"', '\\"')
        words.append(f'hydra.run.dir="{folder}"')
    return shlex.join([*program(), *_options(), *words])


def _options() -> list[str]:
    known = get_args_parser().parse_args(sys.argv[1:])
    return [
        f"--{name}={value}"
        for name in ("config-dir", "config-name")
        if (value := getattr(known, name.replace("-", "_")))
    ]


def _is_of_the_sweep(text: str) -> bool:
    key = key_of(text)
    return is_of_sweep(text) or any(key == name or key.startswith(f"{name}.") for name in _OF_HYDRA)
