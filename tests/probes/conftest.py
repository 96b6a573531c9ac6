"""One probed run that several tests look at."""

from __future__ import annotations

import pytest
import torch


@pytest.fixture(scope="session")
def everything():
    """Overrides of a run with every probe, the first two of them; its batches do not divide the test split."""
    return [
        "probe=all",
        "probe.saliency.max_classes=2",
        "trainer.log_every_n_steps=4",
        "logger=tensorboard",
        "++data.eval_batch_size=7",
    ]


@pytest.fixture(scope="session")
def probed(train_tiny, tmp_path_factory, everything):
    """A finished tiny run with every probe: its record and its folder."""
    folder = tmp_path_factory.mktemp("probed") / "run"
    return train_tiny(folder, *everything), folder


@pytest.fixture(scope="session")
def rebuilt():
    """``rebuilt(record, folder)``: datamodule, net as it was drawn, and its best weights, without a trainer."""

    def build(record, folder):
        from vision_baselines.config.restore import restored
        from vision_baselines.training import build

        cfg = restored(record.config, folder)
        datamodule = build.datamodule(cfg)
        datamodule.setup()
        torch.manual_seed(record.seed)
        classifier = build.classifier(cfg).eval()
        best = torch.load(folder / "checkpoints" / "best.ckpt", weights_only=True)["state_dict"]
        return datamodule, classifier, best

    return build
