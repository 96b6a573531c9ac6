"""One attempt at a run, in a process of its own that may be killed at any moment.

The process is forked from this one, which has imported torch, so an attempt costs about as long as it trains.
Rejected: a new interpreter for each, which spends five seconds on imports for one of training.
"""

from __future__ import annotations

import os
import select
import signal
import sys
import time
import traceback
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from omegaconf import DictConfig

from vision_baselines.training.run import train


def output_file(folder: Path) -> Path:
    """Where the attempts at the run in `folder` write: beside it, for a folder with files of others is refused."""
    return folder.with_name(f"{folder.name}.txt")


@dataclass(frozen=True)
class Attempt:
    """How an attempt ended: its exit code, negative for a signal, and what it took in seconds."""

    exit_code: int
    wall_s: float

    @property
    def killed(self) -> bool:
        """Whether it was killed before it was done."""
        return self.exit_code == -signal.SIGKILL


def attempt(
    cfg: DictConfig, *, kill_after_s: float | None = None, before: Callable[[], None] = lambda: None
) -> Attempt:
    """Train `cfg` in a forked process, which continues where an earlier attempt was killed.

    Args:
        cfg: From `composed`.
        kill_after_s: When it gets SIGKILL, unless it is done by then; none leaves it alone.
        before: Called in the process before it trains.
    """
    sys.stdout.flush()
    started = time.monotonic()
    child = os.fork()
    if child == 0:
        _inside(cfg, before)
    descriptor = os.pidfd_open(child)
    try:
        left = None if kill_after_s is None else max(0.0, started + kill_after_s - time.monotonic())
        ended, _, _ = select.select([descriptor], [], [], left)
        if not ended:
            os.kill(child, signal.SIGKILL)
        _, status = os.waitpid(child, 0)
    finally:
        os.close(descriptor)
    return Attempt(os.waitstatus_to_exitcode(status), time.monotonic() - started)


def _inside(cfg: DictConfig, before: Callable[[], None]) -> None:
    code = 1
    try:
        path = output_file(Path(cfg.paths.run_dir))
        path.parent.mkdir(parents=True, exist_ok=True)
        output = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o644)
        os.dup2(output, 1)
        os.dup2(output, 2)
        before()
        train(cfg)
        code = 0
    except BaseException as error:
        traceback.print_exc()
        code = getattr(error, "exit_code", 1)
    finally:
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(code)  # nothing of this process's own may run: it is a copy
