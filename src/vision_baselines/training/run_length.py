"""How long a run is where its epochs are no whole number: Lightning counts in epochs or in steps."""

from __future__ import annotations

import math

from omegaconf import DictConfig

from vision_baselines.data.datamodule import ImageDataModule


def length_options(cfg: DictConfig, datamodule: ImageDataModule | None) -> dict[str, int]:
    """Options of Lightning's Trainer in place of a fractional ``trainer.max_epochs``; none where it is whole.

    Args:
        cfg: The config of a run.
        datamodule: Its data has been read; None where nothing is trained.
    """
    epochs = cfg.trainer.get("max_epochs")
    if not isinstance(epochs, float):
        return {}
    whole = {"max_epochs": math.ceil(epochs)}
    if datamodule is None:
        return whole
    batches = len(datamodule.train_dataloader())
    limit = cfg.trainer.get("overfit_batches") or cfg.trainer.get("limit_train_batches")
    if limit is not None:
        batches = int(batches * limit) if isinstance(limit, float) else min(batches, limit)
    steps = max(1, round(epochs * math.ceil(batches / (cfg.trainer.get("accumulate_grad_batches") or 1))))
    given = cfg.trainer.get("max_steps", -1)
    return {**whole, "max_steps": steps if given in (None, -1) else min(steps, given)}
