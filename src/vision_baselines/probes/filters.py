"""The first-layer filters in one labelled picture, before training and at the best epoch, and as a film between."""

from __future__ import annotations

import logging
import time
from typing import Any

import pytorch_lightning as pl
import torch
from torch import Tensor

from vision_baselines.analysis.filter_grid import first_layer_filters
from vision_baselines.errors import ConfigError
from vision_baselines.probes.probe import add_image

log = logging.getLogger(__name__)

TAG = "filters/first_layer"
FILM = "filters/film"
MOST_FILTERS = 64
MOST_FILMED = 16  # they travel in every checkpoint, and a frame is to be taken in at a glance


class FilterPictures(pl.Callback):
    """Logs ``filters/first_layer`` at step 0; `log_filters` adds the best epoch's once that is known.

    Args:
        every_n_epochs: Epochs between two frames of a film of the first 16 filters; None makes no film. Each frame is
            logged as ``filters/film`` at the last step of its epoch, and `film` draws them all. The frames travel in
            the checkpoint, so that a resumed run has those of the uninterrupted one.

    Raises:
        ConfigError: `every_n_epochs` is no whole number above 0.
    """

    def __init__(self, every_n_epochs: int | None = None) -> None:
        wrong = isinstance(every_n_epochs, bool) or not isinstance(every_n_epochs, int) or every_n_epochs < 1
        if every_n_epochs is not None and wrong:
            raise ConfigError(
                f"callbacks.filters.every_n_epochs is {every_n_epochs!r}; expected null, or a whole number above 0"
            )
        self.every_n_epochs = every_n_epochs
        self.frames: dict[int, Tensor] = {}  # by epochs trained: every n-th, and the latest

    def state_dict(self) -> dict[str, Any]:
        """The frames so far; nothing where there is no film."""
        return {"frames": dict(self.frames), "every_n_epochs": self.every_n_epochs} if self.every_n_epochs else {}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Take up where the saved run stood."""
        if self.every_n_epochs:
            self.frames = dict(state_dict["frames"])
            if state_dict["every_n_epochs"] != self.every_n_epochs:
                log.warning(
                    "callbacks.filters.every_n_epochs was %d and is %d: the film has frames of both",
                    state_dict["every_n_epochs"],
                    self.every_n_epochs,
                )

    def on_train_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Draw the filters as they were drawn at random; a resumed run has that picture already."""
        if trainer.global_step == 0:
            filters = filters_of(trainer, pl_module)
            if filters is not None:
                add_image(trainer, TAG, lambda: labelled_grid(filters, "before training"), step=0)
                self._take(filters, 0)
            elif self.every_n_epochs:
                log.info("callbacks.filters: no film, the first layer of this net has no filters")
        elif self.every_n_epochs and not self.frames:
            log.info("callbacks.filters: the film begins here, for the run began without one")

    def on_train_epoch_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Keep and log a frame; the latest is kept too, so that the film ends where training does."""
        filters = filters_of(trainer, pl_module) if self.every_n_epochs else None
        if filters is None or not self.every_n_epochs:
            return
        epochs = trainer.current_epoch + 1
        self._take(filters, epochs)
        if epochs % self.every_n_epochs == 0:
            # before the step at which this state may be saved: a resumed run keeps what was logged before that
            moment, step = f"after {epochs} epoch{'s' if epochs > 1 else ''}", trainer.global_step - 1
            began = time.perf_counter()
            add_image(trainer, FILM, lambda: labelled_grid(filters, moment), step=step)
            for callback in trainer.callbacks:  # type: ignore[attr-defined]
                if hasattr(callback, "leave_out"):  # the clock of the run
                    callback.leave_out(time.perf_counter() - began)

    def film(self) -> dict[str, bytes]:
        """The film as files by name, ``filters_film.gif`` and ``filters_film.png``; none where there are no frames."""
        if not self.frames:
            return {}
        from vision_baselines.plots.export import png  # a run without pictures need not wait for Matplotlib
        from vision_baselines.plots.filter_film import film_gif, film_sheet
        from vision_baselines.plots.style import house_style

        frames = {epochs: filters.numpy() for epochs, filters in self.frames.items()}
        with house_style():
            return {"filters_film.gif": film_gif(frames), "filters_film.png": png(film_sheet(frames))}

    def _take(self, filters: Tensor, epochs: int) -> None:
        if self.every_n_epochs and bool(torch.isfinite(filters).all()):
            kept = {at: frame for at, frame in self.frames.items() if at % self.every_n_epochs == 0}
            self.frames = {**kept, epochs: filters[:MOST_FILMED].clone()}


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
    from vision_baselines.plots.filters import labelled_mosaic  # a run without pictures need not wait for it

    count, channels, height, width = filters.shape
    weights = filters[:MOST_FILTERS].float().numpy()
    shown = f"{len(weights)} of {count}" if count > len(weights) else f"{count}"
    title = f"{shown} first-layer filters of {channels}×{height}×{width}, {moment}"
    return torch.from_numpy(labelled_mosaic(weights, title)).permute(2, 0, 1)
