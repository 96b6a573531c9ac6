"""Runs of a receipt trained again, from the receipt and the data alone, and what came out held against it."""

from __future__ import annotations

import math
import tempfile
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from statistics import fmean

from vision_baselines.analysis.reproduction import reproduction_margin
from vision_baselines.comparison.formatting import plural
from vision_baselines.comparison.metric import Metric
from vision_baselines.errors import ConfigError
from vision_baselines.evaluation.receipt import PATH, Receipt, missing_paths
from vision_baselines.evaluation.references import LEVEL
from vision_baselines.evaluation.reproduce import Point, Reproduction, compare_records, run_again, tested_images
from vision_baselines.runs.fingerprint import key_of
from vision_baselines.runs.init_source import JOB, source_path
from vision_baselines.runs.record import RECORD_FILE, RunRecord


@dataclass(frozen=True)
class Outcome:
    """What came out: each run by itself, and each group where bits could not be compared."""

    runs: tuple[Reproduction, ...]
    groups: tuple[Point, ...]

    @property
    def passed(self) -> bool:
        """Whether every run is the same bits, or every group lies within its interval and went in the same."""
        same = all(run.passed or (run.not_comparable and went_in(run)) for run in self.runs)
        return bool(self.runs) and same and all(group.same for group in self.groups)

    @property
    def reason(self) -> str:
        """Why bits were not compared; empty where they were."""
        return next((run.not_comparable for run in self.runs if run.not_comparable), "")


def went_in(run: Reproduction) -> bool:
    """Whether config and data were those of the receipt."""
    return all(point.same for point in run.points if point.name in ("config", "data"))


def reproduce_receipt(
    receipt: Receipt, *, overrides: Sequence[str] = (), trusted_packages: Sequence[str] = (), first: bool = False
) -> Iterator[Reproduction | Outcome]:
    """Train the runs of a receipt again, in a scratch folder.

    Args:
        receipt: The receipt.
        overrides: The paths that it leaves out, and other changes.
        trusted_packages: Packages of one's own whose classes it may name.
        first: Of each group the run of the smallest seed alone.

    Yields:
        Each run as it is done, then the `Outcome`.

    Raises:
        ConfigError: A path is missing, or a run starts from one that is not trained again.
    """
    given = [text.partition("=")[0] for text in overrides]
    chosen = [record for row in receipt.rows for record in _chosen(receipt, row.runs, first)]
    for record in chosen:
        if absent := [key for key in missing_paths(record) if key not in given]:
            raise ConfigError(f"the receipt leaves out paths; give {' '.join(f'{key}=…' for key in absent)}")
    with tempfile.TemporaryDirectory(prefix="receipt-") as scratch:
        found: list[tuple[RunRecord, RunRecord]] = []
        runs = []
        for record in sorted(chosen, key=_starts_from):
            folder = Path(scratch) / record.sweep / record.name
            if began_with := _starts_from(record):
                source = source_path(began_with, folder, record.overrides)
                if not (source / RECORD_FILE).is_file():
                    raise ConfigError(f"{record.name} starts from {source.name}, which is not trained again here")
            # the folder of data that the run was given is left out
            own = [text for text in record.overrides if not key_of(text).startswith("paths.")]
            again = run_again(record.model_copy(update={"overrides": own}), folder, folder, overrides, trusted_packages)
            found.append((record, again))
            runs.append(compare_records(_with_given(record, again, given), again))
            yield runs[-1]
        yield Outcome(tuple(runs), tuple(_judged(receipt, found)) if any(run.not_comparable for run in runs) else ())


def _chosen(receipt: Receipt, names: Sequence[str], first: bool) -> list[RunRecord]:
    records = sorted((receipt.records[name] for name in names), key=lambda record: record.seed)
    return records[:1] if first else records


def _starts_from(record: RunRecord) -> str:
    began_with = str(record.config.get("init_from") or "")
    return began_with if began_with.startswith(JOB) else ""


def _with_given(record: RunRecord, again: RunRecord, given: Sequence[str]) -> RunRecord:
    """The record with the paths that were given in place of those that its receipt leaves out."""
    copy = record.model_copy(deep=True)
    for key in given:
        node, other = copy.config, again.config
        *groups, last = key.split(".")
        for group in groups:
            node, other = node.get(group) or {}, other.get(group) or {}
        if node.get(last) == PATH:
            node[last] = other.get(last)
    return copy


def _judged(receipt: Receipt, found: Sequence[tuple[RunRecord, RunRecord]]) -> Iterator[Point]:
    """Every group held to the interval that all of them together leave by chance in one of twenty tries."""
    metric = Metric(receipt.metric)
    names = {id(record): name for name, record in receipt.records.items()}
    for row in receipt.rows:
        again = [after for before, after in found if names[id(before)] in row.runs]
        value = fmean(record.metrics[metric.name] for record in again)
        margin = reproduction_margin(
            row.mean,
            std=row.std if row.n > 1 else math.nan,
            n=row.n,
            n_new=len(again),
            test_size=tested_images(again[0]) if metric.is_share else None,
            level=LEVEL / len(receipt.rows),
        )
        where = (
            f"{metric.precise(value)} ({plural(len(again), 'run')}), recorded {metric.precise(row.mean)} (n = {row.n})"
        )
        yield Point(
            row.group,
            margin is not None and abs(value - row.mean) <= margin,
            f"{metric.title} {where}"
            + (f" ± {metric.precise(margin)}" if margin is not None else ", no interval known"),
        )
