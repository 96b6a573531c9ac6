"""The processes of one run as torch and Lightning see them: which of them this one is, and how they find each other.

They are on one machine and find each other by a file. Gloo and NCCL open sockets all the same; these are bound to the
loopback interface, so that nothing outside the machine can reach them. `training.processes` starts the processes.
"""

from __future__ import annotations

import os
import platform
import re
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from datetime import timedelta
from pathlib import Path
from typing import Any

from lightning_fabric.plugins.environments.cluster_environment import ClusterEnvironment
from pytorch_lightning.strategies import DDPStrategy
from torch import distributed as dist

_FIND_EACH_OTHER_S = 120
# What a process may take between two steps, such as pictures that the first one draws, before the others give up.
_PATIENCE = timedelta(minutes=30)
_LOOPBACK = "lo0" if platform.system() == "Darwin" else "lo"
_LOST = re.compile(r"gloo|nccl|connection (closed|reset|refused)|broken pipe", re.IGNORECASE)
_INTERFACES = ("GLOO_SOCKET_IFNAME", "NCCL_SOCKET_IFNAME")


class OneMachine(ClusterEnvironment):
    """Process `rank` of `count` on this machine, started by this project."""

    def __init__(self, rank: int, count: int) -> None:
        super().__init__()
        self._rank, self._count = rank, count

    @property
    def creates_processes_externally(self) -> bool:
        """True: Lightning is to start none."""
        return True

    @property
    def main_address(self) -> str:
        """Not asked for: the processes find each other by a file."""
        return "127.0.0.1"

    @property
    def main_port(self) -> int:
        """Not asked for either."""
        return 0

    @staticmethod
    def detect() -> bool:
        """Never chosen by Lightning itself."""
        return False

    def world_size(self) -> int:
        """The number of processes."""
        return self._count

    def set_world_size(self, size: int) -> None:
        """Known already."""

    def global_rank(self) -> int:
        """From 0."""
        return self._rank

    def set_global_rank(self, rank: int) -> None:
        """Known already."""

    def local_rank(self) -> int:
        """The same, on one machine."""
        return self._rank

    def node_rank(self) -> int:
        """The only machine."""
        return 0


class StartedHere(DDPStrategy):
    """Lightning's DDP among processes that run already.

    Lightning's own launcher runs the command line again in each process, which in a sweep is the whole sweep's, and
    refuses notebooks.

    Args:
        rank: Of this process, from 0.
        count: Of processes.
        some_unused: Whether a step may leave parameters out. Then torch also keeps gradients in the places that they
            have in the first step. It would move them after it; more than two numbers would be summed in another order,
            and a resumed run, which has a first step of its own, would round otherwise than an uninterrupted one.
    """

    def __init__(self, rank: int, count: int, *, some_unused: bool = False) -> None:
        super().__init__(
            cluster_environment=OneMachine(rank, count),
            timeout=_PATIENCE,
            find_unused_parameters=some_unused or count > 2,
        )

    def _configure_launcher(self) -> None:
        """None: this process is one of several."""


def strategy(trainer: Mapping[str, Any], rank: int) -> StartedHere | None:
    """How Lightning trains in process `rank`, by the config's `trainer`; None where the run has one process."""
    count = int(trainer.get("devices") or 1)
    some_unused = trainer.get("strategy") == "ddp_find_unused_parameters_true"
    return StartedHere(rank, count, some_unused=some_unused) if count > 1 else None


def is_lost(error: BaseException) -> bool:
    """Whether torch says that another process is gone, which is the consequence of something and never its cause."""
    return isinstance(error, RuntimeError) and _LOST.search(str(error)) is not None


@contextmanager
def joined(store: Path, rank: int, count: int, *, cuda: bool) -> Iterator[None]:
    """Be one of the processes that meet at the file `store`.

    Args:
        store: A file on a local disk that is not there yet, the same for all.
        rank: Of this process, from 0.
        count: Of processes.
        cuda: Whether tensors on CUDA devices are exchanged too.
    """
    before = {name: os.environ.get(name) for name in _INTERFACES}
    os.environ.update(dict.fromkeys(_INTERFACES, _LOOPBACK))
    try:
        file = dist.FileStore(str(store), count)  # type: ignore[attr-defined]
        file.set_timeout(timedelta(seconds=_FIND_EACH_OTHER_S))
        backend = "cpu:gloo,cuda:nccl" if cuda else "gloo"
        dist.init_process_group(backend, store=file, rank=rank, world_size=count, timeout=_PATIENCE)
        yield
    finally:
        if dist.is_initialized():
            dist.destroy_process_group()
        for name, value in before.items():
            if value is None:
                os.environ.pop(name, None)
            else:
                os.environ[name] = value
