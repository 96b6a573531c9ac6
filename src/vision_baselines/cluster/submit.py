"""Jobs are handed to a scheduler: to Slurm as an array, or for trying out to processes of this machine."""

from __future__ import annotations

import logging
import re
import secrets
import shutil
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, fields, replace
from pathlib import Path
from typing import Any

from omegaconf import OmegaConf

from vision_baselines.cluster.job import ClusterJob
from vision_baselines.cluster.note import FOLDER, Submitted, note_submitted
from vision_baselines.errors import ConfigError

_MOST_AT_ONCE = 1000  # Slurm's own default of MaxArraySize is 1001
_NAME = re.compile(r"[a-z][a-z0-9-]*")


@dataclass(frozen=True)
class Wishes:
    """What is asked of the scheduler for each job; see conf/hydra/launcher/slurm.yaml."""

    executor: str = "slurm"
    name: str = "job"
    partition: str | None = None
    account: str | None = None
    qos: str | None = None
    constraint: str | None = None
    time_min: int = 60
    cpus: int = 1
    gpus: int = 0
    mem_gb: float | None = None
    array_parallelism: int = 256
    signal_delay_s: int = 90
    setup: Sequence[str] = ()
    parameters: dict[str, Any] = field(default_factory=dict)
    max_requeues: int = 20

    def check(self) -> None:
        """Refuse what the scheduler would misunderstand.

        Raises:
            ConfigError: The key, what it is and what was expected.
        """
        if self.executor not in ("slurm", "local"):
            raise ConfigError(f"hydra.launcher.executor is {self.executor!r}; expected slurm or local")
        for key, least in (
            ("time_min", 1), ("cpus", 1), ("gpus", 0), ("array_parallelism", 1), ("signal_delay_s", 1),
            ("max_requeues", 0),
        ):  # fmt: skip
            value = getattr(self, key)
            if type(value) is not int or value < least:
                raise ConfigError(f"hydra.launcher.{key} is {value!r}; expected a whole number of at least {least}")
        if self.mem_gb is not None and not (type(self.mem_gb) in (int, float) and self.mem_gb > 0):
            raise ConfigError(f"hydra.launcher.mem_gb is {self.mem_gb!r}; expected gigabytes above 0, or null")
        for key, value in {
            "name": self.name, "partition": self.partition, "account": self.account, "qos": self.qos,
            "constraint": self.constraint, **{f"parameters.{k}": v for k, v in self.parameters.items()},
        }.items():  # fmt: skip
            if value is not None and any(ord(character) < 32 for character in str(value)):
                raise ConfigError(f"hydra.launcher.{key} is {value!r}; expected text of one line")
        for name in self.parameters:
            if not _NAME.fullmatch(str(name)) or name in ("comment", "signal", "array", "output", "error", "wrap"):
                raise ConfigError(
                    f"hydra.launcher.parameters has {name!r}; expected a long option of sbatch without --, such as "
                    "reservation, and none that the launcher sets itself"
                )
        if not all(isinstance(line, str) for line in self.setup):
            raise ConfigError(f"hydra.launcher.setup is {list(self.setup)!r}; expected lines of shell commands")
        if self.signal_delay_s >= 60 * self.time_min:
            raise ConfigError(
                f"hydra.launcher.signal_delay_s is {self.signal_delay_s}, and time_min {self.time_min}: a job would be "
                "asked to save before it has begun; expected fewer seconds than the job has"
            )
        if self.executor == "slurm" and not (shutil.which("sbatch") and shutil.which("srun")):
            raise ConfigError(
                "hydra/launcher=slurm needs sbatch and srun, which are not on the path; start it on a cluster's login "
                "node, or try it on this machine with hydra/launcher=slurm_local"
            )
        _submitit()


def wishes_of(options: Mapping[str, Any]) -> Wishes:
    """The wishes that a config names, checked.

    Raises:
        ConfigError: An option does not exist, or cannot be.
    """
    known = {one.name for one in fields(Wishes)}
    for key in options:
        if key not in known:
            raise ConfigError(f"hydra.launcher has no option {key}; there are {', '.join(sorted(known))}")
    plain = {key: _plain(value) for key, value in options.items()}
    parameters, setup = plain.get("parameters"), plain.get("setup")
    if not isinstance(parameters, dict | None) or not isinstance(setup, list | tuple | None):
        raise ConfigError("hydra.launcher.parameters is a mapping, and setup a list; expected {} and [] or more")
    wishes = Wishes(**{key: value for key, value in plain.items() if value is not None})
    wishes.check()
    return wishes


def _plain(value: Any) -> Any:
    return OmegaConf.to_container(value, resolve=True) if OmegaConf.is_config(value) else value


def _submitit() -> Any:
    try:
        import submitit
    except ImportError as error:
        raise ConfigError("hydra/launcher=slurm needs submitit: pip install 'vision-baselines[slurm]'") from error
    logging.getLogger("submitit").setLevel(logging.ERROR)
    return submitit


class Submitter:
    """Submits jobs of one sweep.

    Args:
        sweep: The sweep's folder.
        wishes: What is asked for each job.
    """

    def __init__(self, sweep: Path, wishes: Wishes) -> None:
        self.sweep, self.wishes = sweep, wishes
        self.place = sweep / FOLDER
        self._kept: list[Any] = []  # processes of this machine, which would be left as zombies

    def submit(
        self, jobs: Sequence[str], make: Callable[[int, str, int], ClusterJob], *, after: Sequence[Submitted] = ()
    ) -> list[Submitted]:
        """Submit jobs, and note them before and after.

        Args:
            jobs: Paths of their folders below the sweep's.
            make: What runs a job, of its place in `jobs`, the token of its submission and its number there.
            after: Jobs that have to end before these start.

        Raises:
            ConfigError: The scheduler refuses them, with its words.
        """
        found: list[Submitted] = []
        step = _MOST_AT_ONCE if self.wishes.executor == "slurm" else 1
        for start in range(0, len(jobs), step):
            chunk = range(start, min(start + step, len(jobs)))
            found += self._batch([(jobs[position], position) for position in chunk], make, after)
        return found

    def _batch(
        self, jobs: Sequence[tuple[str, int]], make: Callable[[int, str, int], ClusterJob], after: Sequence[Submitted]
    ) -> list[Submitted]:
        submitit, token = _submitit(), secrets.token_hex(8)
        rows = [Submitted(job, token, k, len(jobs), "", self.wishes.executor) for k, (job, _) in enumerate(jobs)]
        self.place.mkdir(parents=True, exist_ok=True)
        executor = self._executor(submitit, token, after)
        note_submitted(self.sweep, rows)
        calls = [make(position, token, index) for index, (_, position) in enumerate(jobs)]
        try:
            if len(calls) == 1:
                made = [executor.submit(calls[0])]
            else:
                with executor.batch():
                    made = [executor.submit(call) for call in calls]
        except (submitit.core.utils.FailedJobError, submitit.core.utils.FailedSubmissionError) as error:
            raise ConfigError(f"sbatch refused the jobs: {' '.join(str(error).split())}") from error
        rows = [replace(row, id=str(one.job_id)) for row, one in zip(rows, made, strict=True)]
        note_submitted(self.sweep, rows)
        if self.wishes.executor == "local":
            self._kept += made
        return rows

    def _executor(self, submitit: Any, token: str, after: Sequence[Submitted]) -> Any:
        wishes = self.wishes
        if wishes.executor == "local":
            executor = submitit.LocalExecutor(folder=self.place / token)
            executor.update_parameters(
                timeout_min=wishes.time_min, gpus_per_node=wishes.gpus, signal_delay_s=wishes.signal_delay_s,
                setup=list(wishes.setup),
            )  # fmt: skip
            return executor
        executor = submitit.SlurmExecutor(folder=self.place / token)
        known = {
            "partition": wishes.partition, "account": wishes.account, "qos": wishes.qos,
            "constraint": wishes.constraint, "mem": f"{int(wishes.mem_gb * 1024)}MB" if wishes.mem_gb else None,
            "gpus_per_node": wishes.gpus or None, "setup": list(wishes.setup) or None,
            "dependency": ":".join(["afterany", *dict.fromkeys(one.id for one in after)]) if after else None,
        }  # fmt: skip
        executor.update_parameters(
            **{key: value for key, value in known.items() if value is not None},
            job_name=wishes.name,
            time=wishes.time_min,
            cpus_per_task=wishes.cpus,
            ntasks_per_node=1,
            nodes=1,
            array_parallelism=wishes.array_parallelism,
            signal_delay_s=wishes.signal_delay_s,
            comment=token,
            additional_parameters={"requeue": True, **wishes.parameters},
        )
        return executor
