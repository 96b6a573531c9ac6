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
from vision_baselines.comparison.grouping import experiment_overrides, sweeps_of
from vision_baselines.comparison.kept import each_once, kept
from vision_baselines.comparison.metric import Metric
from vision_baselines.config.selection import SPLIT, check_selection
from vision_baselines.errors import ConfigError
from vision_baselines.runs.record import TaskFacts

Groups = Sequence[tuple[Job, ...]]


def compared_metric(groups: Groups, wanted: str | None) -> Metric:
    """The metric that is asked for, or the headline metric of most jobs, of the first among equals."""
    if wanted is None:
        headlines: Counter[str] = Counter()
        for jobs in groups:
            headlines.update(_headlines(jobs))
        wanted = headlines.most_common(1)[0][0] if headlines else f"test/{TaskFacts().headline}"
    found = metric_of(tasks_of(groups), wanted)
    if found is None:
        raise ConfigError(f"{wanted} is better higher in some of these runs, and lower in others: compare them apart")
    return found


def selection_of(groups: Groups, wanted: str | None) -> tuple[Metric | None, str]:
    """What groups are ranked by, or None and the reason why they are not.

    Args:
        groups: All jobs of a comparison, group by group.
        wanted: A metric of the validation split; None takes the headline metric of the runs' task.

    Raises:
        ConfigError: `wanted` is no metric of the validation split.
        UnknownNameError: `wanted` is a metric that no run has, though some have others of the validation split.
    """
    check_selection(wanted, "select")
    finished = list(filter(None, map(_finished, groups)))
    headlines = {(f"{SPLIT}{task.headline}", task.mode) for task in tasks_of(finished)}
    if wanted is None:
        if len(headlines) > 1:
            said = [f"{name} (mode {mode})" for name, mode in sorted(headlines)]
            return None, f"the runs have different headline metrics: {listed(said)}"
        wanted = next(iter(headlines))[0] if headlines else f"{SPLIT}{TaskFacts().headline}"
    known = [name for name in metrics_of(groups) if name.startswith(SPLIT)]
    if wanted not in known and finished:
        if known and wanted not in {name for name, _ in headlines}:
            raise UnknownNameError.of("select", wanted, known)
        return None, _why_missing(finished, wanted)
    if (found := metric_of(tasks_of(groups), wanted)) is None:
        return None, f"{wanted} is better higher in some of the runs, and lower in others"
    return found, ""


def best_to_worst(means: Sequence[float], *, lower_is_better: bool) -> list[int]:
    """The places of the means, the best first; equals stay in their order.

    >>> best_to_worst([0.9, 0.95, 0.9], lower_is_better=False), best_to_worst([0.9, 0.95, 0.9], lower_is_better=True)
    ([1, 0, 2], [0, 2, 1])
    """
    sign = 1 if lower_is_better else -1
    return sorted(range(len(means)), key=lambda place: sign * means[place])


def tasks_of(groups: Groups) -> list[TaskFacts]:
    """What the runs learn, each once as far as records share it."""
    return each_once(task for jobs in groups for task in _tasks(jobs))


def metrics_of(groups: Groups) -> list[str]:
    """The names of all metrics of finished jobs, sorted."""
    return sorted(frozenset().union(*map(_metrics, groups)))


@kept()
def _headlines(jobs: tuple[Job, ...]) -> Counter[str]:
    return Counter(job.record.headline_metric for job in jobs)


@kept()
def _tasks(jobs: tuple[Job, ...]) -> list[TaskFacts]:
    return each_once(job.record.task for job in jobs)


@kept()
def _finished(jobs: tuple[Job, ...]) -> tuple[Job, ...]:
    return tuple(job for job in jobs if job.record.finished)


@kept()
def _metrics(jobs: tuple[Job, ...]) -> frozenset[str]:
    return frozenset().union(*(job.record.metrics for job in _finished(jobs)))


def metric_of(tasks: Sequence[TaskFacts], name: str) -> Metric | None:
    """The metric with the direction that the runs' tasks give it; None where they do not agree."""
    quantity = Metric(name).quantity
    modes = {mode for task in tasks if (mode := task.mode_of(quantity))} if "/" in name else set()
    return Metric(name, min(modes, default=None)) if len(modes) < 2 else None


def settings_tested(groups: Groups) -> list[int]:
    """How many settings, seeds aside, were tested on each test split, the most first."""
    seen = frozenset().union(*map(_all_tested, groups))
    return sorted(Counter(test_split for test_split, *_ in seen).values(), reverse=True)


@kept()
def _all_tested(jobs: tuple[Job, ...]) -> frozenset[tuple[Any, ...]]:
    """The test split and the setting of each run that was tested."""
    finished = _finished(jobs)
    return frozenset(
        (record.test_sha256 or record.data_sha256, sweep, *experiment_overrides(record).items())
        for record, sweep in zip((job.record for job in finished), sweeps_of(finished), strict=True)
        if any(name.startswith("test/") for name in record.metrics)
    )


def _why_missing(groups: Groups, name: str) -> str:
    sizes = {leaf(job.record.config, "data.val_size") for jobs in groups for job in jobs}
    if sizes <= {"0", "0.0"}:
        return "no images were held out for validation (data.val_size=0)"
    return f"no record has {name}"
