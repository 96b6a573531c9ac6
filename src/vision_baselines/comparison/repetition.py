"""Which repetition of its experiment a run is: its seed, and the images it was trained and measured on.

Seed, split seed and fold are axes of chance (`runs.fingerprint.AXES_OF_CHANCE`): runs that differ in nothing else are
one group, and two groups are paired where all three agree. What follows for an interval is in `analysis.resampling`.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from itertools import chain
from statistics import fmean
from typing import NamedTuple

from vision_baselines.comparison.collection import Job
from vision_baselines.comparison.formatting import plural
from vision_baselines.comparison.kept import kept, kept_with_record
from vision_baselines.comparison.provenance import Groups, Variant, test_sets
from vision_baselines.runs.record import RunRecord


class Part(NamedTuple):
    """How the images were cut: the split seed, the number of folds and which of them was held out; None where none."""

    split_seed: int | None = None
    folds: int | None = None
    fold: int | None = None


class Repetition(NamedTuple):
    """One draw of everything that is left to chance; runs with the same one are a pair."""

    seed: int
    part: Part = Part()


@kept_with_record  # a comparison asks dozens of times
def repetition_of(record: RunRecord) -> Repetition:
    """The seed, split seed and fold of a run."""
    data = record.config.get("data")
    if not isinstance(data, Mapping):
        return Repetition(record.seed)
    found = [data.get(key) for key in Part._fields]
    return Repetition(record.seed, Part(*[value if type(value) is int else None for value in found]))


def resampling_ratio(records: Sequence[RunRecord], metric: str) -> float:
    """Images measured to images trained on, where each part measures other images of one pool; else 0.

    Folds: 1 / (folds - 1). Without folds, those of a split that the split seed cuts from train.
    """
    split = metric.partition("/")[0]
    parts = [(repetition_of(record).part, id(record.data), id(record.config.get("data"))) for record in records]
    known = {part: _ratio(record, split) for part, record in dict(zip(parts, records, strict=True)).items()}
    return fmean(map(known.__getitem__, parts)) if records else 0.0


def _ratio(record: RunRecord, split: str) -> float:
    part = repetition_of(record).part
    if part.folds is not None and part.folds > 1:
        return 1 / (part.folds - 1) if split == record.headline_split else 0.0
    splits = record.data.splits if record.data is not None else {}
    if part.split_seed is None or split not in splits or splits[split].cut_from is None:
        return 0.0
    trained = splits["train"].size + (splits["val"].size if split == "test" else 0)
    return splits[split].size / trained


def in_words(repetitions: Iterable[Repetition]) -> str:
    """What a mean was taken over.

    >>> in_words([Repetition(seed, Part(None, 5, fold)) for seed in range(3) for fold in range(5)])
    '5 folds × 3 seeds'
    >>> in_words([Repetition(0, Part(1)), Repetition(1, Part(2)), Repetition(0, Part(2))])
    '3 runs of 2 split seeds × 2 seeds'
    """
    found = set(repetitions)
    axes: dict[str, set[int | None]] = {
        "fold": {part.fold for _, part in found},
        "split seed": {part.split_seed for _, part in found},
        "seed": {seed for seed, _ in found},
    }
    combinations = 1
    for values in axes.values():
        combinations *= len(values)
    words = " × ".join(plural(len(values), axis) for axis, values in axes.items() if len(values) > 1)
    if not words:
        return plural(len(found), "seed")
    return words if combinations == len(found) else f"{plural(len(found), 'run')} of {words}"


def differing_test_sets(groups: Groups) -> list[Variant]:
    """The test sets of jobs that should have had the same one, as they agree in `Part`; empty where they had."""
    groups = list(groups)
    if len(frozenset().union(*map(_digests, groups))) < 2:
        return []
    by_part: dict[Part, list[Job]] = {}
    for job in chain.from_iterable(groups):
        by_part.setdefault(repetition_of(job.record).part, []).append(job)
    return next((found for members in by_part.values() if len(found := test_sets(tuple(members))) > 1), [])


@kept()
def _digests(jobs: tuple[Job, ...]) -> frozenset[tuple[str | None, str | None]]:
    """SHA-256 of the data and of the test split of each job that knew its data."""
    return frozenset((job.record.data_sha256, job.record.test_sha256) for job in jobs if job.record.data_sha256)
