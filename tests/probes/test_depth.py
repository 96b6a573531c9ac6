"""Activations by block: their size against a plain pass, and that looking costs nothing where nothing is logged."""

from __future__ import annotations

import pytest
import torch
from pytorch_lightning import Callback
from torch import nn

from vision_baselines.errors import ConfigError
from vision_baselines.models.cnn import CNN
from vision_baselines.models.fc import FC
from vision_baselines.probes.depth import Depth, find_blocks
from vision_baselines.training import build

SHAPE = (1, 8, 8)


class Witness(Callback):
    """Computes the first block's mean |activation| in each training step by itself, and counts the hooks on it."""

    def __init__(self):
        self.means, self.hooks = {}, {}

    def on_before_zero_grad(self, trainer, pl_module, optimizer):
        self.hooks[trainer.global_step] = len(pl_module.net.features[0]._forward_hooks)

    def on_train_batch_start(self, trainer, pl_module, batch, batch_idx):
        block, step = pl_module.net.features[0], trainer.global_step
        states = {key: value.clone() for key, value in block.state_dict().items()}
        with torch.no_grad():
            self.means[step] = float(nn.Sequential(*block)(batch[0]).abs().mean())
        block.load_state_dict(states)  # BatchNorm's running statistics have moved


def test_the_record_has_the_mean_over_the_test_split_of_the_best_net(probed, rebuilt):
    record, folder = probed
    datamodule, classifier, best = rebuilt(record, folder)
    classifier.load_state_dict(best)
    features = datamodule.normalize(datamodule.splits.test.images)
    for index, block in enumerate(classifier.net.features):
        with torch.no_grad():
            features = block(features)
        assert record.metrics[f"depth/block_{index}"] == pytest.approx(float(features.abs().mean()), rel=1e-5)

    assert record.curves["depth/activation"].y == pytest.approx(
        [record.metrics["depth/block_0"], record.metrics["depth/block_1"]]
    )


@pytest.mark.slow
@pytest.mark.ci
def test_training_is_looked_at_every_so_many_steps_and_unhooked_between(run_tiny, with_callback, scalars, tmp_path):
    witness = Witness()
    with_callback(witness)
    run_tiny("run", "probe=depth", "trainer.log_every_n_steps=5", "logger=tensorboard")
    logged = scalars(tmp_path / "outputs" / "run")["depth/block_0_step"]

    assert [step for step, _ in logged] == [4, 9]
    assert [value for _, value in logged] == pytest.approx([witness.means[4], witness.means[9]], rel=1e-5)
    assert [step for step, hooks in witness.hooks.items() if hooks] == [4, 9]


@pytest.mark.parametrize(
    ("net", "kinds"),
    [
        (CNN(SHAPE, 3, channels=[2, 2, 2]), [nn.Sequential] * 3),
        (FC(SHAPE, 3, hidden_features=[5, 4]), [nn.Linear] * 3),
        (nn.Linear(2, 2), [nn.Linear]),
    ],
)
def test_blocks_are_found_in_nets_that_name_none(net, kinds):
    assert [type(block) for block in find_blocks(net)] == kinds


def test_what_a_net_calls_blocks_comes_before_features():
    net = nn.Module()
    net.features, net.blocks = nn.Sequential(nn.ReLU()), nn.ModuleList([nn.Tanh(), nn.GELU()])

    assert [type(block) for block in find_blocks(net)] == [nn.Tanh, nn.GELU]


def test_named_blocks_are_taken_in_the_order_given():
    net = FC(SHAPE, 3, hidden_features=[5, 4])

    assert find_blocks(net, ["layers.4", "layers.1"]) == [net.layers[4], net.layers[1]]


def test_a_block_that_is_not_there_is_refused_before_training(run_tiny):
    with pytest.raises(ConfigError, match=r"^probe\.depth\.blocks names 'head\.9'; expected modules of the net, such"):
        run_tiny("run", "probe=depth", "probe.depth.blocks=[features.0,head.9]")


@pytest.mark.parametrize("steps", [0, True, 2.5])
def test_an_interval_that_is_none_is_refused(steps):
    with pytest.raises(ConfigError, match=r"^probe\.depth\.log_every_n_steps is .*; expected a whole number"):
        Depth(log_every_n_steps=steps)


class Idle(nn.Module):
    """Has a layer that it does not use."""

    def __init__(self):
        super().__init__()
        self.blocks = nn.ModuleList([nn.Linear(64, 10), nn.Linear(64, 10)])

    def forward(self, images):
        return self.blocks[0](images.flatten(1))


@pytest.mark.slow
@pytest.mark.ci
def test_a_block_that_is_never_called_is_named_and_not_measured_as_zero(run_tiny, monkeypatch, caplog):
    made = build.classifier

    def classifier(cfg):
        result = made(cfg)
        result.net = Idle()
        return result

    monkeypatch.setattr(build, "classifier", classifier)
    with caplog.at_level("INFO"):
        record = run_tiny("run", "probe=depth")

    assert record.finished
    assert record.curves == {}
    assert "probe.depth: nothing to measure, a block is not called" in caplog.text
