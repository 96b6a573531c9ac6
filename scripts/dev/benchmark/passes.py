"""What a training step costs a run when S runs with other seeds are trained in one pass, against a run by itself.

``PYTHONPATH=scripts/dev python -m benchmark.passes [--sizes 2,4,8,16] [--rounds 3] [--device cuda] [--case NAME …]``

Whole runs are trained, with Lightning, callbacks and records, in this process; counted are the CPU seconds, on an
accelerator those on the clock, from the end of an epoch to the end of the next, for each step of each run, without
validation. Numbers of runs take turns in each round; the figure is the median of the rounds, and a ratio is of two.
"""

from __future__ import annotations

import argparse
import functools
import itertools
import json
import statistics
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import vision_baselines  # noqa: F401  # first of all: it lets torchvision be imported beside any torch

# isort: split
import pytorch_lightning as pl

from benchmark import surroundings
from benchmark.clock import now
from vision_baselines.api import compose
from vision_baselines.config.plan import planned
from vision_baselines.jobs.together import Together
from vision_baselines.training.run import run

_MNIST = [
    "data=noise",
    "data.source.train_size=3200",
    "data.source.val_size=10",
    "data.source.test_size=100",
    "+data.source.image_shape=[1,28,28]",
    "data.image_shape=[1,28,28]",
]
CASES: dict[str, list[str]] = {
    "circles, fc of 16": ["data=circles", "model=fc", "model.hidden_features=[16]", "model.dropout=0"],
    "digits, fc of 32": ["data=digits", "model=fc", "model.hidden_features=[32]"],
    "digits, fc of 128": ["data=digits", "model=fc", "model.hidden_features=[128]"],
    "digits, fc": ["data=digits", "model=fc"],
    "digits, cnn of 4, 8": ["data=digits", "model=cnn", "model.channels=[4,8]", "model.hidden_features=16"],
    "digits, cnn": ["data=digits", "model=cnn"],
    "MNIST's shape, fc": [*_MNIST, "model=fc"],
    "MNIST's shape, cnn": [*_MNIST, "model=cnn"],
}
_PLAIN = ["logger=none", "callbacks=none", "trainer.enable_progress_bar=false", "+trainer.limit_val_batches=0"]
_PLAIN += ["checkpoint=last", "data.batch_size=64", "keep_predictions=none"]


_ON_DEVICE = {"cpu": [], "cuda": ["trainer=gpu", "data.on_device=true"]}
_CLOCKS = {"cpu": "cpu", "cuda": "wall"}


class Clock(pl.Callback):
    """Seconds of each epoch after the first, from its end to the next one's.

    Args:
        clock: ``cpu`` or ``wall``.
    """

    def __init__(self, clock: str) -> None:
        self.clock = clock
        self.ended: list[float] = []

    def on_train_epoch_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Note the time."""
        self.ended.append(now(self.clock, pl_module.device))

    def epoch_s(self) -> float:
        """The median."""
        return statistics.median(later - earlier for earlier, later in itertools.pairwise(self.ended))


def step_us(overrides: Sequence[str], count: int, epochs: int, device: str) -> float:
    """Microseconds of a step of one run, where `count` are trained in one pass; 0 trains one without any."""
    clock = Clock(_CLOCKS[device])
    words = [*overrides, *_PLAIN, *_ON_DEVICE[device], f"trainer.max_epochs={epochs}"]
    plans = [planned(compose([*words, f"seed={seed}", f"name=seed{seed}"])) for seed in range(max(1, count))]
    if count == 0:
        record = run(plans[0], callbacks=[clock])
    else:
        jobs = [functools.partial(run, plan, callbacks=[clock] if at == 0 else []) for at, plan in enumerate(plans)]
        record = Together().run(jobs, [None] * count)[0]
    steps = record.history[-1].step / epochs
    return clock.epoch_s() / steps / max(1, count) * 1e6


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--sizes", default="2,4,8,16", help="runs in one pass")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--epochs", type=int, default=4)
    parser.add_argument("--case", action="append", choices=list(CASES), help="all of them unless given")
    parser.add_argument("--device", default="cpu", choices=["cpu", "cuda"])
    parser.add_argument("--json", type=Path)
    arguments = parser.parse_args()
    if arguments.json is not None:
        arguments.json.write_text("{}")
    sizes = list(map(int, arguments.sizes.split(",")))
    print(surroundings.in_words(surroundings.machine(arguments.device), surroundings.load()), flush=True)
    found = measured(sizes, arguments.rounds, arguments.epochs, arguments.case or list(CASES), arguments.device)
    print(f"load after {surroundings.load()}, with this command's own")
    if arguments.json is not None:
        arguments.json.write_text(json.dumps(found, indent=1))


def measure_and_print(options: argparse.Namespace) -> dict[str, Any]:
    """Measure every case as a part of the whole benchmark, print a line each, and return them as plain data."""
    sizes = (2, 4, 8, 16) if options.device == "cpu" else (8, 32)
    return measured(sizes, options.rounds, 4, list(CASES), options.device)


def measured(sizes: Sequence[int], n_rounds: int, epochs: int, cases: Sequence[str], device: str) -> dict[str, Any]:
    """Microseconds of every round of each case, by the number of runs in one pass; 0 is a run by itself."""
    found: dict[str, Any] = {}
    of_what = "CPU µs" if _CLOCKS[device] == "cpu" else "µs"
    print(
        f"many seeds in one pass: {of_what} a step and run, medians of {n_rounds} rounds in turn; in brackets "
        "the median of a run alone, divided by it"
    )
    for case in cases:
        rounds: dict[int, list[float]] = {size: [] for size in (0, *sizes)}
        for _ in range(n_rounds):
            for size in rounds:
                with tempfile.TemporaryDirectory() as folder:
                    place = f"paths.output_dir={folder}"
                    rounds[size].append(step_us([*CASES[case], place], size, epochs, device))
        alone = statistics.median(rounds[0])
        shown = [
            f"{size}: {(m := statistics.median(own)):,.0f} ({alone / m:.2f})" for size, own in rounds.items() if size
        ]
        print(f"{case:24}  alone {alone:,.0f}   {'   '.join(shown)}", flush=True)
        found[case] = rounds
    return found


if __name__ == "__main__":
    main()
