"""Variants side by side: interleaved rounds in one process, medians, and their ratios with the spread over rounds."""

from __future__ import annotations

import gc
import statistics
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import torch

from benchmark.workload import Workload

Variant = Callable[[Workload], float]


@dataclass(frozen=True)
class Ratio:
    """How many times faster one variant is than another.

    Attributes:
        of_medians: The quotient of the two medians.
        least: The smallest quotient within one round.
        most: The largest.
    """

    of_medians: float
    least: float
    most: float

    def __str__(self) -> str:
        return f"{self.of_medians:.2f} [{self.least:.2f}–{self.most:.2f}]"


@dataclass(frozen=True)
class Measurement:
    """Images a second of every variant in every round; the rounds belong together."""

    model: str
    batch_size: int
    precision: str
    rounds: Mapping[str, Sequence[float]]

    def median(self, variant: str) -> float:
        """Median images a second."""
        return statistics.median(self.rounds[variant])

    def ratio(self, variant: str, other: str) -> Ratio:
        """`variant` divided by `other`: of the medians, and the least and most of a round."""
        pairs = list(zip(self.rounds[variant], self.rounds[other], strict=True))
        each = [one / two for one, two in pairs]
        return Ratio(self.median(variant) / self.median(other), min(each), max(each))

    def plain(self) -> dict[str, Any]:
        """Everything as plain data."""
        medians = {name: self.median(name) for name in self.rounds}
        ratios = (
            {f"ours/{other}": vars(self.ratio("ours", other)) for other in self.rounds if other != "ours"}
            if "ours" in self.rounds
            else {}
        )
        return {
            "model": self.model,
            "batch_size": self.batch_size,
            "precision": self.precision,
            "images_per_s": medians,
            "ratios": ratios,
            "rounds": {name: list(found) for name, found in self.rounds.items()},
        }


def measure(work: Workload, variants: Mapping[str, Variant], *, rounds: int) -> Measurement:
    """Run every variant once a round, in turn; the first round warms up and does not count."""
    images = work.steps * work.batch_size
    speeds: dict[str, list[float]] = {name: [] for name in variants}
    for number in range(rounds + 1):
        for name, variant in variants.items():
            torch.manual_seed(number)
            gc.collect()
            seconds = variant(work)
            if number:
                speeds[name].append(images / seconds)
    return Measurement(work.model, work.batch_size, work.precision, speeds)
