"""Every net trains on every data set whose images it can take, and says in one line why it cannot take the others."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

from vision_baselines.data.sources import Noise
from vision_baselines.errors import ConfigError
from vision_baselines.training import build
from vision_baselines.training.build import quieten_lightning

CONF = Path(__file__).resolve().parents[1] / "conf"
MODELS = sorted(path.stem for path in (CONF / "model").glob("*.yaml"))
# One of each image shape and number of classes; the data sets in brackets have the same.
DATA = {
    "digits": (1, 16, 16),
    "mnist": (1, 28, 28),  # fashion_mnist, kmnist, noise
    "cifar10": (3, 32, 32),  # image_folder
    "cifar100": (3, 32, 32),
    "circles": (2, 1, 1),
}
REFUSED = {("circles", model) for model in MODELS if model.startswith("cnn")} | {("circles", "fc_matched")}
REFUSED |= {("circles", "lenet5"), ("circles", "simple_cnn"), ("digits", "simple_cnn")}  # too small for all layers


def tiny(cfg):
    """The data module of a config, over a few made-up images of the shape it states."""
    made = build.datamodule(cfg)
    shape, classes = tuple(cfg.data.image_shape), cfg.data.num_classes
    made.source = Noise(train_size=24, val_size=8, test_size=8, image_shape=shape, num_classes=classes)
    return made


@pytest.mark.slow
def test_data_sets_of_one_shape_are_the_ones_named(compose):
    facts = {}
    for path in sorted((CONF / "data").glob("*.yaml")):
        data = compose(f"data={path.stem}").data
        if data.num_classes != "auto":  # files of one's own, which say it themselves
            facts[path.stem] = (tuple(data.image_shape), data.num_classes)
    assert {facts[name] for name in DATA} == set(facts.values())
    assert {name: facts[name][0] for name in DATA} == DATA


@pytest.mark.slow
@pytest.mark.parametrize("model", MODELS)
@pytest.mark.parametrize("data", DATA)
def test_it_trains_or_says_why_not(compose, data, model):
    cfg = compose(f"model={model}", f"data={data}", "data.batch_size=8", "logger=none", "+trainer.fast_dev_run=2")
    if (data, model) in REFUSED:
        with pytest.raises(ConfigError) as told:
            build.classifier(cfg)
        assert "\n" not in str(told.value)
        assert "image_shape" in str(told.value)
        return
    quieten_lightning()
    classifier = build.classifier(cfg)
    before = [parameter.detach().clone() for parameter in classifier.parameters()]
    trainer = build.trainer(cfg, callbacks=[], loggers=[])
    trainer.fit(classifier, datamodule=tiny(cfg))
    after = list(classifier.parameters())
    assert all(torch.isfinite(parameter).all() for parameter in after)
    assert all(not torch.equal(old, new) for old, new in zip(before, after, strict=True))
    assert torch.isfinite(trainer.callback_metrics["val/loss"])
