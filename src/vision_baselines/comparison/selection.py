"""What is compared, and by what one group of many is chosen: a metric of the validation split, never of the test split.

The best of thirty equal settings on the test split is about two standard errors better there than it is. So groups are
ranked by validation, and the test figure of the one that was chosen is an honest one (docs/statistics.md).
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from typing import Any

from vision_baselines.comparison.collection import Job
from vision_baselines.comparison.configuration import leaf
from vision_baselines.comparison.errors import UnknownNameError
from vision_baselines.comparison.formatting import listed
from vision_baselines.comparison.grouping import experiment_overrides
from vision_baselines.comparison.kept import each_once, kept_with_record
from vision_baselines.comparison.metric import Metric
from vision_baselines.config.selection import SPLIT, check_selection
from vision_baselines.errors import ConfigError
from vision_baselines.runs.record import RunRecord, TaskFacts


def compared_metric(jobs: Sequence[Job], wanted: str | None) -> Metric:
    """The metric that is asked for, or the headline metric of most jobs, of the first among equals."""
    if wanted is None:
        headlines = Counter(_headline(job.record) for job in jobs)
        wanted = headlines.most_common(1)[0][0] if headlines else f"test/{TaskFacts().headline}"
    found = metric_of(tasks_of(jobs), wanted)
    if found is None:
        raise ConfigError(f"{wanted} is better higher in some of these runs, and lower in others: compare them apart")
    return found


@kept_with_record
def _headline(record: RunRecord) -> str:
    return record.headline_metric


def selection_of(jobs: Sequence[Job], wanted: str | None) -> tuple[Metric | None, str]:
    """What groups are ranked by, or None and the reason why they are not.

    Args:
        jobs: All jobs of a comparison.
        wanted: A metric of the validation split; None takes the headline metric of the runs' task.

    Raises:
        ConfigError: `wanted` is no metric of the validation split.
        UnknownNameError: `wanted` is a metric that no run has, though some have others of the validation split.
    """
    check_selection(wanted, "select")
    records = [job.record for job in jobs if job.record.finished]
    headlines = {(f"{SPLIT}{task.headline}", task.mode) for task in each_once(record.task for record in records)}
    if wanted is None:
        if len(headlines) > 1:
            said = [f"{name} (mode {mode})" for name, mode in sorted(headlines)]
            return None, f"the runs have different headline metrics: {listed(said)}"
        wanted = next(iter(headlines))[0] if headlines else f"{SPLIT}{TaskFacts().headline}"
    known = sorted(
        name for name in frozenset().union(*(record.metrics for record in records)) if name.startswith(SPLIT)
    )
    if wanted not in known and records:
        if known and wanted not in {name for name, _ in headlines}:
            raise UnknownNameError.of("select", wanted, known)
        return None, _why_missing(records, wanted)
    if (found := metric_of(tasks_of(jobs), wanted)) is None:
        return None, f"{wanted} is better higher in some of the runs, and lower in others"
    return found, ""


def best_to_worst(means: Sequence[float], *, lower_is_better: bool) -> list[int]:
    """The places of the means, the best first; equals stay in their order.

    >>> best_to_worst([0.9, 0.95, 0.9], lower_is_better=False), best_to_worst([0.9, 0.95, 0.9], lower_is_better=True)
    ([1, 0, 2], [0, 2, 1])
    """
    sign = 1 if lower_is_better else -1
    return sorted(range(len(means)), key=lambda place: sign * means[place])


def tasks_of(jobs: Sequence[Job]) -> list[TaskFacts]:
    """What the runs learn, each once as far as records share it."""
    return each_once(job.record.task for job in jobs)


def metric_of(tasks: Sequence[TaskFacts], name: str) -> Metric | None:
    """The metric with the direction that the runs' tasks give it; None where they do not agree."""
    quantity = Metric(name).quantity
    modes = {mode for task in tasks if (mode := task.mode_of(quantity))} if "/" in name else set()
    return Metric(name, min(modes, default=None)) if len(modes) < 2 else None


def settings_tested(jobs: Sequence[Job]) -> list[int]:
    """How many settings, seeds aside, were tested on each test split, the most first."""
    seen = {found for job in jobs if (found := _tested(job.record))}
    return sorted(Counter(test_split for test_split, *_ in seen).values(), reverse=True)


@kept_with_record
def _tested(record: RunRecord) -> tuple[Any, ...]:
    """The test split and the setting of a run; empty where it was not tested."""
    if not record.finished or not any(name.startswith("test/") for name in record.metrics):
        return ()
    return (record.test_sha256 or record.data_sha256, record.sweep, *experiment_overrides(record).items())


def _why_missing(records: Sequence[RunRecord], name: str) -> str:
    sizes = {leaf(record.config, "data.val_size") for record in records}
    if sizes <= {"0", "0.0"}:
        return "no images were held out for validation (data.val_size=0)"
    return f"no record has {name}"
