"""A run logs, records and is chosen by what its task says."""

from __future__ import annotations

import logging

import pytest
import pytorch_lightning as pl
import torch
from torch import nn

from vision_baselines.comparison.caveats import caveats
from vision_baselines.comparison.collection import collect
from vision_baselines.comparison.table import tabulate
from vision_baselines.errors import ConfigError
from vision_baselines.runs.record import read_record
from vision_baselines.sweep.run_outcomes import record_result

EVERY = "task.metrics=[accuracy,macro_f1,balanced_accuracy,top5,ece]"


def test_every_metric_of_the_task_is_in_the_record_the_history_and_the_table(run_tiny, tmp_path):
    record = run_tiny("run", EVERY, "task.headline=macro_f1")
    names = {"loss", "acc", "macro_f1", "balanced_accuracy", "top5", "ece"}
    assert set(record.metrics) == {f"{split}/{name}" for split in ("val", "test") for name in names}
    assert set(record.history[0].metrics) == {f"{split}/{name}" for split in ("train", "val") for name in names}
    assert (record.task.headline, record.task.mode) == ("macro_f1", "max")
    scores = [row.metrics["val/macro_f1"] for row in record.history]
    assert record.best_epoch == scores.index(max(scores))
    table = tabulate(collect([tmp_path / "outputs"]))
    assert table.metric.name == "test/macro_f1"
    assert record_result(tmp_path / "outputs" / "run").startswith("test/macro_f1 ")


def test_a_metric_that_is_better_lower_chooses_the_lowest_epoch_and_ranks_the_lowest_first(run_tiny, tmp_path):
    for seed in (0, 1):
        run_tiny(f"run{seed}", EVERY, "task.headline=ece", "task.mode=min", f"seed={seed}")
    record = read_record(tmp_path / "outputs" / "run0")
    scores = [row.metrics["val/ece"] for row in record.history]
    assert record.best_epoch == scores.index(min(scores))
    table = tabulate(collect([tmp_path / "outputs"]), group_by="seed")
    assert table.selection.name == "val/ece"
    means = [row.metrics["val/ece"].mean for row in table.ranked()]
    assert means == sorted(means)


@pytest.mark.slow
@pytest.mark.ci
def test_a_metric_that_keeps_lists_survives_a_kill(run_tiny, resumed_after):
    """The calibration error gathers every confidence; a resumed epoch's is the uninterrupted one's."""
    options = (EVERY, "checkpoint_every_n_steps=2")
    whole = run_tiny("whole", *options)

    resumed = resumed_after(9, run_tiny, *options)
    assert resumed.attempts == 2
    assert resumed.history == whole.history
    assert resumed.metrics == whole.metrics
    assert resumed.final_weights_sha256 == whole.final_weights_sha256


@pytest.mark.slow
@pytest.mark.ci
def test_smoothing_changes_what_is_learned_and_the_defaults_do_not(run_tiny):
    plain, same, smoothed = (
        run_tiny(name, *options).final_weights_sha256
        for name, options in (("a", []), ("b", ["task.label_smoothing=0.0"]), ("c", ["task.label_smoothing=0.2"]))
    )
    assert plain == same != smoothed


class LogsMore(pl.Callback):
    """Logs a metric of its own, as a subclass of the classifier would."""

    def on_validation_epoch_end(self, trainer, pl_module):
        pl_module.log("val/f1", 0.25 + trainer.current_epoch)

    def on_train_epoch_end(self, trainer, pl_module):
        pl_module.log("gap/acc", 0.5)


def test_whatever_is_logged_is_kept(run_tiny, with_callback, tmp_path):
    with_callback(LogsMore())
    record = run_tiny("run", "callbacks.checkpoints.monitor=val/f1")
    assert [row.metrics["val/f1"] for row in record.history] == [0.25, 1.25]
    assert [row.metrics["gap/acc"] for row in record.history] == [0.5, 0.5]
    assert record.best_epoch == 1
    assert record.metrics["val/f1"] == 1.25
    assert record.metrics["gap/acc"] == 0.5
    assert tabulate(collect([tmp_path / "outputs"]), metric="val/f1").ranked()[0].metrics["val/f1"].mean == 1.25


class EndsInSoftmax(nn.Module):
    def __init__(self, net):
        super().__init__()
        self.net = net

    def forward(self, images):
        return self.net(images).softmax(dim=1)


@pytest.fixture
def wrapped(monkeypatch):
    """``wrapped(wrap)``: nets of this test are built inside `wrap`."""
    from vision_baselines.training import build

    original = build.classifier

    def use(wrap):
        def classifier(cfg):
            made = original(cfg)
            made.net = wrap(made.net)
            return made

        monkeypatch.setattr(build, "classifier", classifier)

    return use


def test_a_net_that_ends_in_softmax_is_named_from_its_first_batch(run_tiny, wrapped, caplog):
    wrapped(EndsInSoftmax)
    with caplog.at_level(logging.WARNING):
        record = run_tiny("run")
    assert sum("remove the softmax" in message for message in caplog.messages) == 1
    assert any("remove the softmax" in caveat for caveat in record.caveats)


class SaysZero(nn.Module):
    """Class 0 for every image, with weights to train all the same."""

    def __init__(self, net):
        super().__init__()
        self.net = net

    def forward(self, images):
        logits = self.net(images)
        return logits + torch.nn.functional.one_hot(torch.tensor(0), logits.shape[1]) * 1e3


def test_one_class_for_every_test_image_is_said_everywhere(run_tiny, wrapped, caplog, tmp_path):
    wrapped(SaysZero)
    with caplog.at_level(logging.WARNING):
        record = run_tiny("run")
    assert any("every test prediction is one class, 0: that of" in message for message in caplog.messages)
    assert len(record.caveats) == 1
    assert read_record(tmp_path / "outputs" / "run").caveats == record.caveats
    assert any("in 1 of 1 job, every test prediction" in text for text in caveats(tabulate(collect([tmp_path]))))
    assert "every test prediction" in record_result(tmp_path / "outputs" / "run")


def test_what_is_no_task_is_refused(run_tiny):
    with pytest.raises(ConfigError, match=r"task\._target_ makes a Identity; expected a Task"):
        run_tiny("run", "task._target_=torch.nn.Identity")
