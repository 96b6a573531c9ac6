"""CIFAR-10 beside airbench's own code, from a checkout that the user names, in one command on one CUDA device.

Source: Keller Jordan, https://github.com/KellerJordan/cifar10-airbench, arXiv:2404.00498. Nothing of it is copied: its
package is imported from the checkout in a process of its own, warmed up as its README says, and what it prints is read.
Ours is ``experiment=cifar10_fast``, trained and then tested with mirrored views.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from benchmark.processes import import_path, printed
from vision_baselines.errors import ConfigError, StorageError, TrainingError
from vision_baselines.runs.record import find_records

_THEIRS = "import airbench; airbench.warmup94(); [airbench.train94(run=run) for run in range({runs})]"


@dataclass(frozen=True)
class Trained:
    """Runs of one contestant.

    Attributes:
        accuracies: Of the official test images with views of each, shares of 1.
        train_s: Seconds of training of each.
    """

    name: str
    accuracies: Sequence[float]
    train_s: Sequence[float]

    def line(self) -> str:
        """Mean accuracy and median seconds."""
        accuracy, seconds = statistics.mean(self.accuracies), statistics.median(self.train_s)
        return f"{self.name:28}{100 * accuracy:>10.2f} %{seconds:>10.2f} s   {len(self.train_s)} run(s)"


def check(options: argparse.Namespace) -> None:
    """Refuse what cannot be compared.

    Raises:
        ConfigError: No checkout is named, or it is not on CUDA.
        StorageError: The folder is none of airbench.
    """
    if options.airbench is None:
        raise ConfigError("--part is airbench; expected --airbench DIR, a checkout of cifar10-airbench")
    if not (options.airbench / "airbench" / "__init__.py").is_file():
        raise StorageError(f"--airbench is {str(options.airbench)!r}; there is no airbench/__init__.py in it")
    if options.device != "cuda":
        raise ConfigError("airbench trains on CUDA alone; expected --device cuda, on a machine that has such a device")


def measure_and_print(options: argparse.Namespace) -> dict[str, Any]:
    """Train both, print mean accuracy and median seconds, and return every run as plain data."""
    device = ("trainer=gpu", "data.on_device=true")
    found = [theirs(options.airbench, runs=options.rounds), ours(runs=options.rounds, overrides=device)]
    print(
        "CIFAR-10: mean test accuracy with views of each image, median seconds of training (compilation is in neither)"
    )
    for one in found:
        print(one.line(), flush=True)
    slower = statistics.median(found[1].train_s) / statistics.median(found[0].train_s)
    print(f"ours takes {slower:.2f} times as long, for {100 * _difference(found):+.2f} points")
    return {"runs": [vars(one) for one in found], "seconds ours/airbench": slower}


def theirs(checkout: Path, *, runs: int) -> Trained:
    """Airbench's own training, as its README calls it."""
    env = {**os.environ, "PYTHONPATH": import_path(checkout.resolve())}
    text = printed(["-c", _THEIRS.format(runs=runs)], name="airbench", env=env, cwd=checkout)
    rows = [row for row in printed_rows(text) if row["epoch"] == "eval"][-runs:]
    if len(rows) != runs:
        raise TrainingError(f"airbench printed {len(rows)} rows of an evaluation; expected {runs}")
    seconds = next((name for name in rows[0] if name.endswith("time_seconds")), None)
    if seconds is None or "tta_val_acc" not in rows[0]:
        raise TrainingError(f"airbench printed columns {', '.join(rows[0])}; expected tta_val_acc and …time_seconds")
    return Trained("airbench94", [float(row["tta_val_acc"]) for row in rows], [float(row[seconds]) for row in rows])


def printed_rows(text: str) -> list[dict[str, str]]:
    r"""The rows of the tables that airbench prints, by the names in the last heading above each.

    >>> printed_rows("|  run  |  epoch  |\n-----\n|    0  |   eval  |")
    [{'run': '0', 'epoch': 'eval'}]
    """
    names: list[str] = []
    rows = []
    for line in text.splitlines():
        if not line.startswith("|"):
            continue
        cells = [cell.strip() for cell in line.strip("|").split("|")]
        if "epoch" in cells:
            names = cells
        elif len(cells) == len(names):
            rows.append(dict(zip(names, cells, strict=True)))
    return rows


def ours(*, runs: int, overrides: Sequence[str] = ()) -> Trained:
    """This project's recipe, a run for each seed, tested with mirrored views."""
    accuracies, seconds = [], []
    with tempfile.TemporaryDirectory() as folder:
        seeds = ",".join(map(str, range(runs)))
        words = ["-m", "experiment=cifar10_fast", f"seed={seeds}", "callbacks=ema", "name=airbench"]
        _run(["train", *words, f"paths.output_dir={folder}", *overrides])
        for place, record in find_records([Path(folder)]):
            if record.finished:
                tested = json.loads(_run(["evaluate", str(place), "--tta", "flip", "--json"]))
                accuracies.append(tested["metrics"]["test/acc"])
                seconds.append(record.timings.fit_s)
    if len(seconds) != runs:
        raise TrainingError(f"the sweep left {len(seconds)} finished runs; expected {runs}")
    return Trained("ours, cifar10_fast", accuracies, seconds)


def _run(words: Sequence[str]) -> str:
    return printed(["-m", "vision_baselines", *words], name=" ".join(words[:3]))


def _difference(found: Sequence[Trained]) -> float:
    return statistics.mean(found[1].accuracies) - statistics.mean(found[0].accuracies)
