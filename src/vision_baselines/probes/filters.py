"""Every first-layer filter in one labelled picture, before training and at the best epoch."""

from __future__ import annotations

import io
import math
from typing import Any

import numpy as np
import pytorch_lightning as pl
import torch
from PIL import Image
from torch import Tensor

from vision_baselines.analysis.filter_grid import filter_grid, first_layer_filters

TAG = "filters/first_layer"


class FilterPictures(pl.Callback):
    """Logs ``filters/first_layer`` at step 0; `log_filters` adds the best epoch's once that is known."""

    def on_train_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Draw the filters as they were drawn at random; a resumed run has that picture already."""
        if trainer.global_step == 0:
            filters = filters_of(trainer, pl_module)
            if filters is not None:
                log_filters(trainer, filters, "before training", step=0)


def filters_of(trainer: pl.Trainer, pl_module: pl.LightningModule) -> Tensor | None:
    """The first layer's filters, (n, C, kH, kW) float32 on the CPU; None if that layer is of another kind."""
    try:
        shape = trainer.datamodule.image_shape  # type: ignore[attr-defined]
        return first_layer_filters(pl_module.net, shape)  # type: ignore[arg-type]
    except ValueError:
        return None


def log_filters(trainer: pl.Trainer, filters: Tensor, moment: str, *, step: int) -> Tensor:
    """Draw filters (n, C, kH, kW) to every logger that takes pictures.

    Returns:
        The picture, (3, H, W) uint8.
    """
    picture = labelled_grid(filters, moment)
    for logger in trainer.loggers:
        experiment: Any = getattr(logger, "experiment", None)
        if hasattr(experiment, "add_image"):
            experiment.add_image(TAG, picture, global_step=step)
    return picture


def labelled_grid(filters: Tensor, moment: str) -> Tensor:
    """The filters' grid under a title that says what they are, with their numbers along its edges.

    Returns:
        uint8 (3, H, W).
    """
    from matplotlib.figure import Figure  # a run without pictures need not wait for it

    count, channels, height, width = filters.shape
    columns = min(count, max(8, math.ceil(math.sqrt(2 * count * height / width))))
    rows = math.ceil(count / columns)
    scale = float(filters.abs().max())
    upscale = max(1, round(24 / max(height, width)))
    grid = filter_grid(filters, padding=1, columns=columns, upscale=upscale).permute(1, 2, 0).numpy()
    tile_h, tile_w = grid.shape[0] / rows, grid.shape[1] / columns

    inches = max(9.0, grid.shape[1] / 95)  # at 100 dots an inch, no pixel of the grid falls between two of the picture
    figure = Figure(figsize=(inches, inches * grid.shape[0] / grid.shape[1] + 0.9), dpi=100, layout="constrained")
    axes = figure.subplots()
    axes.imshow(grid)
    axes.set_title(
        f"{count} first-layer filters of {channels}×{height}×{width}, {moment}; grey 0, black and white ±{scale:.2g}",
        fontsize=9,
    )
    every = max(1, columns // 16)
    axes.set_xticks([(i + 0.5) * tile_w for i in range(0, columns, every)], [f"+{i}" for i in range(0, columns, every)])
    axes.set_yticks([(i + 0.5) * tile_h for i in range(rows)], [str(i * columns) for i in range(rows)])
    axes.tick_params(labelsize=7, length=0)
    buffer = io.BytesIO()
    figure.savefig(buffer, format="png")
    pixels = np.array(Image.open(buffer).convert("RGB"))
    return torch.from_numpy(pixels).permute(2, 0, 1)
