"""The validation metric by epoch, a row a group: learning curves as numbers."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

from vision_baselines.analysis.statistics import Summary, summarize
from vision_baselines.comparison.collection import Job
from vision_baselines.comparison.kept import kept
from vision_baselines.comparison.metric import Metric
from vision_baselines.comparison.rows import GroupRow

LAST = "last"


@dataclass(frozen=True)
class EpochsRow:
    """A group's validation metric over its runs, by epoch (from 0), and after each run's own last epoch (`LAST`)."""

    label: str
    values: dict[int | str, Summary]


@dataclass(frozen=True)
class EpochTable:
    """`rows` of the groups that were validated, in the order they were given; `epochs` are the columns."""

    metric: Metric
    epochs: tuple[int | str, ...]
    rows: tuple[EpochsRow, ...]


def epoch_table(rows: Sequence[GroupRow], metric: Metric) -> EpochTable | None:
    """The validation counterpart of `metric` at some epochs; None where no run measured it.

    Runs of a group that stopped early are in the epochs that they had, and in the last one.
    """
    validation = Metric(metric.validation_name, metric.mode)
    by_group = {row.label: _by_epoch(row.counted, validation.name) for row in rows}
    measured = {epoch for found in by_group.values() for epoch in found if isinstance(epoch, int)}
    if not measured:
        return None
    shown: tuple[int | str, ...] = (*(epoch for epoch in _milestones(max(measured)) if epoch in measured), LAST)
    return EpochTable(
        validation,
        shown,
        tuple(
            EpochsRow(row.label, _summaries(row.counted, validation.name, shown)) for row in rows if by_group[row.label]
        ),
    )


@kept()
def _summaries(jobs: tuple[Job, ...], name: str, shown: tuple[int | str, ...]) -> dict[int | str, Summary]:
    found = _by_epoch(jobs, name)
    return {epoch: summarize(found[epoch]) for epoch in shown if epoch in found}


@kept()
def _by_epoch(jobs: tuple[Job, ...], name: str) -> dict[int | str, list[float]]:
    found: dict[int | str, list[float]] = {}
    for job in jobs:
        curve = dict(job.record.by_epoch(name))
        finite = {epoch: value for epoch, value in curve.items() if math.isfinite(value)}
        for epoch, value in finite.items():
            found.setdefault(epoch, []).append(value)
        if finite:
            found.setdefault(LAST, []).append(finite[max(finite)])
    return found


def _milestones(end: int) -> list[int]:
    """0, 1, 2, 5, 10, 20, 50 and so on, all before the epoch `end`.

    >>> _milestones(20), _milestones(0)
    ([0, 1, 2, 5, 10], [])
    """
    steps = (digit * 10**power for power in range(len(str(end))) for digit in (1, 2, 5))
    return [epoch for epoch in (0, *steps) if epoch < end]
