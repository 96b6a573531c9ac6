"""What a trained run has to show: its metrics, its filters, its weights' checksum, its row in TensorBoard."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pytorch_lightning as pl
from PIL import Image
from torch import nn

from vision_baselines.comparison.metric import Metric, headline_value
from vision_baselines.probes.filters import FilterPictures, filters_of, log_filters
from vision_baselines.report.hparams import measurements, session
from vision_baselines.runs.files import FILTERS_FILE, is_probe_picture
from vision_baselines.runs.record import EpochRow, RunRecord, Status
from vision_baselines.storage.atomic import staged, write_atomically
from vision_baselines.storage.hashing import state_sha256
from vision_baselines.tasks.names import in_words
from vision_baselines.training.result_pictures import result_pictures
from vision_baselines.training.run_logger import RunLogger
from vision_baselines.training.tensorboard_logger import RunTensorBoardLogger

FILTERS_PICTURE = "filters.png"
_SHOWN, _DRAWN = 8, 3  # numbers and pictures of a probe that the end of a run names


def weights_sha256(net: nn.Module) -> str:
    """SHA-256 of a net's state, as it is published and recorded; see `hashing.state_sha256`."""
    return state_sha256(net.state_dict())


def log_result(record: RunRecord, trainer: pl.Trainer, classifier: Any, folder: Path) -> None:
    """Leave the best epoch's filters in `folder` and with the loggers, their film, and the run's row in HParams."""
    best = "last epoch" if record.best_epoch is None else f"best epoch {record.best_epoch} (from 0)"
    filters = filters_of(trainer, classifier)
    if filters is not None:
        with staged(folder / FILTERS_FILE) as file:
            np.save(file, filters.numpy())
        drawing = [c for c in trainer.callbacks if isinstance(c, FilterPictures)]  # type: ignore[attr-defined]
        for callback in drawing:
            picture = log_filters(trainer, filters, best, step=trainer.global_step)
            with staged(folder / FILTERS_PICTURE) as file:
                Image.fromarray(picture.permute(1, 2, 0).numpy()).save(file, format="PNG")
            for name, content in callback.film().items():
                write_atomically(folder / name, content)
    for logger in trainer.loggers:
        if isinstance(logger, RunLogger):
            for name, png in result_pictures(record) if logger.pictures else ():
                logger.log_png(name, png, step=trainer.global_step)
            logger.log_end(record)
        if isinstance(logger, RunTensorBoardLogger):
            logger.log_result(session(record, folder), measurements(record))


def best_metrics(
    tested: Mapping[str, float], validated: Mapping[str, float], history: list[EpochRow], best_epoch: int | None
) -> dict[str, float]:
    """The metrics of the weights that were kept: test, validation, and all else that was logged of their epoch.

    Args:
        tested: What the test measured.
        validated: What validation measured of the same weights; empty takes the history's row of the best epoch.
        history: The learning curves.
        best_epoch: Index of the epoch, from 0.
    """
    metrics = {key: float(value) for key, value in tested.items()}
    for row in history:
        if row.epoch == best_epoch:
            metrics |= {key: value for key, value in row.metrics.items() if not key.startswith("train/")}
    return metrics | {key: float(value) for key, value in validated.items() if key.startswith("val/")}


def probe_lines(record: RunRecord) -> list[str]:
    """What a run's probes measured, a line for each: its first numbers, and the pictures it drew."""
    lines: dict[str, list[str]] = {}
    for name, value in record.metrics.items():
        probe, _, quantity = name.partition("/")
        if probe not in ("train", "val", "test"):
            lines.setdefault(probe, []).append(f"{in_words(quantity)} {Metric(name).written(value)}")
    shown = {
        probe: values[:_SHOWN] + [f"{len(values) - _SHOWN} more"] * (len(values) > _SHOWN)
        for probe, values in lines.items()
    }
    drawn = [name for name in record.files if is_probe_picture(name)]
    for probe in sorted({name.partition("/")[0] for name in drawn}):
        names = [name for name in drawn if name.startswith(f"{probe}/")]
        more = f" and {len(names) - _DRAWN} more" if len(names) > _DRAWN else ""
        shown.setdefault(probe, []).append(f"pictures {', '.join(names[:_DRAWN])}{more}")
    return [f"{probe}  {' · '.join(values)}" for probe, values in sorted(shown.items())]


def headline(record: RunRecord) -> str:
    """One line on a run: what came out, what it cost."""
    if record.status is not Status.FINISHED:
        reason = f": {record.failure.message}" if record.failure else ""
        return f"{record.name}  {record.status}{reason}"
    size = f"{record.parameters.total:,} parameters" if record.parameters else ""
    best = f"best epoch {record.best_epoch} (from 0)" if record.best_epoch is not None else ""
    return f"{record.name}  {headline_value(record)}  {best}  {size}  {record.timings.fit_s:.1f} s"
