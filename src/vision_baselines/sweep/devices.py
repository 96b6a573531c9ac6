"""Which of a machine's CUDA devices each job of a sweep gets: its own, or a share of one.

A job sees its devices alone (CUDA_VISIBLE_DEVICES in its process, before CUDA is initialised there), as the first ones.
Nothing is handed back: a device is free when no job that has it still runs.
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping
from typing import Protocol

from vision_baselines.errors import ConfigError

VARIABLE = "CUDA_VISIBLE_DEVICES"


class HasDevices(Protocol):
    """A job, the devices that it was given, and how many processes it trains in."""

    devices: tuple[str, ...]
    processes: int
    on_cuda: bool


def visible_devices(environment: Mapping[str, str] = os.environ) -> list[str]:
    """The CUDA devices that this process may use, as CUDA_VISIBLE_DEVICES names them; none where there is no CUDA."""
    import torch  # takes seconds, and is needed on a machine with such devices only

    there = torch.cuda.device_count()
    named = [name.strip() for name in environment.get(VARIABLE, "").split(",") if name.strip()]
    return named[:there] if named else [str(index) for index in range(there)]


class Devices:
    """Hands devices to jobs.

    Args:
        names: Of the devices.
        per_job: Devices that a job gets, a whole number; or the part of one, such as 0.5, that it gets.

    Raises:
        ConfigError: It is neither.
    """

    def __init__(self, names: Iterable[str], per_job: float = 1) -> None:
        if per_job > 1 and per_job != int(per_job):
            raise ConfigError(
                f"gpus_per_job is {per_job}; expected a whole number, or a part of one device such as 0.5"
            )
        self.names = list(names)
        self.per_job = per_job

    def needed(self, job: HasDevices) -> int:
        """Devices that a job gets; at least one for each of its processes."""
        return max(int(self.per_job), job.processes, 1)

    def require(self, job: HasDevices) -> None:
        """Refuse a job that could never start.

        Raises:
            ConfigError: It needs more devices than there are.
        """
        if job.on_cuda and self.names and self.needed(job) > len(self.names):
            key, value = "trainer.devices", job.processes
            if self.needed(job) > job.processes:
                key, value = "gpus_per_job", int(self.per_job)
            raise ConfigError(f"{key} is {value}; expected at most {len(self.names)}, as many as are visible here")

    def free(self, job: HasDevices, running: Iterable[HasDevices]) -> tuple[str, ...] | None:
        """Devices for a job beside the `running` ones; None where it must wait, none where it needs none."""
        if not (job.on_cuda and self.names):
            return ()
        used = dict.fromkeys(self.names, 0.0)
        for other in running:
            for name in other.devices:
                used[name] += self._share(other)
        room = [name for name in self.names if used[name] + self._share(job) <= 1 + 1e-9]
        room.sort(key=lambda name: used[name])  # the emptiest first
        return tuple(room[: self.needed(job)]) if len(room) >= self.needed(job) else None

    def _share(self, job: HasDevices) -> float:
        """The part of each of its devices that a job takes."""
        return min(1.0, self.per_job) if self.needed(job) == 1 else 1.0
