"""Every net that a config can name, and nets of one's own, exported to both formats; or one line why not."""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np
import pytest
import torch

from vision_baselines.errors import ConfigError
from vision_baselines.evaluation.export import export
from vision_baselines.training.load import load_classifier
from vision_baselines.training.run import train

ROOT = Path(__file__).resolve().parents[2]
MODELS = sorted(path.stem for path in (ROOT / "conf" / "model").glob("*.yaml"))
SUFFIXES = (".pt2", ".onnx")
BARE = [
    "data=noise",
    "++data.source.train_size=60",
    "++data.source.val_size=12",
    "++data.source.test_size=20",
    "data.batch_size=8",
    "trainer.max_epochs=1",
    "callbacks.learning_rate=null",
    "callbacks.filters=null",
    "callbacks.parameters=null",
    "logger=none",
]
SMALL = ["++data.source.image_shape=[1,8,8]", "data.image_shape=[1,8,8]"]
BINARY = ["task=binary", "model.num_classes=1", "++data.source.num_classes=2"]
EMA = ["+callbacks.extra._target_=pytorch_lightning.callbacks.EMAWeightAveraging", "+callbacks.extra.decay=0.9"]

OWN = '''
import torch
from torch import nn


class Net(nn.Module):
    def __init__(self, num_classes=10, **of_the_default_net):
        super().__init__()
        self.linear = nn.Linear(64, num_classes)
        self.register_buffer("seen", torch.zeros(()))

    def logits(self, images):
        return self.linear(images.flatten(1))


class View(Net):
    def forward(self, images):
        return self.linear(images.view(len(images), -1))


class Shared(Net):
    def __init__(self, **of_the_default_net):
        super().__init__()
        self.first = nn.Linear(64, 64)
        self.second = self.first

    def forward(self, images):
        return self.linear(self.second(self.first(images.flatten(1)).relu()))


class Attention(Net):
    def __init__(self, **of_the_default_net):
        super().__init__()
        self.attention = nn.MultiheadAttention(8, 2, batch_first=True)
        self.norm = nn.LayerNorm(8)

    def forward(self, images):
        rows = images.flatten(2).transpose(1, 2).reshape(-1, 8, 8)
        return self.linear(self.norm(rows + self.attention(rows, rows, rows, need_weights=False)[0]).flatten(1))


class Untracked(Net):
    """Normalises each batch by its own mean: an answer depends on the other pictures."""

    def forward(self, images):
        flat = images.flatten(1)
        return self.linear(flat - flat.mean(dim=0))


class Number(Net):
    """Knows its batch by len(), which a trace without Python's bytecode takes for a constant."""

    def forward(self, images):
        rows = images.reshape(len(images), 64)
        return self.linear(rows + torch.zeros(len(rows), 1))


class Values(Net):
    def forward(self, images):
        return self.logits(images) if images.sum() > 0 else self.logits(-images)


class Item(Net):
    def forward(self, images):
        return self.logits(images) * float(images.max())


class OfNumber(Net):
    def forward(self, images):
        return self.logits(images) * (2 if len(images) > 5 else 1)


class OneByOne(Net):
    def forward(self, images):
        return torch.cat([self.logits(image[None]) for image in images])


class One(Net):
    """Another answer for one picture alone, which a trace with two does not see."""

    def forward(self, images):
        return self.logits(images + 1 if images.shape[0] == 1 else images)


class Random(Net):
    def forward(self, images):
        return nn.functional.dropout(self.logits(images))


class Counting(Net):
    def forward(self, images):
        if not self.training:
            self.seen += 1
        return self.logits(images) + 0 * self.seen


class ToNumpy(Net):
    def forward(self, images):
        return self.logits(torch.from_numpy(images.detach().numpy().copy()))
'''


@pytest.fixture
def trained(compose, tmp_path):
    """``trained(*overrides)``: the folder of a run of one short epoch."""

    def call(*overrides):
        train(compose(*BARE, *overrides, run_dir=tmp_path / "run"))
        return tmp_path / "run"

    return call


@pytest.fixture
def own(tmp_path, monkeypatch):
    """A package of somebody's own on the path."""
    (tmp_path / "own_nets.py").write_text(OWN)
    monkeypatch.syspath_prepend(str(tmp_path))
    monkeypatch.delitem(sys.modules, "own_nets", raising=False)
    return ["trusted_packages=[own_nets]"]


def as_trained(folder: Path, images: np.ndarray, trusted=()) -> np.ndarray:
    """What the run's net answers, by torch alone."""
    classifier, data = load_classifier(folder / "checkpoints" / "best.ckpt", trusted_packages=trusted)
    mean, std = (torch.tensor(of).view(-1, 1, 1) for of in (data.mean, data.std))
    with torch.no_grad():
        return classifier((torch.from_numpy(images) / 255 - mean) / std).softmax(dim=1).numpy()


@pytest.mark.slow
@pytest.mark.parametrize("model", MODELS)
def test_every_model_of_the_configs_is_exported_and_answers_as_it_was_trained(model, trained, answers, pictures):
    side = 21 if model in ("lenet5", "simple_cnn") else 8  # neither takes 8×8
    shape = f"[1,{side},{side}]"
    folder = trained(f"model={model}", f"++data.source.image_shape={shape}", f"data.image_shape={shape}")
    images = pictures(5, (1, side, side))
    for suffix in SUFFIXES:
        found = export(folder, folder.parent / f"net{suffix}")
        assert (found.agreement.images, found.agreement.same_class) == (20, 20)
        shares = answers(found.path, images)
        np.testing.assert_allclose(shares, as_trained(folder, images), atol=1e-5)
        np.testing.assert_allclose(shares.sum(axis=1), 1, atol=1e-5)
    text = found.card.read_text()
    assert text.count("\n### net") == 2


@pytest.mark.slow
@pytest.mark.parametrize(
    "overrides",
    [
        [*SMALL, *BINARY],
        [*SMALL, *EMA],
        [*SMALL, "checkpoint=last"],
        [*SMALL, "data.permute_pixels=true"],
        [*SMALL, "data.num_classes=3", "data.classes=[3,1,7]"],
        [*SMALL, "+classifier.channels_last=false", "+data.channels_last=false"],
        [
            "++data.source.image_shape=[3,9,5]",
            "data.image_shape=[3,9,5]",
            "data.mean=[0.5,0.5,0.5]",
            "data.std=[1,1,1]",
        ],
        [*SMALL, "checkpoint=last", "data.folds=2", "data.fold=1"],
        [*SMALL, "trainer.precision=bf16-mixed"],
        [*SMALL, "trainer.precision=64-true"],
    ],
    ids=lambda overrides: overrides[-1],
)
def test_what_a_run_may_be_told_changes_nothing_of_that(overrides, trained, answers, pictures):
    folder = trained("model=cnn", "model.channels=[2,3]", "model.hidden_features=4", *overrides)
    for suffix in SUFFIXES:
        found = export(folder, folder.parent / f"net{suffix}")
        agreed = found.agreement
        assert agreed.same_class + agreed.ties == agreed.images
        assert agreed.largest_difference < 1e-5
        assert answers(found.path, pictures(3, found.image_shape)).shape == (3, len(found.class_names))


@pytest.mark.slow
@pytest.mark.parametrize("precision", ["bf16-true", "16-true"])
def test_nets_in_two_bytes_stay_so_in_pt2_and_are_single_in_onnx(precision, trained):
    folder = trained(
        "model=fc",
        "model.hidden_features=[8]",
        *SMALL,
        f"trainer.precision={precision}",
        "optimizer.lr=1e-4",
        "+optimizer.eps=1e-3",
    )
    half = {"bf16-true": "bfloat16", "16-true": "float16"}[precision]
    assert export(folder, folder.parent / "net.pt2").computes_in == half
    found = export(folder, folder.parent / "net.onnx")
    assert (found.trained_in, found.computes_in) == (half, "float32")


@pytest.mark.slow
@pytest.mark.parametrize("net", ["View", "Shared", "Attention", "Untracked", "Number"])
def test_a_net_of_ones_own_is_exported_like_any_other(net, own, trained, answers, pictures):
    folder = trained(f"++model={{_target_:own_nets.{net}}}", *own, *SMALL)
    for suffix in SUFFIXES:
        found = export(folder, folder.parent / f"net{suffix}", trusted_packages=["own_nets"])
        assert found.agreement.depends_on_batch == (net == "Untracked")
        images = pictures(6, (1, 8, 8))
        np.testing.assert_allclose(answers(found.path, images), as_trained(folder, images, ["own_nets"]), atol=1e-5)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("net", "why"),
    [
        ("Values", r"decides by the values of the pictures.*own_nets\.py, line \d+"),
        ("Item", r"decides by the values of the pictures.*own_nets\.py, line \d+"),
        ("OfNumber", "made for one number of pictures"),
        ("OneByOne", "made for one number of pictures"),
        ("One", "probabilities differ by up to"),
        ("Random", "answers the same pictures otherwise each time"),
        ("Counting", r"changes its own state with every batch \(seen\)"),
        ("ToNumpy", r"torch.export cannot take this net: .*own_nets\.py, line \d+"),
    ],
)
def test_a_net_that_cannot_be_exported_is_one_line_that_says_why(net, why, own, trained, capfd):
    folder = trained(f"++model={{_target_:own_nets.{net}}}", *own, *SMALL)
    capfd.readouterr()
    for suffix in SUFFIXES:
        with pytest.raises(Exception, match=why) as raised:
            export(folder, folder.parent / f"net{suffix}", trusted_packages=["own_nets"])
        assert "\n" not in str(raised.value)
        assert type(raised.value).__module__ == "vision_baselines.errors"
    assert not list(folder.parent.glob("net*"))
    assert "graph" not in capfd.readouterr().err


@pytest.mark.slow
def test_a_net_of_ones_own_needs_trust_again(own, trained):
    folder = trained("++model={_target_:own_nets.View}", *own, *SMALL)
    with pytest.raises(ConfigError, match=r"own_nets\.View.*trusted"):
        export(folder, folder.parent / "net.pt2")
