"""task=binary: one logit and binary cross-entropy, with the metrics, confusion and predictions of two classes."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torch import nn

import vision_baselines as vb
from vision_baselines.errors import ConfigError
from vision_baselines.tasks.binary import Binary

OVERRIDES = ["data=circles_gaussian", "task=binary", "model=gated_mlp", "trainer.max_epochs=12", "logger=none"]


def test_the_loss_is_torch_s_and_the_probabilities_are_the_sigmoid_s():
    net, images = nn.Sequential(nn.Flatten(), nn.Linear(2, 1)), torch.randn(16, 2, 1, 1)
    target = torch.randint(0, 2, (16,))
    task, logit = Binary(2), net(images).squeeze(1)
    outputs = task.outputs(net, images)
    torch.testing.assert_close(task.loss(outputs, target), nn.BCEWithLogitsLoss()(logit, target.float()))
    torch.testing.assert_close(outputs.softmax(dim=1)[:, 1], logit.sigmoid())
    assert torch.equal(task.prediction(outputs), (logit > 0).long())


@pytest.mark.slow
@pytest.mark.ci
def test_a_run_learns_and_its_net_has_one_output(tmp_path):
    run = vb.train([*OVERRIDES, "name=binary", f"paths.output_dir={tmp_path}"])
    assert run.metrics["test/acc"] > 0.9
    assert run.net()(torch.zeros(3, 2, 1, 1)).shape == (3, 1)
    assert np.sum(run.record.confusion) == 1000
    assert np.trace(np.array(run.record.confusion)) / 1000 == pytest.approx(run.metrics["test/acc"])
    assert vb.evaluate(run).same


@pytest.mark.few(1)
@pytest.mark.parametrize(
    ("overrides", "says"),
    [
        (["data=digits", "model=fc"], "task=binary learns two classes; the data has data.num_classes=10"),
        (["data=circles", "model=fc", "model.num_classes=2"], "model.num_classes is 2; task=binary needs a net of one"),
        (["data=circles", "model=fc", "+task.label_smoothing=0.1"], "has no task.label_smoothing"),
        (["data=circles", "model=fc", "+task.class_weights=balanced"], "no task.class_weights"),
    ],
)
def test_what_is_not_for_two_classes_is_one_line(overrides, says, tmp_path):
    with pytest.raises(ConfigError, match=says):
        vb.train(["task=binary", "logger=none", f"paths.output_dir={tmp_path}", *overrides])


def test_a_net_of_two_outputs_is_refused_with_the_key_to_set():
    with pytest.raises(ConfigError, match=r"one output an image; the net's are \(4, 2\): set model.num_classes=1"):
        Binary(2).outputs(nn.Sequential(nn.Flatten(), nn.Linear(2, 2)), torch.zeros(4, 2, 1, 1))
