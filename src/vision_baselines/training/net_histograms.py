"""Histograms of a net's weights and of their gradients after each epoch, for `logger.tensorboard.histograms`."""

from __future__ import annotations

from typing import Any

import pytorch_lightning as pl
import torch
from torch import Tensor, nn

from vision_baselines.steps.unwatched import Unwatched


class NetHistograms(pl.Callback, Unwatched):
    """Logs ``weights/NAME`` and ``gradients/NAME`` of each parameter, at the last step of each training epoch.

    Gradients are those of that step. Values that are not finite are left out; where none is left, so is the histogram.

    Args:
        logger: A `RunTensorBoardLogger`.
    """

    wants_gradients = True  # where steps are shared: see `passes.step.Copy`

    def __init__(self, logger: Any) -> None:
        self._logger = logger

    def on_train_batch_end(
        self, trainer: pl.Trainer, pl_module: pl.LightningModule, outputs: Any, batch: Any, batch_idx: int
    ) -> None:
        """Log, if it is the last of the epoch; validation, which may come next, drops the gradients."""
        if not trainer.is_last_batch:
            return
        # before the step at which this state may be saved: a resumed run keeps what was logged before that
        step = trainer.global_step - 1
        net: nn.Module = pl_module.net  # type: ignore[assignment]
        for name, parameter in net.named_parameters():
            self._log(f"weights/{name}", parameter.detach(), step)
            if parameter.grad is not None:
                self._log(f"gradients/{name}", parameter.grad, step)

    def unwatched_steps(self, trainer: pl.Trainer) -> int:
        """See `steps.unwatched`: an epoch, with which steps at once end anyway."""
        return int(trainer.num_training_batches)

    def _log(self, tag: str, values: Tensor, step: int) -> None:
        if values.is_sparse or values.is_complex():
            return
        finite = values.float().flatten()
        finite = finite[torch.isfinite(finite)]
        if len(finite):
            self._logger.experiment.add_histogram(tag, finite.cpu(), global_step=step)
