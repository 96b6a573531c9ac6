"""The metric over a setting that is a number: what a sweep over ``data.train_fraction`` asks.

All runs that differ in that setting and in their seed only are one series, so a series is a group of the comparison
with the setting taken out of its name. Only runs that count in the table count here.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from vision_baselines.analysis.statistics import Summary, summarize
from vision_baselines.comparison.collection import Job
from vision_baselines.comparison.errors import UnknownNameError
from vision_baselines.comparison.formatting import listed
from vision_baselines.comparison.grouping import group_jobs, setting_values


@dataclass(frozen=True)
class Series:
    """One line: a summary of the metric at each value of the setting, in rising order."""

    label: str
    points: tuple[tuple[float, Summary], ...]


def series_over(
    jobs: Sequence[Job], key: str, *, metric: str, group_by: Sequence[str] | str | None = None
) -> tuple[Series, ...]:
    """A series for each group of the remaining settings; those without a finite metric are left out.

    Args:
        jobs: Finished jobs that count.
        key: Key of an override, or dotted key of the config.
        metric: What is summarised.
        group_by: See `group_jobs`.

    Raises:
        UnknownNameError: No job has the key, or it is no number in one of them.
    """
    places = {job.folder: place for job, place in zip(jobs, _numbers(jobs, key), strict=True)}
    found = []
    for group in group_jobs(jobs, group_by, without=key):
        values: dict[float, list[float]] = {}
        for job in group.jobs:
            value = job.record.metrics.get(metric, math.nan)
            if math.isfinite(value):
                values.setdefault(places[job.folder], []).append(value)
        if values:
            found.append(Series(group.label, tuple((x, summarize(values[x])) for x in sorted(values))))
    return tuple(found)


def _numbers(jobs: Sequence[Job], key: str) -> Iterable[float]:
    texts = setting_values(jobs, key, "over")
    numbers = [_number(text) for text in texts]
    if strange := sorted({text for text, number in zip(texts, numbers, strict=True) if number is None}):
        raise UnknownNameError(
            f"over={key!r} is no number in these records ({listed(strange, 3)}); expected a key such as "
            "data.train_fraction"
        )
    return [number for number in numbers if number is not None]


def _number(text: str) -> float | None:
    try:
        number = float(text)
    except ValueError:
        return None
    return number if math.isfinite(number) else None
