"""What TensorBoard's own readers find in the folders of twenty runs that one process trained, one after another."""

from __future__ import annotations

import io
import os
import threading
from types import SimpleNamespace

import numpy as np
import pytest
from PIL import Image

from vision_baselines.training.results import overridden_settings
from vision_baselines.training.tensorboard_logger import RunTensorBoardLogger

JOBS = 6


def open_files():
    return len(os.listdir("/proc/self/fd")) if os.path.isdir("/proc/self/fd") else 0  # noqa: PTH112, PTH208


@pytest.fixture(scope="module")
def sweep(train_tiny, tmp_path_factory):
    """Jobs in one process: records and folders."""
    root = tmp_path_factory.mktemp("tensorboard")
    drawn = ["callbacks.learning_rate={_target_:pytorch_lightning.callbacks.LearningRateMonitor}", "logger=tensorboard"]
    records = [train_tiny(root / "0", "trainer.max_epochs=3", pictures=True)]
    for index in range(1, JOBS):
        more = ["trainer.max_epochs=1", f"seed={index % 2}", f"model.hidden_features={4 + index // 2}"]
        records.append(train_tiny(root / str(index), *drawn[1:], *more))
    return SimpleNamespace(root=root, records=records, folders=[root / str(i) for i in range(JOBS)])


@pytest.fixture(scope="module")
def first(sweep, events):
    return events(sweep.folders[0])


def hparams(accumulator, tag):
    from tensorboard.plugins.hparams.plugin_data_pb2 import HParamsPluginData

    content = accumulator.SummaryMetadata(tag).plugin_data.content
    return HParamsPluginData.FromString(content)


@pytest.mark.slow
@pytest.mark.ci
def test_every_job_has_exactly_one_event_file(sweep):
    assert [len(list(folder.rglob("events.out.tfevents.*"))) for folder in sweep.folders] == [1] * JOBS


@pytest.mark.slow
def test_fifteen_more_runs_leave_open_files_and_threads_where_they_were(sweep, train_tiny, tmp_path):
    files, threads = open_files(), threading.active_count()
    for index in range(15):
        train_tiny(tmp_path / str(index), "trainer.max_epochs=1", f"seed={index}", "logger=tensorboard")
    assert open_files() - files <= 0
    assert threading.active_count() - threads <= 0


def test_all_six_metrics_of_every_job_are_there(sweep, scalars):
    wanted = {f"{stage}/{name}" for stage in ("train", "val", "test") for name in ("loss", "acc")}
    for folder, record in zip(sweep.folders, sweep.records, strict=True):
        curves = scalars(folder)
        assert wanted <= set(curves)
        assert len(curves["val/acc"]) == len(record.history)


def test_the_curves_are_those_of_the_record(sweep, scalars):
    curves, record = scalars(sweep.folders[0]), sweep.records[0]
    for name in ("train/loss", "train/acc", "val/loss", "val/acc"):
        assert [value for _, value in curves[name]] == pytest.approx([row.metrics[name] for row in record.history])
    assert curves["test/acc"][0][1] == pytest.approx(record.metrics["test/acc"])


def test_the_learning_rate_is_a_curve(sweep, scalars):
    rates = [value for _, value in scalars(sweep.folders[0])["lr-AdamW"]]
    assert rates == pytest.approx([row.lr for row in sweep.records[0].history])
    assert rates[0] > rates[-1]


def test_the_hparams_table_has_every_jobs_real_result_and_size(sweep, events):
    for folder, record in zip(sweep.folders, sweep.records, strict=True):
        found = events(folder)
        [accuracy], [size] = found.Scalars("hparams/test_acc"), found.Scalars("hparams/parameters")
        assert accuracy.value == pytest.approx(record.metrics["test/acc"])
        assert size.value == record.parameters.total


def test_the_hparams_table_names_its_metrics_and_hyperparameters(first):
    experiment = hparams(first, "_hparams_/experiment").experiment
    assert {info.name.tag for info in experiment.metric_infos} == {"hparams/test_acc", "hparams/parameters"}
    assert {"seed", "lr", "batch_size", "max_epochs", "model", "data", "optimizer"} <= {
        info.name for info in experiment.hparam_infos
    }


def test_a_row_says_what_the_job_was(sweep, events):
    start = hparams(events(sweep.folders[3]), "_hparams_/session_start_info").session_start_info
    assert start.hparams["seed"].number_value == 1
    assert start.hparams["lr"].number_value == pytest.approx(1e-3)
    assert start.hparams["batch_size"].number_value == 8
    assert start.hparams["model"].string_value == "cnn"
    assert start.hparams["data"].string_value == "noise"


def test_whatever_was_overridden_is_a_hyperparameter(sweep, events):
    start = hparams(events(sweep.folders[3]), "_hparams_/session_start_info").session_start_info
    assert start.hparams["model.hidden_features"].number_value == 5
    assert set(overridden_settings(sweep.records[3])) <= set(start.hparams)


@pytest.mark.parametrize(
    ("override", "key", "value"),
    [
        ("optimizer.weight_decay=1e-4", "optimizer.weight_decay", 1e-4),
        ("+optimizer.betas=[0.9,0.99]", "optimizer.betas", "[0.9,0.99]"),
        ("model=cnn", "model", "cnn"),
        ("~scheduler", "scheduler", ""),
        ("optimizer.lr=null", "optimizer.lr", "null"),
    ],
)
def test_an_override_is_a_number_or_text(sweep, override, key, value):
    record = sweep.records[0].model_copy(update={"overrides": [override, "seed=3", "name=x"]})
    assert overridden_settings(record) == {key: value}


def test_jobs_that_differ_in_their_seed_alone_share_a_group(sweep, events):
    groups = [
        hparams(events(folder), "_hparams_/session_start_info").session_start_info.group_name
        for folder in sweep.folders[2:6]
    ]
    assert groups[0] == groups[1] != groups[2] == groups[3]


def test_each_session_is_marked_as_a_success(first):
    from tensorboard.plugins.hparams.api_pb2 import STATUS_SUCCESS

    assert hparams(first, "_hparams_/session_end_info").session_end_info.status == STATUS_SUCCESS


def test_the_filters_are_drawn_before_training_and_at_the_best_epoch(sweep, first):
    pictures = first.Images("filters/first_layer")
    assert [picture.step for picture in pictures] == [0, 18]
    before, best = (
        np.asarray(Image.open(io.BytesIO(p.encoded_image_string)).convert("RGB"), dtype=int) for p in pictures
    )
    assert before.shape[1] == best.shape[1]
    assert (before != best).any() if before.shape == best.shape else True


def test_the_best_epochs_filters_are_kept_as_numbers(sweep):
    assert np.load(sweep.folders[0] / "filters.npy").shape == (2, 1, 3, 3)


def test_the_parameter_table_lists_every_layer_and_the_total(sweep, first):
    [text] = first.Tensors("parameters/text_summary")
    table = text.tensor_proto.string_val[0].decode()
    parameters = sweep.records[0].parameters
    assert f"**{parameters.total:,}**" in table
    for layer in parameters.per_layer:
        assert layer in table
    assert table.startswith("| layer |")


def test_parameter_counts_are_scalars_that_add_up(sweep, scalars):
    curves = scalars(sweep.folders[0])
    layers = [points[0][1] for tag, points in curves.items() if tag.startswith("parameters/layer/")]
    assert sum(layers) == curves["parameters/total"][0][1] == sweep.records[0].parameters.total
    assert curves["parameters/trainable"][0][1] == sweep.records[0].parameters.trainable


def test_no_hparams_file_of_lightnings_is_written(sweep):
    assert not list(sweep.root.rglob("hparams.yaml"))


def test_rewinding_keeps_the_events_before_a_step_once_in_one_file(tmp_path, scalars):
    first = RunTensorBoardLogger(str(tmp_path))
    for step in range(6):
        first.log_metrics({"x": step}, step=step)
    first.close()
    second = RunTensorBoardLogger(str(tmp_path))
    second.rewind(4)
    second.log_metrics({"x": 40}, step=4)
    second.close()
    assert scalars(tmp_path)["x"] == [(0, 0), (1, 1), (2, 2), (3, 3), (4, 40)]
    assert len(list(tmp_path.glob("events*"))) == 1


def test_rewinding_drops_what_two_files_both_hold(tmp_path, scalars):
    for _ in range(2):  # a kill before the old file was removed leaves the same events twice
        logger = RunTensorBoardLogger(str(tmp_path))
        logger.log_metrics({"x": 1}, step=0)
        logger.close()
        for path in tmp_path.glob("events*"):
            path.rename(tmp_path / f"{path.name}.{len(list(tmp_path.iterdir()))}")
    logger = RunTensorBoardLogger(str(tmp_path))
    logger.rewind(5)
    logger.close()
    assert scalars(tmp_path)["x"] == [(0, 1)]


def test_rewinding_an_empty_folder_leaves_one_file(tmp_path):
    logger = RunTensorBoardLogger(str(tmp_path))
    logger.rewind(0)
    logger.close()
    assert len(list(tmp_path.glob("events*"))) == 1


def test_closing_twice_is_harmless(tmp_path):
    logger = RunTensorBoardLogger(str(tmp_path))
    logger.log_metrics({"x": 1}, step=0)
    logger.close()
    logger.close()
    assert len(list(tmp_path.glob("events*"))) == 1


def test_hyperparameters_of_any_kind_become_text(tmp_path, events):
    logger = RunTensorBoardLogger(str(tmp_path))
    logger.log_result({"channels": [1, 2], "none": None, "lr": 0.5}, {"hparams/test_acc": 0.5}, group="g")
    logger.close()
    start = hparams(events(tmp_path), "_hparams_/session_start_info").session_start_info
    assert start.hparams["channels"].string_value == "[1, 2]"
    assert start.hparams["none"].string_value == "None"
    assert start.hparams["lr"].number_value == 0.5
    assert start.group_name == "g"
