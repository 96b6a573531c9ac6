"""HParams as TensorBoard's own readers and its server find it: a row for each run, columns for what a sweep varies."""

from __future__ import annotations

import json
import socket
import subprocess
import sys
import time
import urllib.request

import pytest
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator
from tensorboard.plugins.hparams import api_pb2, metadata
from tensorboard.plugins.hparams.plugin_data_pb2 import HParamsPluginData

from vision_baselines.comparison.collection import collect
from vision_baselines.report.event_file import replace_events
from vision_baselines.report.hparam_rows import Row, settings, varied
from vision_baselines.report.hparams import experiment, measurements, session, write_row
from vision_baselines.report.tensorboard import write_columns
from vision_baselines.report.write import compare
from vision_baselines.runs.files import run_files
from vision_baselines.runs.record import EpochRow, Parameters, Status
from vision_baselines.training.tensorboard_logger import RunTensorBoardLogger

LOGGER = {"tensorboard": {"_target_": "x.RunTensorBoardLogger", "save_dir": "${paths.run_dir}"}}


def config(overrides, **more):
    """What a run with these overrides would record of a small config."""
    found = {
        "model": {"_target_": "x"},
        "optimizer": {"lr": 0.01, "weight_decay": 0.01},
        "data": {"batch_size": 64},
        "logger": LOGGER,
    }
    for override in overrides:
        key, _, text = override.partition("=")
        group, _, name = key.partition(".")
        if name:
            found[group][name] = json.loads(text)
    return found | more


@pytest.fixture
def job(record):
    """``job("a=1", …)``: a record of a run with these overrides, by default on the CNN."""

    def make(*overrides, **changes):
        facts = {"config": config(overrides), "choices": {"model": "cnn"}, "name": ",".join(overrides) or "default"}
        facts["parameters"] = Parameters(total=1000, trainable=1000)
        return record(list(overrides), **(facts | changes))

    return make


def leave(folder, *records):
    """The records in folders of a sweep, each with its curves and its row, as a run leaves them."""
    for found in records:
        place = folder / found.name
        found.write(place)
        if found.finished:
            logger = RunTensorBoardLogger(str(place))
            for epoch in found.history:
                logger.log_metrics(epoch.metrics, step=epoch.epoch)
            logger.log_result(session(found, place), measurements(found))
            logger.close()
        else:
            write_row(found, place)
    return folder


def write(folder):
    """The columns of a sweep, as its comparison writes them."""
    (folder / "comparison").mkdir(exist_ok=True)
    write_columns(folder / "comparison", [Row.of(job.record) for job in collect([folder]).jobs])


def columns(folder):
    """Names of the columns in the comparison's events."""
    write(folder)
    content = EventAccumulator(str(folder / "comparison")).Reload().SummaryMetadata(metadata.EXPERIMENT_TAG)
    found = HParamsPluginData.FromString(content.plugin_data.content).experiment
    return [info.name for info in found.hparam_infos], [info.display_name for info in found.metric_infos]


def row(folder):
    accumulator = EventAccumulator(str(folder)).Reload()
    parts = [
        HParamsPluginData.FromString(accumulator.SummaryMetadata(tag).plugin_data.content)
        for tag in (metadata.SESSION_START_INFO_TAG, metadata.SESSION_END_INFO_TAG)
    ]
    return parts[0].session_start_info, parts[1].session_end_info


def test_columns_are_what_the_sweep_varies_then_metrics_size_and_seconds(tmp_path, job):
    fixed = "data.batch_size=64"
    jobs = [job(f"optimizer.weight_decay={wd}", fixed, f"seed={s}") for wd in (0, 0.1) for s in (0, 1)]
    assert columns(leave(tmp_path / "x", *jobs)) == (
        ["optimizer.weight_decay"],
        ["validation accuracy", "test accuracy", "parameters", "seconds, mean", "test loss"],
    )


def test_a_second_start_that_varies_something_else_adds_a_column_that_older_rows_fill(tmp_path, job):
    folder = leave(tmp_path / "x", job("optimizer.lr=0.1"), job("optimizer.lr=0.2"))
    assert columns(folder)[0] == ["optimizer.lr"]
    leave(folder, job("data.batch_size=8"))
    assert columns(folder)[0] == ["data.batch_size", "optimizer.lr"]
    start, _ = row(folder / "optimizer.lr=0.1")
    assert start.hparams["data.batch_size"].number_value == 64


def test_a_group_of_options_is_told_apart_from_its_default(tmp_path, job):
    folder = leave(tmp_path / "x", job("model=fc", choices={"model": "fc"}), job())
    assert columns(folder)[0] == ["model"]
    assert row(folder / "default")[0].hparams["model"].string_value == "cnn"


@pytest.mark.parametrize("overrides", [[["seed=0"], ["seed=1"]], [[]]])
def test_where_nothing_is_varied_there_is_a_column_still(tmp_path, job, overrides):
    assert columns(leave(tmp_path / "x", *(job(*each) for each in overrides)))[0] == ["model"]


@pytest.mark.parametrize("status", [Status.FAILED, Status.DIVERGED, Status.INTERRUPTED])
def test_a_run_that_did_not_finish_has_a_row_apart_and_its_status_is_a_column(tmp_path, job, status):
    folder = leave(tmp_path / "x", job("optimizer.lr=0.1"), job("optimizer.lr=0.2", acc=None, status=status))
    assert columns(folder)[0] == ["optimizer.lr", "status"]
    start, end = row(folder / "optimizer.lr=0.2")
    assert start.group_name == f"optimizer.lr=0.2 ({status.value})"
    assert (start.hparams["status"].string_value, end.status) == (status.value, api_pb2.STATUS_FAILURE)


def test_a_row_is_replaced_and_not_doubled(tmp_path, job):
    for _ in range(3):
        leave(tmp_path / "x", job("optimizer.lr=0.1", acc=None, status=Status.FAILED))
    assert len(list((tmp_path / "x" / "optimizer.lr=0.1").glob("events*"))) == 1


@pytest.mark.parametrize("logger", [{}, {"csv": {"_target_": "x.RunCSVLogger", "save_dir": "${paths.run_dir}"}}, None])
def test_a_run_that_does_not_log_to_tensorboard_gets_no_row(tmp_path, job, logger):
    leave(tmp_path / "x", job(status=Status.FAILED, config=config([], logger=logger)))
    assert not list(tmp_path.rglob("events*"))


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        (3, 3.0),
        (0.5, 0.5),
        (True, True),
        (None, "null"),
        ([0.9, 0.99], "[0.9,0.99]"),
        ([], "[]"),
        (float("nan"), "NaN"),
        (float("inf"), "Infinity"),
        ("${oc.env:SECRET}", "${oc.env:SECRET}"),
        ("two\nlines\x1b[31m", "two lines"),
        ("x" * 1000, "x" * 199 + "…"),
    ],
)
def test_a_value_of_any_kind_is_a_number_a_truth_or_short_text(job, value, expected):
    found = settings(job(config={"optimizer": {"lr": value}}))["optimizer.lr"]
    assert (type(found), found) == (type(expected), expected)


def test_values_of_several_kinds_make_a_column_that_lists_them_all(tmp_path, job):
    values = ["null", "0.1", "[1,2]", "true", '"a b"']
    folder = leave(tmp_path / "x", *(job(f"optimizer.lr={v}", name=f"lr{i}") for i, v in enumerate(values)))
    write(folder)
    content = EventAccumulator(str(folder / "comparison")).Reload().SummaryMetadata(metadata.EXPERIMENT_TAG)
    [info] = HParamsPluginData.FromString(content.plugin_data.content).experiment.hparam_infos
    assert info.type == api_pb2.DATA_TYPE_STRING
    assert sorted(map(str, info.domain_discrete)) == sorted(["null", "0.1", "[1,2]", "True", "a b"])


def test_a_setting_that_only_some_have_is_varied(tmp_path, job):
    folder = leave(tmp_path / "x", job("model.width=3"), job("model=fc", choices={"model": "fc"}))
    assert varied([Row.of(job.record) for job in collect([folder]).jobs]) == ["model", "model.width"]


def test_the_columns_of_planned_runs_are_those_that_they_have_once_they_ran(tmp_path, job):
    jobs = [job("model=fc", f"optimizer.lr={lr}", choices={"model": "fc"}) for lr in (0.1, 0.2)]
    jobs = [
        found.model_copy(update={"metrics": {f"{s}/{n}": 0.5 for s in ("val", "test") for n in ("acc", "loss")}})
        for found in jobs
    ]
    planned = [
        Row.planned({**found.config, "task": {"headline": "acc"}}, found.overrides, found.choices) for found in jobs
    ]
    assert experiment(planned) == experiment([Row.of(found) for found in jobs])


@pytest.mark.slow
@pytest.mark.ci
def test_tensorboards_own_server_tells_rows_apart_averages_seeds_and_shows_no_double(tmp_path, job):
    accuracy = iter([0.5, 0.7, 0.8, 0.9])
    jobs = [job(f"optimizer.weight_decay={wd}", f"seed={s}", acc=next(accuracy)) for wd in (0, 0.1) for s in (0, 1)]
    jobs = [best_before_last(found) for found in jobs]
    lost = job("optimizer.weight_decay=1", "seed=0", acc=None, status=Status.FAILED)
    folder = leave(tmp_path / "x", *jobs, lost)
    write(folder)
    write(folder)
    with Served(folder) as ask:
        experiment = ask("experiment", {"experimentName": "", "hparamsLimit": 100})
        names = [info["name"] for info in experiment["hparamInfos"]]
        statuses = [f"STATUS_{name}" for name in ("UNKNOWN", "SUCCESS", "FAILURE", "RUNNING")]
        answer = ask(
            "session_groups",
            {
                "experimentName": "",
                "allowedStatuses": statuses,
                "colParams": [{"hparam": name} for name in names],
                "startIndex": 0,
                "sliceSize": 100,
                "aggregationType": "AGGREGATION_AVG",
            },
        )
    rows = {
        (group["hparams"]["optimizer.weight_decay"], group["hparams"]["status"]): (
            {value["name"]["tag"]: value["value"] for value in group["metricValues"]},
            [found["status"] for found in group["sessions"]],
        )
        for group in answer["sessionGroups"]
    }
    assert names == ["optimizer.weight_decay", "status"]
    assert rows.keys() == {(0.0, "finished"), (0.1, "finished"), (1.0, "failed")}
    assert [rows[wd, "finished"][0]["test/acc"] for wd in (0.0, 0.1)] == pytest.approx([0.6, 0.85])
    assert rows[0.0, "finished"][0]["parameters/total"] == 1000
    shown = {info["name"]["tag"] for info in experiment["metricInfos"] if "val" in info["displayName"]}
    for tag in shown:  # of the epoch that was kept, which is not the last
        assert rows[0.0, "finished"][0][tag] == pytest.approx(0.75)
    assert shown == {"whole_run/val_acc", "whole_run/val_loss"}
    assert rows[0.1, "finished"][1] == ["STATUS_SUCCESS"] * 2
    assert rows[1.0, "failed"][1] == ["STATUS_FAILURE"]


def best_before_last(found):
    """The record with learning curves whose best epoch, the kept one, is the first of two."""
    rows = [
        EpochRow(epoch=i, step=i, lr=0.1, metrics={"val/acc": v, "val/loss": v}) for i, v in enumerate((0.75, 0.25))
    ]
    kept = found.metrics | {"val/acc": 0.75, "val/loss": 0.75}
    return found.model_copy(update={"history": rows, "best_epoch": 0, "metrics": kept})


class Served:
    """TensorBoard's server over a folder on loopback; gives a function that asks its HParams interface."""

    def __init__(self, folder):
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            self.port = free.getsockname()[1]
        self.command = [sys.executable, "-m", "tensorboard.main", "--logdir", str(folder), "--host", "127.0.0.1"]

    def __enter__(self):
        where = [*self.command, "--port", str(self.port)]
        self.process = subprocess.Popen(where, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        deadline = time.monotonic() + 100
        while time.monotonic() < deadline:
            try:
                found = self.ask("experiment", {"experimentName": "", "hparamsLimit": 100})
                if found["hparamInfos"] and any(info["differs"] for info in found["hparamInfos"]):
                    return self.ask
            except (OSError, KeyError):
                pass
            time.sleep(0.3)
        raise AssertionError("TensorBoard did not answer")

    def __exit__(self, *_):
        self.process.terminate()
        self.process.wait(timeout=20)

    def ask(self, route, body):
        request = urllib.request.Request(
            f"http://127.0.0.1:{self.port}/data/plugin/hparams/{route}",
            data=json.dumps(body).encode(),
            headers={"Content-Type": "application/json"},
        )
        opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
        with opener.open(request, timeout=20) as answer:
            return json.load(answer)


def test_a_run_of_an_earlier_version_is_completed_by_whoever_compares_it_and_a_whole_one_is_left_alone(tmp_path, job):
    folder = tmp_path / "sweep" / "a=1"
    found = job("a=1")
    found.write(folder)
    replace_events(folder, session(found, folder), step=0, kind="host.1.0")
    compare([tmp_path / "sweep"])
    [row] = folder.glob("*.row")
    scalars = EventAccumulator(str(row)).Reload().Tags()["scalars"]
    assert set(scalars) == set(measurements(found))
    accumulated = EventAccumulator(str(row)).Reload()
    assert {tag: accumulated.Scalars(tag)[-1].value for tag in scalars} == pytest.approx(measurements(found))
    compare([tmp_path / "sweep"])
    assert list(folder.glob("*.row")) == [row]
    assert row.name in run_files(folder, found)
