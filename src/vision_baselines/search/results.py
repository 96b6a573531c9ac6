"""What the record of a trial's run says to the search: its values, or why there are none."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from omegaconf import DictConfig

from vision_baselines.config.plan import RunPlan
from vision_baselines.config.search_options import COSTS, TRIAL, objectives_of
from vision_baselines.config.selection import SPLIT
from vision_baselines.errors import ConfigError
from vision_baselines.runs.dotted import select
from vision_baselines.runs.record import RunRecord, Status, read_record

# Failures that say nothing of a trial's settings: the next trial would fail of the same.
_OF_THE_MACHINE = ("StorageError", "DataError")


@dataclass(frozen=True)
class Result:
    """How a run of a trial stands; `values` are there where it is finished, `reason` where it ended without.

    `curve` is the objective of a finished run by epoch; where there are several it is empty.
    """

    state: Literal["finished", "pruned", "failed", "machine", "open"]
    values: tuple[float, ...] = ()
    reason: str = ""
    curve: tuple[tuple[int, float], ...] = ()


def result_of(folder: Path, number: int, objectives: Sequence[str]) -> Result:
    """What a run's folder holds for a trial: one that was interrupted is open, and so is none.

    A run that failed in another trial of the same settings is open too, and is tried once more; one that diverged would
    diverge again.
    """
    try:
        record = read_record(folder)
    except (OSError, ValueError):  # whoever runs it says so
        return Result("open")
    failure = record.failure
    reason = " ".join(failure.message.split()) if failure is not None else str(record.status)
    if record.finished:
        values = tuple(_value(record, name) for name in objectives)
        unknown = [name for name, value in zip(objectives, values, strict=True) if not math.isfinite(value)]
        if unknown:
            return Result("failed", reason=f"it has no finite {unknown[0]}")
        curve = record.by_epoch(objectives[0]) if len(objectives) == 1 else ()
        return Result("finished", values, curve=tuple(curve))
    if record.status is Status.PRUNED:
        return Result("pruned", reason=reason)
    if record.status is Status.DIVERGED:
        return Result("failed", reason=reason)
    if record.status is Status.FAILED and f"{TRIAL}={number}" in record.overrides:
        is_of_machine = failure is not None and failure.kind in _OF_THE_MACHINE
        return Result("machine" if is_of_machine else "failed", reason=reason)
    return Result("open")


def objectives_and_directions(plan: RunPlan) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """What is searched for and which end of it is better, as the task says.

    Raises:
        ConfigError: The task has no such metric, or does not say which end of it is better.
    """
    named = objectives_of(plan.resolved.get("search") or {})
    headline, mode = select(plan.resolved, "task.headline"), select(plan.resolved, "task.mode")
    if isinstance(headline, str) and mode in ("max", "min") and named in ([], [f"{SPLIT}{headline}"]):
        return (f"{SPLIT}{headline}",), (mode,)
    modes, headline = _modes_of(plan.cfg)
    names = named or [f"{SPLIT}{headline}"]
    directions = []
    for name in names:
        found = "min" if name in COSTS else modes.get(name.removeprefix(SPLIT))
        if found is None:
            known = ", ".join(f"{SPLIT}{one}" for one in modes)
            raise ConfigError(f"search.objectives has {name}; this task has {known}, and there are {', '.join(COSTS)}")
        if not found:
            raise ConfigError(f"search.objectives has {name}, and the task does not say which end of it is better")
        directions.append(found)
    return tuple(names), tuple(directions)


def _modes_of(cfg: DictConfig) -> tuple[dict[str, str], str]:
    from vision_baselines.training.build import task  # it imports torch

    made = task(cfg)
    return made.modes, made.headline


def _value(record: RunRecord, name: str) -> float:
    if name not in COSTS:
        return record.metrics.get(name, math.nan)
    if name == "fit_s":
        return record.timings.fit_s
    found = record.parameters
    value = None if found is None else found.total if name == "parameters" else found.flops_per_image
    return math.nan if value is None else float(value)
