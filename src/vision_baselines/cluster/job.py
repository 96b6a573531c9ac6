"""The inside of a job on a cluster: it runs one job under Hydra, leaves how it went, and is queued again if it must be.

SIGUSR1 and SIGUSR2 say that the job's time is up, or that it is to be preempted: the run saves, and the job asks to be
queued again. After SIGTERM it saves too and ends; whether it is queued again the scheduler then knows itself.
"""

from __future__ import annotations

import contextlib
import os
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from vision_baselines.cluster.note import write_outcome
from vision_baselines.jobs.job import Packed
from vision_baselines.jobs.outcome import Outcome
from vision_baselines.jobs.signals import PREEMPTION, Interrupted, StopSignals
from vision_baselines.jobs.surroundings import Surroundings


@dataclass(frozen=True)
class ClusterJob:
    """Called by submitit in the job's process, and again after each preemption.

    Attributes:
        packed_config: See `jobs.job.packed`.
        folder: Where the job writes.
        surroundings: The same for all jobs of a sweep.
        argv: The command that started the sweep.
        path: Where its process found modules.
        cwd: Its current folder.
        place: Where the job says how it went.
        token: Of its submission.
        index: Its number there.
        max_requeues: How often it may ask to be queued again.
    """

    packed_config: bytes | Packed
    folder: str
    surroundings: Surroundings
    argv: Sequence[str]
    path: Sequence[str]
    cwd: str
    place: str
    token: str
    index: int
    max_requeues: int

    def __call__(self) -> None:
        """Run the job."""
        try:
            with StopSignals():
                outcome = self._run()
        except Interrupted as interrupted:
            outcome = Outcome(interrupted.exit_code, kind="Interrupted", message=str(interrupted))
        if not outcome.interrupted:
            write_outcome(Path(self.place), self.token, self.index, outcome)
            return
        _say(outcome.message)
        if outcome.exit_code - 128 in PREEMPTION:
            self._queue_again()
        sys.exit(outcome.exit_code)

    def _run(self) -> Outcome:
        sys.argv = list(self.argv)
        sys.path += [place for place in self.path if place not in sys.path]
        with contextlib.suppress(OSError):
            os.chdir(self.cwd)
        from vision_baselines.jobs.worker import outcome_of

        return outcome_of(self.packed_config, self.folder, self.surroundings)

    def _queue_again(self) -> None:
        restarts = os.environ.get("SLURM_RESTART_COUNT", "0")
        if restarts.isdecimal() and int(restarts) >= self.max_requeues:
            _say(f"queued again {restarts} times already (hydra.launcher.max_requeues)")
            return
        from submitit import JobEnvironment

        JobEnvironment()._requeue(self.max_requeues)


def _say(text: str) -> None:
    """Into the job's output, which the scheduler keeps."""
    sys.stdout.write(f"{text}\n")
    sys.stdout.flush()
