"""TensorBoard's HParams table: a row for each run, written beside its events, and the columns, written by a comparison.

A run does not know what else its sweep varies, or will vary when it is started again, so its row holds every setting
that can change a result. The columns, which are TensorBoard's "experiment" and are looked for in all runs until one has
them, are written by whoever sees all records: those that are not the same in all. Rows of one group are averaged there.
A run that did not finish has a row apart, with its status, so that it does not stand in the average of the others.

The messages are TensorBoard's own; its functions that make them need TensorFlow, and torch's leave the group out.
"""

from __future__ import annotations

import math
import time
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tensorboard.compat.proto.summary_pb2 import Summary
from tensorboard.plugins.hparams import api_pb2, metadata
from tensorboard.plugins.hparams.plugin_data_pb2 import HParamsPluginData, SessionEndInfo, SessionStartInfo

from vision_baselines.comparison.configuration import leaf_text
from vision_baselines.comparison.formatting import one_line
from vision_baselines.comparison.grouping import experiment_overrides, latest_overrides
from vision_baselines.comparison.metric import Metric
from vision_baselines.report.event_file import ROW, replace_events
from vision_baselines.runs.dotted import select, walk
from vision_baselines.runs.fingerprint import group_name, is_irrelevant
from vision_baselines.runs.record import FRESH_SEEDS, RunRecord, Status

STATUS = "status"
_PREFIX, _SPLITS = "hparams/", ("val/", "test/")
_LONGEST = 200
_LOGGER = "RunTensorBoardLogger"
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
            [name for name in record.metrics if name.startswith(_SPLITS)],
            record.status not in (Status.FINISHED, Status.RUNNING),
        )

    @classmethod
    def planned(cls, config: Mapping[str, Any], overrides: Sequence[str], choices: Mapping[str, str]) -> Row:
        """Of a run that is still to come, from what it will record."""
        headline = select(config, "task.headline", "loss")
        return cls(
            settings_of(config, overrides, choices),
            list(latest_overrides(overrides)),
            tuple(f"{split}{headline}" for split in _SPLITS),
            [f"{split}loss" for split in _SPLITS],
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
    found = {key: _plain(value) for key, value in leaves.items() if _is_shown(key, leaves)}
    found |= {key: text for key, text in choices.items() if not is_irrelevant(key)}
    for key, override in latest_overrides(overrides).items():
        if key not in found and not override.startswith("~"):
            found[key] = _from_text(override.partition("=")[2])
    return found


def settings(record: RunRecord) -> dict[str, Setting]:
    """The settings of a run, its seed and its status."""
    found = settings_of(record.config, record.overrides, record.choices)
    return {**found, "seed": float(record.seed), STATUS: record.status.value}


def measurements(record: RunRecord) -> dict[str, float]:
    """A run's results as the scalars that HParams reads: validation and test metrics, size and time."""
    found = {_tag(name): value for name, value in record.metrics.items() if name.startswith(("val/", "test/"))}
    if record.parameters:
        found[_tag("parameters")] = float(record.parameters.total)
    return {**found, _tag("seconds"): record.timings.fit_s} if record.finished else found


def session(record: RunRecord, folder: Path) -> list[Summary]:
    """The messages of a run's row: its settings and group, and how it ended."""
    group = group_name(record.overrides)
    if folder.parent.name == FRESH_SEEDS:
        group = f"fresh seeds of {group}"
    if not record.finished:
        group = f"{group} ({record.status.value})"
    start = SessionStartInfo(group_name=group, start_time_secs=record.started_at.timestamp())
    for key, value in settings(record).items():
        field = (
            "bool_value" if isinstance(value, bool) else "string_value" if isinstance(value, str) else "number_value"
        )
        setattr(start.hparams[key], field, value)
    end = SessionEndInfo(
        status=api_pb2.STATUS_SUCCESS if record.finished else api_pb2.STATUS_FAILURE,
        end_time_secs=record.ended_at.timestamp() if record.ended_at else time.time(),
    )
    return [
        _summary(metadata.SESSION_START_INFO_TAG, HParamsPluginData(session_start_info=start)),
        _summary(metadata.SESSION_END_INFO_TAG, HParamsPluginData(session_end_info=end)),
    ]


def write_row(record: RunRecord, folder: Path) -> None:
    """Leave the row of a run that did not finish in its folder, if it logs to TensorBoard there.

    Raises:
        OSError: It cannot be written.
    """
    loggers = [node for node in (record.config.get("logger") or {}).values() if isinstance(node, Mapping)]
    own = (str(folder), "${paths.run_dir}")
    if any(str(node.get("_target_")).endswith(_LOGGER) and node.get("save_dir") in own for node in loggers):
        replace_events(folder, session(record, folder), step=0, kind=ROW)


def experiment(rows: Sequence[Row]) -> Summary:
    """The columns of rows: what is not the same in all, and what was measured."""
    return _summary(
        metadata.EXPERIMENT_TAG,
        HParamsPluginData(
            experiment=api_pb2.Experiment(
                hparam_infos=[
                    _column(key, [row.settings[key] for row in rows if key in row.settings]) for key in varied(rows)
                ],
                metric_infos=[
                    api_pb2.MetricInfo(name=api_pb2.MetricName(tag=_tag(name)), display_name=title)
                    for name, title in _measured(rows)
                ],
            )
        ),
    )


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


def _measured(rows: Sequence[Row]) -> Iterator[tuple[str, str]]:
    """Names and titles, those first that one looks for: TensorBoard shows the first five."""
    first = {name for row in rows for name in row.first}
    names = {name for row in rows for name in row.metrics} | first
    ranked = sorted(names, key=lambda name: (name not in first, not name.startswith("val/"), name))
    for name in ranked[: len(first)]:
        yield name, Metric(name).title
    yield "parameters", "parameters"
    yield "seconds", "seconds"
    for name in ranked[len(first) :]:
        yield name, Metric(name).title


def _column(key: str, values: Iterable[Setting]) -> api_pb2.HParamInfo:
    distinct = sorted(set(values), key=lambda value: (isinstance(value, str), str(value)))
    column = api_pb2.HParamInfo(name=key, differs=True)
    if all(isinstance(value, float) for value in distinct) and distinct:
        column.type = api_pb2.DATA_TYPE_FLOAT64
        column.domain_interval.min_value, column.domain_interval.max_value = min(distinct), max(distinct)
    else:
        is_bool = bool(distinct) and all(isinstance(value, bool) for value in distinct)
        column.type = api_pb2.DATA_TYPE_BOOL if is_bool else api_pb2.DATA_TYPE_STRING
        column.domain_discrete.extend(distinct)
    return column


def _is_shown(key: str, leaves: Mapping[str, Any]) -> bool:
    """Whether a leaf is a setting of its own: nothing of how a class is called, and no copy inside the classifier."""
    name = key.rpartition(".")[2]
    if name in ("_partial_", "_convert_", "_recursive_"):
        return False
    return not key.startswith("classifier.") or not any(
        other.rpartition(".")[2] == name and leaves[other] == leaves[key]
        for other in leaves
        if not other.startswith("classifier.")
    )


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


def _tag(name: str) -> str:
    return _PREFIX + name.replace("/", "_")


def _summary(tag: str, data: HParamsPluginData) -> Summary:
    value = Summary.Value(tag=tag, metadata=metadata.create_summary_metadata(data), tensor=metadata.NULL_TENSOR)
    return Summary(value=[value])
