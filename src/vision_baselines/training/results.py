"""What a trained run has to show: its metrics, its filters, its weights' checksum, its row in TensorBoard."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pytorch_lightning as pl
import torch
from hydra.core.hydra_config import HydraConfig
from omegaconf import DictConfig, OmegaConf
from PIL import Image
from torch import Tensor, nn

from vision_baselines.probes.filters import FilterPictures, filters_of, log_filters
from vision_baselines.runs.fingerprint import group_name
from vision_baselines.runs.record import EpochRow, RunRecord
from vision_baselines.training.tensorboard_logger import RunTensorBoardLogger

FILTERS_FILE = "filters.npy"
FILTERS_PICTURE = "filters.png"


def weights_sha256(net: nn.Module) -> str:
    """SHA-256 over the names, types, shapes and bytes of a net's state, in the order of its names."""
    digest = hashlib.sha256()
    for name, value in sorted(net.state_dict().items()):
        tensor: Tensor = value.detach().cpu().contiguous()
        digest.update(f"{name} {tensor.dtype} {tuple(tensor.shape)}\n".encode())
        digest.update(tensor.reshape(-1).view(torch.uint8).numpy().tobytes())
    return digest.hexdigest()


def log_result(cfg: DictConfig, record: RunRecord, trainer: pl.Trainer, classifier: Any, folder: Path) -> None:
    """Leave the best epoch's filters in `folder` and with the loggers, and the run's row in TensorBoard's HParams."""
    best = "last epoch" if record.best_epoch is None else f"best epoch {record.best_epoch + 1}"
    filters = filters_of(trainer, classifier)
    if filters is not None:
        np.save(folder / FILTERS_FILE, filters.numpy())
        if any(isinstance(callback, FilterPictures) for callback in trainer.callbacks):  # type: ignore[attr-defined]
            picture = log_filters(trainer, filters, best, step=trainer.global_step)
            Image.fromarray(picture.permute(1, 2, 0).numpy()).save(folder / FILTERS_PICTURE)
    params: dict[str, Any] = {"seed": record.seed, "lr": OmegaConf.select(cfg, "optimizer.lr")}
    params |= {"batch_size": cfg.data.batch_size, "max_epochs": cfg.trainer.max_epochs}
    if HydraConfig.initialized():
        choices = HydraConfig.get().runtime.choices
        params |= {key: choices[key] for key in ("model", "data", "optimizer", "scheduler") if choices.get(key)}
    name = record.headline_metric
    metrics = {f"hparams/{name.replace('/', '_')}": record.metrics[name]} if name in record.metrics else {}
    if record.parameters:
        metrics["hparams/parameters"] = float(record.parameters.total)
    for logger in trainer.loggers:
        if isinstance(logger, RunTensorBoardLogger):
            logger.log_result(params, metrics, group=group_name(record.overrides))


def best_metrics(tested: Mapping[str, float], history: list[EpochRow], best_epoch: int | None) -> dict[str, float]:
    """The best epoch's metrics on the test split, and all that was logged of that epoch but its training metrics."""
    metrics = {key: float(value) for key, value in tested.items()}
    for row in history:
        if row.epoch == best_epoch:
            metrics |= {key: value for key, value in row.metrics.items() if not key.startswith("train/")}
    return metrics
