"""Variants side by side: interleaved rounds in one process, medians, and ratios taken round by round."""

from __future__ import annotations

import gc
import statistics
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import torch

from benchmark.workload import Workload

Variant = Callable[[Workload], float]


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

    def ratio(self, variant: str, other: str) -> float:
        """Median over rounds of `variant` divided by `other`: the machine's drift is in both."""
        pairs = zip(self.rounds[variant], self.rounds[other], strict=True)
        return statistics.median(one / two for one, two in pairs)


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
