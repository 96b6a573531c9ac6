"""The first-layer filters in one labelled picture, before training and at the best epoch."""

from __future__ import annotations

import io
import math

import pytorch_lightning as pl
from torch import Tensor

from vision_baselines.analysis.filter_grid import first_layer_filters
from vision_baselines.probes.probe import add_image, pixels_of

TAG = "filters/first_layer"
MOST_FILTERS = 64


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
        return first_layer_filters(pl_module.net, shape).float().cpu()  # type: ignore[arg-type]
    except ValueError:
        return None


def log_filters(trainer: pl.Trainer, filters: Tensor, moment: str, *, step: int) -> Tensor:
    """Draw filters (n, C, kH, kW) to every logger that takes pictures.

    Returns:
        The picture, (3, H, W) uint8.
    """
    picture = labelled_grid(filters, moment)
    add_image(trainer, TAG, lambda: picture, step)
    return picture


def labelled_grid(filters: Tensor, moment: str) -> Tensor:
    """The first `MOST_FILTERS` filters as the comparison draws them, under a title, with their numbers along the edges.

    Returns:
        uint8 (3, H, W).
    """
    from matplotlib.figure import Figure  # a run without pictures need not wait for it

    from vision_baselines.plots.filters import COLUMNS, mosaic

    count, channels, height, width = filters.shape
    weights = filters[:MOST_FILTERS].float().numpy()
    limit = float(abs(weights).max()) or 1.0
    picture = mosaic(weights, limit)
    columns, rows = min(COLUMNS, len(weights)), math.ceil(len(weights) / COLUMNS)
    step_y, step_x = (picture.shape[0] / rows, picture.shape[1] / columns)
    shown = f"{len(weights)} of {count}" if count > len(weights) else f"{count}"

    inches = picture.shape[1] / 100 + 0.5  # at 100 dots an inch a weight is a whole number of pixels
    figure = Figure(figsize=(max(inches, 5.2), picture.shape[0] / 100 + 0.8), dpi=100, layout="constrained")
    axes = figure.subplots()
    axes.imshow(picture, interpolation="nearest")
    axes.set_title(
        f"{shown} first-layer filters of {channels}×{height}×{width}, {moment}\n"
        f"{'grey' if channels == 3 else 'white'} is 0, the ends of the scale are ±{limit:.2g}",
        fontsize=9,
    )
    axes.set_xticks([(i + 0.5) * step_x for i in range(columns)], [f"+{i}" for i in range(columns)])
    axes.set_yticks([(i + 0.5) * step_y for i in range(rows)], [str(i * columns) for i in range(rows)])
    axes.tick_params(labelsize=7, length=0)
    axes.spines[:].set_visible(False)
    buffer = io.BytesIO()
    figure.savefig(buffer, format="png")
    return pixels_of(buffer.getvalue())
