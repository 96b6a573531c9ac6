"""What TensorBoard's own readers find in the folders of twenty runs that one process trained, one after another."""

from __future__ import annotations

import io
import os
import threading
from types import SimpleNamespace

import numpy as np
import pytest
from PIL import Image

from vision_baselines.report.hparam_rows import settings
from vision_baselines.report.hparams import OWN_SCALARS, measurements
from vision_baselines.training.tensorboard_logger import RunTensorBoardLogger

JOBS = 6


def open_files():
    return len(os.listdir("/proc/self/fd")) if os.path.isdir("/proc/self/fd") else 0  # noqa: PTH112, PTH208


@pytest.fixture(scope="module")
def sweep(train_tiny, tmp_path_factory):
    """Jobs in one process: records and folders."""
    root = tmp_path_factory.mktemp("tensorboard")
    drawn = ["logger=tensorboard", "logger.tensorboard.pictures=false"]
    asked = ["logger.tensorboard.histograms=true", "logger.tensorboard.graph=true"]
    records = [train_tiny(root / "0", "trainer.max_epochs=3", *asked, pictures=True)]
    for index in range(1, JOBS):
        more = ["trainer.max_epochs=1", f"seed={index % 2}", f"model.hidden_features={4 + index // 2}"]
        records.append(train_tiny(root / str(index), *drawn, *more))
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
        [accuracy], [size] = found.Scalars("test/acc"), found.Scalars("parameters/total")
        assert accuracy.value == pytest.approx(record.metrics["test/acc"])
        assert size.value == record.parameters.total


def test_a_job_leaves_the_columns_to_the_comparison_and_has_all_metrics(first, sweep):
    assert "_hparams_/experiment" not in first.Tags()["tensors"] + list(first.summary_metadata)
    scalars = first.Tags()["scalars"]
    assert set(measurements(sweep.records[0])) <= set(scalars)
    own = [tag for tag in scalars if tag.startswith(OWN_SCALARS)]
    assert set(own) == {f"{OWN_SCALARS}{name}" for name in ("seconds", "val_acc", "val_loss")}  # and no other twice
    assert max(set(scalars) - set(own)) < min(own)
    [kept] = first.Scalars(f"{OWN_SCALARS}val_acc")
    assert kept.value == pytest.approx(sweep.records[0].metrics["val/acc"])


def test_a_row_says_what_the_job_was(sweep, events):
    start = hparams(events(sweep.folders[3]), "_hparams_/session_start_info").session_start_info
    assert start.hparams["seed"].number_value == 1
    assert start.hparams["optimizer.lr"].number_value == pytest.approx(1e-3)
    assert start.hparams["data.batch_size"].number_value == 8
    assert start.hparams["model"].string_value == "cnn"
    assert start.hparams["data"].string_value == "noise"


def test_a_row_holds_every_setting_that_can_change_the_result_and_no_copy(sweep, events):
    start = hparams(events(sweep.folders[3]), "_hparams_/session_start_info").session_start_info
    assert set(settings(sweep.records[3])) == set(start.hparams)
    assert start.hparams["optimizer.weight_decay"].number_value == pytest.approx(0.01)
    assert start.hparams["model.hidden_features"].number_value == 5
    assert not [key for key in start.hparams if key.startswith(("classifier.net", "classifier.optimizer", "logger"))]


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


def test_the_confusion_matrix_and_feature_maps_of_three_classes_are_drawn(sweep, first, events):
    pictures = [tag for tag in first.Tags()["images"] if not tag.startswith(("filters", "mistakes"))]
    maps = [tag for tag in pictures if tag.startswith("feature_maps/image_")]
    assert sorted(pictures) == sorted(["confusion/test", *maps])
    assert len(maps) == 3
    for tag in pictures:
        [shown] = first.Images(tag)
        assert Image.open(io.BytesIO(shown.encoded_image_string)).size == (shown.width, shown.height)
    assert not [tag for tag in events(sweep.folders[1]).Tags()["images"] if tag in pictures]


def test_weights_and_gradients_of_every_parameter_are_histograms_of_each_epoch(sweep, first, events):
    names = {f"{name}.{part}" for name in sweep.records[0].parameters.per_layer for part in ("weight", "bias")}
    found = set(first.Tags()["histograms"])
    assert found == {f"{kind}/{name}" for kind in ("weights", "gradients") for name in names}
    assert [event.step for event in first.Histograms("weights/head.1.weight")] == [5, 11, 17]
    last = first.Histograms("gradients/head.1.weight")[-1].histogram_value
    assert last.num == 48
    assert last.min < 0 < last.max
    assert not events(sweep.folders[1]).Tags()["histograms"]


def test_the_graph_goes_from_the_image_to_the_output_and_is_there_on_request_only(sweep, first, events):
    from tensorboard.compat.proto.graph_pb2 import GraphDef

    nodes = {node.name: node for node in GraphDef.FromString(first._graph).node}
    name, seen = "output", []
    while nodes[name].input:
        [name] = nodes[name].input
        seen.append(nodes[name].op)
    assert seen[-1] == "image"
    assert seen.count("conv2d") == 2
    assert not events(sweep.folders[1]).Tags()["graph"]


def test_training_and_validation_loss_share_steps_and_a_chart(first, scalars, sweep):
    curves = scalars(sweep.folders[0])
    assert [step for step, _ in curves["train/loss"]] == [step for step, _ in curves["val/loss"]] == [5, 11, 17]
    content = first.Tensors("custom_scalars__config__")[0].tensor_proto.string_val[0]
    assert b"train/loss$" in content
    assert b"val/loss$" in content


def test_the_parameter_table_lists_every_layer_and_the_total(sweep, first):
    [text] = first.Tensors("parameters/text_summary")
    table = text.tensor_proto.string_val[0].decode()
    parameters = sweep.records[0].parameters
    assert f"total {parameters.total:,} " in " ".join(table.split())
    for layer in parameters.per_layer:
        assert layer in table
    assert all(line.startswith("    ") for line in table.splitlines())  # code, whose words are not broken


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


def test_lightnings_own_scalar_stands_once_a_step_in_a_whole_run_and_in_a_resumed_one(sweep, tmp_path, scalars):
    for folder in sweep.folders[:2]:
        steps = [step for step, _ in scalars(folder)["epoch"]]
        assert steps == sorted(set(steps))
    for resumed in (False, True):
        logger = RunTensorBoardLogger(str(tmp_path / str(resumed)))
        for step in (5, 11):
            if resumed and step == 11:
                logger.close()
                logger = RunTensorBoardLogger(str(tmp_path / str(resumed)))
                logger.rewind(6)
            for stage in ("val", "train"):
                logger.log_metrics({f"{stage}/loss": 1.0, "epoch": step // 6}, step=step)
        logger.close()
        assert scalars(tmp_path / str(resumed))["epoch"] == [(5, 0), (11, 1)]


def test_a_result_is_logged_once_also_where_the_process_began_anew(tmp_path, scalars):
    results = {"test/acc": 0.5, "parameters/total": 7.0, "whole_run/val_acc": 0.6}
    first = RunTensorBoardLogger(str(tmp_path))
    first.log_metrics({"parameters/total": 7.0}, step=0)
    first.log_result([], results | {"whole_run/val_acc": 0.1})  # killed before its record said so
    first.close()
    second = RunTensorBoardLogger(str(tmp_path))
    second.rewind(4)
    second.log_metrics({"val/acc": 0.4}, step=4)
    second.log_result([], results)
    second.close()
    found = scalars(tmp_path)
    assert {tag: [value for _, value in found[tag]] for tag in results} == {
        tag: pytest.approx([value]) for tag, value in results.items()
    }


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


def test_rewinding_keeps_the_graph_the_layout_and_histograms_once(tmp_path, events):
    from tensorboard.compat.proto.event_pb2 import Event
    from tensorboard.compat.proto.graph_pb2 import GraphDef
    from tensorboard.compat.proto.node_def_pb2 import NodeDef

    def write(steps):
        logger.log_event(Event(graph_def=GraphDef(node=[NodeDef(name="image", op="image")]).SerializeToString()))
        logger.experiment.add_custom_scalars({"a": {"b": ["Multiline", ["c"]]}})
        for step in steps:
            logger.experiment.add_histogram("weights/w", np.arange(3.0), global_step=step)
        logger.close()

    for steps in ([0, 1, 2], [2, 3]):
        logger = RunTensorBoardLogger(str(tmp_path))
        logger.rewind(3)
        write(steps)
    logger = RunTensorBoardLogger(str(tmp_path))
    logger.rewind(3)
    logger.close()
    found = events(tmp_path)
    assert [event.step for event in found.Histograms("weights/w")] == [0, 1, 2]
    assert found.Tags()["graph"]
    assert len(found.Tensors("custom_scalars__config__")) == 1
    assert len(list(tmp_path.glob("events*"))) == 1


@pytest.mark.parametrize("values", [[float("nan")], [], [float("inf"), 1.0, 2.0]])
def test_values_that_are_not_finite_end_no_run(tmp_path, events, values):
    import torch

    from vision_baselines.training.net_histograms import NetHistograms

    logger = RunTensorBoardLogger(str(tmp_path))
    net = SimpleNamespace(named_parameters=lambda: [("w", torch.nn.Parameter(torch.tensor(values)))])
    trainer = SimpleNamespace(is_last_batch=True, global_step=3)
    NetHistograms(logger).on_train_batch_end(trainer, SimpleNamespace(net=net), None, None, 0)
    logger.close()
    assert bool(events(tmp_path).Tags()["histograms"]) == any(map(np.isfinite, values))


def test_closing_twice_is_harmless(tmp_path):
    logger = RunTensorBoardLogger(str(tmp_path))
    logger.log_metrics({"x": 1}, step=0)
    logger.close()
    logger.close()
    assert len(list(tmp_path.glob("events*"))) == 1
