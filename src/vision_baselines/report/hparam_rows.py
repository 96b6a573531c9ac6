"""What HParams has to know of runs: their settings, which of these a sweep varies, and what was measured.

Messages are left to `hparams`; nothing of TensorBoard's is needed here.
"""

from __future__ import annotations

import math
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from vision_baselines.comparison.configuration import leaf_text
from vision_baselines.comparison.formatting import one_line
from vision_baselines.comparison.grouping import experiment_overrides, latest_overrides
from vision_baselines.comparison.metric import Metric
from vision_baselines.runs.dotted import select, walk
from vision_baselines.runs.fingerprint import is_irrelevant
from vision_baselines.runs.record import RunRecord, Status

STATUS = "status"
SPLITS = ("val/", "test/")
_LONGEST = 200
Setting = bool | float | str


@dataclass(frozen=True)
class Row:
    """What a comparison has to know of a run, or of one that is planned, to find the columns.

    Attributes:
        settings: As `settings_of`, by key.
        chosen: Keys that were set on the command line, without the axes of chance.
        first: Names of the metrics that one looks for first.
        metrics: Names of all metrics of validation and test.
        is_over: Whether it ended, and otherwise than finished.
    """

    settings: Mapping[str, Setting]
    chosen: Sequence[str]
    first: Sequence[str]
    metrics: Collection[str]
    is_over: bool = False

    @classmethod
    def of(cls, record: RunRecord) -> Row:
        """Of a run that has a record."""
        return cls(
            settings(record),
            list(experiment_overrides(record)),
            (record.selection_metric, record.headline_metric),
            [name for name in record.metrics if name.startswith(SPLITS)],
            record.status not in (Status.FINISHED, Status.RUNNING, Status.PRUNED),
        )

    @classmethod
    def planned(cls, config: Mapping[str, Any], overrides: Sequence[str], choices: Mapping[str, str]) -> Row:
        """Of a run that is still to come, from what it will record."""
        headline = select(config, "task.headline", "loss")
        return cls(
            settings_of(config, overrides, choices),
            list(latest_overrides(overrides)),
            tuple(f"{split}{headline}" for split in SPLITS),
            [f"{split}loss" for split in SPLITS],
        )


def settings_of(config: Mapping[str, Any], overrides: Sequence[str], choices: Mapping[str, str]) -> dict[str, Setting]:
    """Every setting that can change a result: plain values, the rest as Hydra writes it.

    Values are those that are recorded, so what was taken from the environment is a reference. A group such as ``model``
    is the name of its option. Copies inside ``classifier`` are left out.
    """
    leaves = {
        key: value
        for key, value in walk(config, into_lists=False)
        if not isinstance(value, Mapping) and not is_irrelevant(key)
    }
    own: dict[str, list[Any]] = {}
    for key, value in leaves.items():
        if not key.startswith("classifier."):
            own.setdefault(key.rpartition(".")[2], []).append(value)
    found = {key: _plain(value) for key, value in leaves.items() if _is_shown(key, value, own)}
    found |= {key: one_line(text, _LONGEST) for key, text in choices.items() if not is_irrelevant(key)}
    for key, override in latest_overrides(overrides).items():
        if key not in found and not override.startswith("~"):
            found[key] = _from_text(override.partition("=")[2])
    return found


def settings(record: RunRecord) -> dict[str, Setting]:
    """The settings of a run, its seed and its status."""
    found = settings_of(record.config, record.overrides, record.choices)
    return {**found, "seed": float(record.seed), STATUS: record.status.value}


def varied(rows: Sequence[Row]) -> list[str]:
    """The keys of settings that were chosen on a command line and are not the same in all rows, sorted.

    Seeds and folds are averaged over, so they are none of them. The status is one where a run has ended otherwise than
    finished. Where nothing differs it is what was chosen at all, else the model: TensorBoard shows no table without a
    column.
    """
    keys = sorted({key for row in rows for key in row.chosen})
    found = [key for key in keys if len({repr(row.settings.get(key)) for row in rows}) > 1]
    found = found or [key for key in keys if any(key in row.settings for row in rows)] or ["model"]
    return [*found, STATUS] if any(row.is_over for row in rows) else found


def measured(rows: Sequence[Row]) -> Iterator[tuple[str, str]]:
    """Names and titles, those first that one looks for: TensorBoard shows the first five."""
    first = {name for row in rows for name in row.first}
    names = {name for row in rows for name in row.metrics} | first
    ranked = sorted(names, key=lambda name: (name not in first, not name.startswith("val/"), name))
    for name in ranked[: len(first)]:
        yield name, Metric(name).title
    yield "parameters", "parameters"
    yield "seconds", "seconds, mean"  # of a group's runs, as all that HParams shows of one; the page has the median
    for name in ranked[len(first) :]:
        yield name, Metric(name).title


def _is_shown(key: str, value: Any, own: Mapping[str, list[Any]]) -> bool:
    """Whether a leaf is a setting of its own: nothing of how a class is called, and no copy inside the classifier.

    Args:
        key: Of the leaf.
        value: Of the leaf.
        own: Values of the leaves outside the classifier, by the last part of their keys.
    """
    name = key.rpartition(".")[2]
    if name in ("_partial_", "_convert_", "_recursive_"):
        return False
    return not key.startswith("classifier.") or value not in own.get(name, ())


def _plain(value: Any) -> Setting:
    """A value as HParams can hold it; numbers that JSON cannot are text."""
    if isinstance(value, bool):
        return value
    if isinstance(value, int | float) and math.isfinite(value):
        return float(value)
    return one_line(leaf_text(value), _LONGEST)


def _from_text(text: str) -> Setting:
    try:
        return _plain(float(text))
    except ValueError:
        return one_line(text, _LONGEST)
