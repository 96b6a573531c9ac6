"""A sweep side by side: this project's launcher, and a template's jobs one after another with torch's default threads.

Both train the same two nets on the same splits for the same epochs, validate after each and test at the end, each in
a process of its own, so that imports and what a launcher starts count too.
"""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from dataclasses import dataclass

from vision_baselines.errors import TrainingError

MODELS, SEEDS = ("cnn", "fc"), (0, 1, 2)


@dataclass(frozen=True)
class SweepTimes:
    """Wall-clock seconds of the whole sweep, by either way, and how many jobs it had."""

    jobs: int
    template_s: float
    ours_s: float

    @property
    def ratio(self) -> float:
        """How many times faster ours is."""
        return self.template_s / self.ours_s


def measure_sweep(
    *, models: Sequence[str] = MODELS, seeds: Sequence[int] = SEEDS, epochs: int = 1, data: str = "mnist"
) -> SweepTimes:
    """Run the sweep both ways, one after the other.

    Args:
        models: Of ``cnn`` and ``fc``.
        seeds: One job each, for each net.
        epochs: Of each job.
        data: A choice of the config group ``data``.

    Raises:
        TrainingError: One of the two did not end well; what it said is in the message.
    """
    with tempfile.TemporaryDirectory() as folder:
        template = _seconds(
            ["-m", "benchmark.template_sweep", data, str(epochs), ",".join(models), *map(str, seeds)],
            threads=None,
        )
        ours = _seconds(
            [
                "-m",
                "vision_baselines",
                "train",
                "-m",
                "name=sweep",
                f"data={data}",
                f"model={','.join(models)}",
                f"seed={','.join(map(str, seeds))}",
                f"trainer.max_epochs={epochs}",
                f"paths.output_dir={folder}",
            ],
            threads=1,
        )
    return SweepTimes(len(models) * len(seeds), template, ours)


def _seconds(arguments: Sequence[str], *, threads: int | None) -> float:
    environment = {key: value for key, value in os.environ.items() if key != "OMP_NUM_THREADS"}
    if threads:
        environment["OMP_NUM_THREADS"] = str(threads)
    started = time.perf_counter()
    ended = subprocess.run([sys.executable, *arguments], env=environment, capture_output=True, text=True)
    seconds = time.perf_counter() - started
    if ended.returncode:
        raise TrainingError(f"{' '.join(arguments[:3])} ended with {ended.returncode}: {ended.stderr.strip()[-500:]}")
    return seconds
