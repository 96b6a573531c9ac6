"""The metric over a setting that is a number: what a sweep over ``data.train_fraction`` asks.

All runs that differ in that setting and in their seed only are one series, so a series is a group of the comparison
with the setting taken out of its name. Only runs that count in the table count here.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from statistics import fmean

from vision_baselines.analysis.statistics import MIN_PAIRS, PairedDifference, Summary, paired_difference, summarize
from vision_baselines.comparison.collection import Job
from vision_baselines.comparison.errors import UnknownNameError
from vision_baselines.comparison.formatting import listed
from vision_baselines.comparison.grouping import Group, find_group, group_jobs, setting_values
from vision_baselines.comparison.metric import Metric
from vision_baselines.comparison.provenance import test_sets


@dataclass(frozen=True)
class Series:
    """One line: a summary of the metric at each value of the setting, in rising order.

    `differences` are paired by seed against the line called `baseline`, at the values where both were run; none for
    that line itself.
    """

    label: str
    points: tuple[tuple[float, Summary], ...]
    differences: tuple[tuple[float, PairedDifference], ...] = ()
    baseline: str | None = None


def bounded(summary: Summary, metric: Metric) -> Summary:
    """A summary whose interval stays within what the metric can be, and is left out for fewer than `MIN_PAIRS` values.

    With two values the interval is 12.7 standard errors wide on each side: it says nothing that a reader could use.
    """
    if summary.n < MIN_PAIRS:
        return replace(summary, ci_low=math.nan, ci_high=math.nan)
    low, high = metric.bounds
    return replace(summary, ci_low=max(summary.ci_low, low), ci_high=min(summary.ci_high, high))


def difference_between(values: Mapping[int, float], reference: Mapping[int, float]) -> PairedDifference:
    """The difference paired by seed; without an interval below `MIN_PAIRS` pairs."""
    found = paired_difference(values, reference)
    return found if found.n >= MIN_PAIRS else replace(found, ci_low=math.nan, ci_high=math.nan, p_value=math.nan)


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
    places = {job.folder: place for job, place in zip(jobs, _numbers(jobs, key), strict=True)}
    groups = group_jobs(jobs, group_by, without=key)
    lines = {group.label: _by_place(group.jobs, places, metric.name) for group in groups}
    against = _reference(groups, baseline, key)
    reference = lines.get(against or "", {})
    found = []
    for label, line in lines.items():
        points = [(x, bounded(summarize(_values(line[x], metric.name)), metric)) for x in sorted(line)]
        differences = [
            (x, difference_between(_by_seed(line[x], metric.name), _by_seed(reference[x], metric.name)))
            for x in sorted(line)
            if line is not reference and x in reference and len(test_sets([*line[x], *reference[x]])) <= 1
        ]
        if points:
            found.append(Series(label, tuple(points), tuple(differences), against))
    return tuple(found)


def _by_place(jobs: Sequence[Job], places: Mapping[Path, float], metric: str) -> dict[float, list[Job]]:
    """The jobs that have a finite metric, by the value of the setting."""
    found: dict[float, list[Job]] = {}
    for job in jobs:
        if math.isfinite(job.record.metrics.get(metric, math.nan)):
            found.setdefault(places[job.folder], []).append(job)
    return found


def _values(jobs: Sequence[Job], metric: str) -> list[float]:
    return [job.record.metrics[metric] for job in jobs]


def _by_seed(jobs: Sequence[Job], metric: str) -> dict[int, float]:
    """The mean value of each seed."""
    return {
        job.record.seed: fmean(_values([j for j in jobs if j.record.seed == job.record.seed], metric)) for job in jobs
    }


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
