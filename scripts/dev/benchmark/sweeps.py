"""A sweep side by side: this project's launcher, and a template's jobs one after another with torch's default threads.

Both train the same two nets on the same splits for the same epochs, validate after each and test at the end, each in
a process of its own, so that imports and what a launcher starts count too. The template's jobs take most of the time
and are independent of one another, so by default one seed of each net is measured and the others count as long.
The lower bound is what the jobs' own
seconds of training allow on the cores there are: no order of these jobs would have ended sooner, had a job had no
start, no test and no record. A second one has the seconds in which jobs read their data and were tested too.
"""

from __future__ import annotations

import argparse
import itertools
import os
import tempfile
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from benchmark.processes import import_path, printed
from vision_baselines.errors import TrainingError
from vision_baselines.jobs.cores import usable_cores
from vision_baselines.runs.record import Timings, find_records

MODELS, SEEDS = ("cnn", "fc"), (0, 1, 2)
_DEV = Path(__file__).resolve().parents[1]
_MOST_TRIED = 12  # jobs whose every distribution over the cores is tried


@dataclass(frozen=True)
class SweepTimes:
    """Wall-clock seconds of the whole sweep by either way, and where those of each of our jobs went."""

    data: str
    template_s: float
    template_seeds: tuple[int, int]  # measured, and counted
    ours_s: float
    jobs: dict[str, Timings]
    cores: int

    @property
    def lower_bound_s(self) -> float:
        """The least that the jobs' own training allows on these cores."""
        return lower_bound([of.fit_s for of in self.jobs.values()], self.cores)

    @property
    def whole_bound_s(self) -> float:
        """The same with what they took to read their data and to be tested."""
        return lower_bound([of.total_s for of in self.jobs.values()], self.cores)

    def plain(self) -> dict[str, Any]:
        """Everything as plain data."""
        ratios = {
            "template/ours": self.template_s / self.ours_s,
            "ours/lower bound": self.ours_s / self.lower_bound_s,
            "ours/bound with set-up and test": self.ours_s / self.whole_bound_s,
        }
        jobs = {name: {"setup_s": of.setup_s, "fit_s": of.fit_s, "test_s": of.test_s} for name, of in self.jobs.items()}
        bounds = {"lower_bound_s": self.lower_bound_s, "bound_with_set_up_and_test_s": self.whole_bound_s}
        return {**vars(self), "jobs": jobs, **bounds, "ratios": ratios}

    def lines(self) -> list[str]:
        """What is printed."""
        ours, bound, whole = self.ours_s, self.lower_bound_s, self.whole_bound_s
        return [
            f"sweep: {len(self.jobs)} jobs on {self.cores} cores, {self.data}; seconds, once each",
            f"{'the template’s way':28}{self.template_s:>10.1f}{self._assumed()}",
            f"{'ours':28}{ours:>10.1f}   {self.template_s / ours:.2f} times as fast as the template's way",
            f"{'lower bound':28}{bound:>10.1f}   ours takes {ours / bound:.2f} times as long",
            f"{'with set-up and test':28}{whole:>10.1f}   ours takes {ours / whole:.2f} times as long",
        ]

    def _assumed(self) -> str:
        measured, counted = self.template_seeds
        if measured == counted:
            return ""
        return f"   {measured} of {counted} seeds of each net measured, the others counted as long"


def lower_bound(seconds: Sequence[float], cores: int) -> float:
    """Seconds until the last of some jobs ends on `cores`, in the best distribution; of many jobs, at least that.

    >>> lower_bound([3, 3, 2, 2, 2], 2), lower_bound([5, 1], 2), lower_bound([], 2)
    (6, 5, 0.0)
    """
    if not seconds:
        return 0.0
    if len(seconds) > _MOST_TRIED or cores > 2:
        return max(max(seconds), sum(seconds) / cores)
    if cores == 1:
        return sum(seconds)
    total = sum(seconds)
    halves = (sum(itertools.compress(seconds, chosen)) for chosen in itertools.product((0, 1), repeat=len(seconds)))
    return min(max(half, total - half) for half in halves)


def measure_and_print(options: argparse.Namespace) -> dict[str, Any]:
    """Run both ways on MNIST or data like it, print the ratios, and return everything as plain data."""
    from benchmark.mnist import mnist

    with tempfile.TemporaryDirectory() as folder:
        found = mnist(Path(folder))
        times = measure_sweep(
            found.overrides, data_dir=found.root, words=found.words, template_seeds=options.template_seeds
        )
    print("\n".join(times.lines()), flush=True)
    return times.plain()


def measure_sweep(
    overrides: Sequence[str],
    *,
    models: Sequence[str] = MODELS,
    seeds: Sequence[int] = SEEDS,
    epochs: int = 1,
    data_dir: Path | None = None,
    words: str = "",
    template_seeds: int = 1,
) -> SweepTimes:
    """Run the sweep both ways, one after the other.

    Args:
        overrides: What both read their data by, such as ``data=mnist``.
        models: Of ``cnn`` and ``fc``.
        seeds: One job each, for each net.
        epochs: Of each job.
        data_dir: Where the data lies.
        words: What the data is, for the reader.
        template_seeds: How many seeds the template's way is measured with; the others count as long.

    Raises:
        TrainingError: One of the two did not end well; what it said is in the message.
    """
    environment = {} if data_dir is None else {"VISION_BASELINES_DATA_DIR": str(data_dir)}
    chosen = ",".join(models), ",".join(map(str, seeds))
    measured = list(seeds)[:template_seeds]
    template, said = _seconds(
        ["-m", "benchmark.template_sweep", str(epochs), chosen[0], ",".join(map(str, measured)), *overrides],
        threads=None,
        environment=environment,
    )
    template += float(said.split()[-1]) * (len(seeds) - len(measured)) / len(measured)
    with tempfile.TemporaryDirectory() as folder:
        command = ["name=sweep", f"model={chosen[0]}", f"seed={chosen[1]}", f"trainer.max_epochs={epochs}", *overrides]
        command += [f"paths.output_dir={folder}"]
        ours, _ = _seconds(["-m", "vision_baselines", "train", "-m", *command], threads=1, environment=environment)
        jobs = timings_of(Path(folder))
    if len(jobs) != len(models) * len(seeds):
        raise TrainingError(f"the sweep left {len(jobs)} finished runs; expected {len(models) * len(seeds)}")
    return SweepTimes(words or " ".join(overrides), template, (len(measured), len(seeds)), ours, jobs, usable_cores())


def timings_of(folder: Path) -> dict[str, Timings]:
    """Where the seconds of each finished run below a folder went, by its record."""
    return {place.name: record.timings for place, record in find_records([folder]) if record.finished}


def _seconds(
    arguments: Sequence[str], *, threads: int | None, environment: dict[str, str] | None = None
) -> tuple[float, str]:
    """Seconds of a process, and what it printed."""
    whole = {key: value for key, value in os.environ.items() if key != "OMP_NUM_THREADS"} | (environment or {})
    whole["PYTHONPATH"] = import_path(_DEV)
    if threads:
        whole["OMP_NUM_THREADS"] = str(threads)
    started = time.perf_counter()
    said = printed(arguments, env=whole)
    return time.perf_counter() - started, said
