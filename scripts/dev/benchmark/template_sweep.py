"""The jobs of a sweep the usual way: ``python -m benchmark.template_sweep 1 cnn,fc 0,1,2 data=mnist``.

What it prints last are the seconds of its jobs, one after another.
"""

from __future__ import annotations

import sys
import tempfile
import time
from pathlib import Path

import pytorch_lightning as pl
from pytorch_lightning.callbacks import ModelCheckpoint
from pytorch_lightning.loggers import TensorBoardLogger
from torch.utils.data import DataLoader

from benchmark.trainers import Pictures, TemplateModule
from vision_baselines.config.compose import composed, register_resolvers
from vision_baselines.data.splits import Split, Splits
from vision_baselines.training import build
from vision_baselines.training.build import quieten_lightning

BATCH_SIZE = 64


def main(epochs: int, models: list[str], seeds: list[int], overrides: list[str]) -> None:
    """Train, validate and test each net with each seed, one job after another in this process; print what it took."""
    register_resolvers()
    quieten_lightning()
    module = build.datamodule(composed(["name=template", *overrides]))
    module.prepare_data()
    module.setup()
    assert module.splits is not None
    began = time.perf_counter()
    for model in models:
        for seed in seeds:
            _job(module.splits, model, seed, epochs)
    print(time.perf_counter() - began)


def _job(splits: Splits, model: str, seed: int, epochs: int) -> None:
    pl.seed_everything(seed, workers=True, verbose=False)
    with tempfile.TemporaryDirectory() as folder:
        trainer = pl.Trainer(
            default_root_dir=folder,
            max_epochs=epochs,
            accelerator="cpu",
            devices=1,
            logger=TensorBoardLogger(folder, name="template"),
            callbacks=[ModelCheckpoint(Path(folder) / "checkpoints", monitor="val/acc", mode="max", save_last=True)],
            enable_progress_bar=False,
            enable_model_summary=False,
        )
        shape = tuple(splits.train.images.shape[1:])
        module = TemplateModule(model, shape)
        trainer.fit(module, _loader(splits.train, shuffle=True), _loader(splits.val))
        trainer.test(module, _loader(splits.test), ckpt_path="best", weights_only=False, verbose=False)


def _loader(split: Split, *, shuffle: bool = False) -> DataLoader[object]:
    return DataLoader(Pictures(split.images, split.target), batch_size=BATCH_SIZE, shuffle=shuffle, num_workers=0)


if __name__ == "__main__":
    main(int(sys.argv[1]), sys.argv[2].split(","), [int(seed) for seed in sys.argv[3].split(",")], sys.argv[4:])
