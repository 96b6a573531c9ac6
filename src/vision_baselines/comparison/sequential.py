"""Comparisons that are decided while seeds are added: what was planned, what each look showed, and the file of both.

The decisions are those of `analysis.sequential`: each group against the baseline, paired by seed, on these test images;
more seeds say nothing of other images. The error of 5% is shared out among the comparisons (Bonferroni), since each of
them can be wrong in one direction or the other, which Holm's procedure does not cover.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Literal

from pydantic import BaseModel, ConfigDict

from vision_baselines.analysis.sequential import look, look_level
from vision_baselines.comparison.collection import Job
from vision_baselines.comparison.formatting import plural
from vision_baselines.comparison.grouping import Group, by_code
from vision_baselines.comparison.metric import Metric
from vision_baselines.comparison.rows import GroupRow, paired, row_of
from vision_baselines.comparison.sweep_file import Versioned, read_sweep_file, write_sweep_file

SEQUENTIAL_FILE = "until_decided.json"
ALPHA = 0.05
DEFAULT_MAX_SEEDS = 30
_SCHEMA_VERSION = 1
_MOST_BYTES = 2**24

Decision = Literal["better", "worse", "equal", "undecided", "no pairs", "other test images"]


class _Part(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class SequentialLook(_Part):
    """One look at one comparison: its `n` pairs among the first `seeds` seeds, in the metric's own unit.

    `low` and `high` are the interval that holds at every look at once; None where there is none.
    """

    comparison: str
    seeds: int
    n: int
    mean: float | None
    low: float | None
    high: float | None
    decision: Decision

    def in_words(self, plan: Sequential, metric: Metric) -> str:
        """What the look showed, without a full stop.

        >>> numbers = {"seeds": 4, "n": 4, "mean": 0.024, "low": 0.01, "high": 0.038}
        >>> found = SequentialLook(comparison="model=cnn", decision="better", **numbers)
        >>> plan = Sequential(level=0.0063, max_seeds=30, baseline="model=fc", comparisons=["model=cnn"])
        >>> found.in_words(plan, Metric("test/acc"))
        'model=cnn is better than model=fc: decided after 4 seeds, +2.40 points [+1.00, +3.80]'
        """
        if self.decision == "no pairs":
            return f"{self.comparison} gets no more seeds: none of {self.seeds} finished in it and in {plan.baseline}"
        if self.decision == "other test images":
            return f"{self.comparison} gets no more seeds: it and {plan.baseline} were tested on different images"
        seeds = plural(self.seeds, "seed") + (f" ({plural(self.n, 'pair')})" if self.n != self.seeds else "")
        numbers = f"{metric.signed(self.mean)}{' points' if metric.is_share else ''}"
        if self.low is not None and self.high is not None:
            numbers += f" {metric.interval(self.low, self.high, signed=True)}"
        if self.decision == "undecided":
            return f"{self.comparison} cannot be told from {plan.baseline} after {seeds}: {numbers}"
        verb = f"is {self.decision} than {plan.baseline}"
        if self.decision == "equal" and plan.equivalence is not None:
            verb = f"equals {plan.baseline} within {metric.margin(plan.equivalence)}"
        return f"{self.comparison} {verb}: decided after {seeds}, {numbers}"


class Sequential(_Part, Versioned):
    """What was planned, and every look so far.

    Attributes:
        alpha: Chance of any false decision in all looks at all comparisons.
        level: Of each single look, see `analysis.sequential.look_level`.
        max_seeds: Most seeds that a group gets.
        metric: What is compared; None before the first look.
        lower_is_better: Its direction.
        equivalence: Differences up to this size are equal, in points of a share, else in the metric's unit.
        baseline: The group that the others are compared with.
        comparisons: The others.
        settings: Of each setting the overrides that can change a result, seeds aside, sorted; None in a file of an
            earlier version.
        looks: In their order.
    """

    schema_version: int = _SCHEMA_VERSION
    alpha: float = ALPHA
    level: float
    max_seeds: int
    metric: str | None = None
    lower_is_better: bool = False
    equivalence: float | None = None
    baseline: str
    comparisons: list[str]
    settings: list[list[str]] | None = None
    looks: list[SequentialLook] = []

    @classmethod
    def planned(
        cls,
        baseline: str,
        comparisons: Sequence[str],
        *,
        max_seeds: int | None,
        equivalence: float | None,
        settings: Sequence[Sequence[str]] | None = None,
    ) -> Sequential:
        """A plan without a look."""
        most = DEFAULT_MAX_SEEDS if max_seeds is None else max_seeds
        level = look_level(most, ALPHA / len(comparisons))
        margin = None if equivalence is None else float(equivalence)
        return cls(
            level=level,
            max_seeds=most,
            equivalence=margin,
            baseline=baseline,
            comparisons=sorted(comparisons),
            settings=None if settings is None else sorted(map(sorted, settings)),
        )

    def last(self, comparison: str) -> SequentialLook | None:
        """The latest look at a comparison: the one that decided it, if any did."""
        return next((found for found in reversed(self.looks) if found.comparison == comparison), None)

    @property
    def open(self) -> list[str]:
        """Comparisons that further seeds may decide."""
        found = {name: self.last(name) for name in self.comparisons}
        return [name for name, latest in found.items() if latest is None or latest.decision == "undecided"]

    def plan_differences(self, other: Sequential) -> list[str]:
        """What was planned otherwise, a line each."""
        keys = ["max_seeds", "equivalence", "baseline", "comparisons"]
        if self.metric is not None and other.metric is not None:  # of a plan without a look it is not known
            keys.append("metric")
        found = [
            f"{key} was {_written(getattr(self, key))} and is {_written(getattr(other, key))}"
            for key in keys
            if getattr(self, key) != getattr(other, key)
        ]
        return found or self._setting_differences(other)

    def _setting_differences(self, other: Sequential) -> list[str]:
        """Settings that no group's label shows: those that all runs share, or that a group has several of."""
        if self.settings is None or other.settings is None or self.settings == other.settings:
            return []
        before, after = (set.intersection(*map(set, settings)) for settings in (self.settings, other.settings))
        if before == after:
            return ["the settings within a group were others"]
        return [f"fixed was {_written(sorted(before - after))} and is {_written(sorted(after - before))}"]

    def looked(self, groups: Mapping[str, Sequence[Job]], seeds: int, metric: Metric) -> Sequential:
        """With one more look at every comparison that is open.

        Args:
            groups: Jobs by group; of those with a seed below `seeds`, the finished ones count.
            seeds: Number of seeds, from 0, that each group in question was given.
            metric: What is compared.
        """
        rows = {
            label: _row(label, [job for job in jobs if job.record.seed < seeds], metric)
            for label, jobs in groups.items()
        }
        found = [self._look(name, rows, seeds, metric) for name in self.open]
        return self.model_copy(
            update={
                "metric": metric.name,
                "lower_is_better": metric.lower_is_better,
                "looks": [*self.looks, *found],
            }
        )

    def _look(self, name: str, rows: Mapping[str, GroupRow | None], seeds: int, metric: Metric) -> SequentialLook:
        group, baseline = rows.get(name), rows.get(self.baseline)
        nothing = SequentialLook(comparison=name, seeds=seeds, n=0, mean=None, low=None, high=None, decision="no pairs")
        if group is None or baseline is None:
            return nothing
        if paired(group, metric, baseline).is_tested_elsewhere:
            return nothing.model_copy(update={"decision": "other test images"})
        margin = None if self.equivalence is None else metric.unscaled(self.equivalence)
        found = look(group.values(metric.name), baseline.values(metric.name), level=self.level, margin=margin)
        if found.n == 0:
            return nothing
        better: Decision = "worse" if metric.lower_is_better else "better"
        worse: Decision = "better" if metric.lower_is_better else "worse"
        words: dict[str, Decision] = {"larger": better, "smaller": worse, "equal": "equal", "undecided": "undecided"}
        return SequentialLook(
            comparison=name,
            seeds=seeds,
            n=found.n,
            mean=found.mean,
            low=_finite(found.low),
            high=_finite(found.high),
            decision=words[found.decision],
        )

    def write(self, folder: Path) -> None:
        """Put it into a sweep's folder.

        Raises:
            StorageError: The folder cannot be written.
        """
        write_sweep_file(folder / SEQUENTIAL_FILE, self)


def read_sequential(folder: Path) -> Sequential | None:
    """What is in a sweep's folder; None where seeds were not added until decided.

    Raises:
        StorageError: There is a file of that name that is none.
    """
    return read_sweep_file(
        folder / SEQUENTIAL_FILE, Sequential, schema=_SCHEMA_VERSION, most_bytes=_MOST_BYTES, instead=" to begin anew"
    )


def _row(label: str, jobs: Sequence[Job], metric: Metric) -> GroupRow | None:
    """The numbers of a group's jobs, of those that used the newest code."""
    if not jobs:
        return None
    newest = tuple(by_code(jobs).get("", jobs))
    return row_of(Group(label, (), newest), {metric.name: metric})


def _finite(value: float) -> float | None:
    return value if math.isfinite(value) else None


def _written(value: object) -> str:
    return "null" if value is None else ", ".join(value) or "nothing" if isinstance(value, list) else str(value)
