"""The metric over a setting that is a number: what a sweep over ``data.train_fraction`` asks.

All runs that differ in that setting and in their seed only are one series, so a series is a group of the comparison
with the setting taken out of its name. Only runs that count in the table count here.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from vision_baselines.analysis.statistics import PairedDifference, Summary
from vision_baselines.comparison.collection import Job
from vision_baselines.comparison.errors import UnknownNameError
from vision_baselines.comparison.formatting import listed
from vision_baselines.comparison.grouping import Group, find_group, group_jobs, setting_values
from vision_baselines.comparison.metric import Metric
from vision_baselines.comparison.rows import GroupRow, paired, row_of


@dataclass(frozen=True)
class Series:
    """One line: the numbers of its runs at each value of the setting, in rising order, as `rows` have them for a group.

    Differences are paired by seed against the line called `baseline`, at the values where both were run.
    """

    label: str
    rows: tuple[tuple[float, GroupRow], ...]
    metric: str
    baseline: str | None = None

    @property
    def points(self) -> tuple[tuple[float, Summary], ...]:
        """A summary of the metric at each value."""
        return tuple((x, row.metrics[self.metric]) for x, row in self.rows)

    @property
    def differences(self) -> tuple[tuple[float, PairedDifference], ...]:
        """The difference to the baseline's line, where there is one."""
        return tuple((x, row.difference) for x, row in self.rows if row.difference and row.difference.n)


def series_over(
    jobs: Sequence[Job],
    key: str,
    *,
    metric: Metric,
    group_by: Sequence[str] | str | None = None,
    baseline: str | None = None,
) -> tuple[Series, ...]:
    """A series for each group of the remaining settings; those without a finite metric are left out.

    Args:
        jobs: Finished jobs that count.
        key: Key of an override, or dotted key of the config.
        metric: What is summarised.
        group_by: See `group_jobs`.
        baseline: Label or settings of the group that the other lines are compared with, if there is such a line.

    Raises:
        UnknownNameError: No job has the key, or it is no number in one of them.
    """
    groups = group_jobs(jobs, group_by, without=key)
    places = {job.folder: place for job, place in zip(jobs, _numbers(jobs, key), strict=True)}
    lines = {group.label: _rows_by_place(group, places, metric) for group in groups}
    against = _reference(groups, baseline, key)
    reference = lines.get(against or "", {})
    return tuple(
        Series(
            label,
            tuple((x, paired(row, metric, reference.get(x))) for x, row in sorted(line.items())),
            metric.name,
            against,
        )
        for label, line in lines.items()
        if line
    )


def _rows_by_place(group: Group, places: Mapping[Path, float], metric: Metric) -> dict[float, GroupRow]:
    """The numbers of a group at each value of the setting where it has the metric."""
    found = {}
    for x in {places[job.folder] for job in group.jobs}:
        jobs = tuple(job for job in group.jobs if places[job.folder] == x)
        row = row_of(replace(group, jobs=jobs), {metric.name: metric})
        if metric.name in row.metrics:
            found[x] = row
    return found


def _reference(groups: Sequence[Group], baseline: str | None, key: str) -> str | None:
    """The line that stands for the baseline, whose label may still name the setting that the lines run over."""
    parts = [part.strip() for part in (baseline or "").split(",") if not part.strip().startswith(f"{key}=")]
    try:
        return find_group(groups, ", ".join(parts)).label if baseline else None
    except UnknownNameError:
        return None


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
