"""TensorBoard's HParams table: a row for each run, written beside its events, and the columns, written by a comparison.

A run does not know what else its sweep varies, or will vary when it is started again, so its row holds every setting
that can change a result. The columns, which are TensorBoard's "experiment" and are looked for in all runs until one has
them, are written by whoever sees all records: those that are not the same in all. Rows of one group are averaged there.
A run that did not finish has a row apart, with its status, so that it does not stand in the average of the others.

A metric is read from the last value of a scalar, so test metrics and the size are read where they are anyhow. The last
value of a validation metric is that of the last epoch and not of the best one, so these have scalars of their own.

The messages are TensorBoard's own; its functions that make them need TensorFlow, and torch's leave the group out.
"""

from __future__ import annotations

import time
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path

from tensorboard.compat.proto.summary_pb2 import Summary
from tensorboard.plugins.hparams import api_pb2, metadata
from tensorboard.plugins.hparams.plugin_data_pb2 import HParamsPluginData, SessionEndInfo, SessionStartInfo

from vision_baselines.comparison.formatting import printable
from vision_baselines.report.event_file import ROW, replace_events
from vision_baselines.report.hparam_rows import Row, Setting, measured, settings, varied
from vision_baselines.runs.fingerprint import group_name
from vision_baselines.runs.record import FRESH_SEEDS, RunRecord

# Of scalars that only HParams needs. It sorts last, after train, val and test: charts are in the order of their names.
OWN_SCALARS = "whole_run/"
_TOTAL = "parameters/total"  # as `training.parameter_table` logs it
_LOGGER = "RunTensorBoardLogger"


def measurements(record: RunRecord) -> dict[str, float]:
    """A run's results by the scalar that HParams reads: validation and test metrics, size and time in seconds."""
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
    start = SessionStartInfo(group_name=printable(group), start_time_secs=record.started_at.timestamp())
    for key, value in settings(record).items():
        field = (
            "bool_value" if isinstance(value, bool) else "string_value" if isinstance(value, str) else "number_value"
        )
        setattr(start.hparams[printable(key)], field, value)
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


def complete_row(record: RunRecord, folder: Path) -> None:
    """Add what the events of a finished run lack of its row, as those of earlier versions do; else nothing is written.

    Raises:
        OSError: The events cannot be read, or the row cannot be written.
    """
    files = sorted(folder.glob("events.out.tfevents.*"))
    if not record.finished or not files:
        return
    events = b"".join(path.read_bytes() for path in files)
    missing = {tag: value for tag, value in measurements(record).items() if tag.encode() not in events}
    row = [] if metadata.SESSION_START_INFO_TAG.encode() in events else session(record, folder)
    row += [Summary(value=[Summary.Value(tag=tag, simple_value=value)]) for tag, value in missing.items()]
    if row:
        step = record.history[-1].step if record.history else 0
        replace_events(folder, row, step=step, kind=ROW)


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
                    api_pb2.MetricInfo(name=api_pb2.MetricName(tag=_tag(name)), display_name=printable(title))
                    for name, title in measured(rows)
                ],
            )
        ),
    )


def _column(key: str, values: Iterable[Setting]) -> api_pb2.HParamInfo:
    distinct = sorted(set(values), key=lambda value: (isinstance(value, str), str(value)))
    column = api_pb2.HParamInfo(name=printable(key), differs=True)
    if all(isinstance(value, float) for value in distinct) and distinct:
        column.type = api_pb2.DATA_TYPE_FLOAT64
        column.domain_interval.min_value, column.domain_interval.max_value = min(distinct), max(distinct)
    else:
        is_bool = bool(distinct) and all(isinstance(value, bool) for value in distinct)
        column.type = api_pb2.DATA_TYPE_BOOL if is_bool else api_pb2.DATA_TYPE_STRING
        column.domain_discrete.extend(distinct)
    return column


def _tag(name: str) -> str:
    """The scalar of a metric: the run's own where its last value is the result."""
    name = printable(name)  # messages take UTF-8 alone
    if name == "parameters":
        return _TOTAL
    return name if name.startswith("test/") else OWN_SCALARS + name.replace("/", "_")


def _summary(tag: str, data: HParamsPluginData) -> Summary:
    value = Summary.Value(tag=tag, metadata=metadata.create_summary_metadata(data), tensor=metadata.NULL_TENSOR)
    return Summary(value=[value])
