"""Training and validation curves in one chart: a layout for TensorBoard's tab of custom scalars."""

from __future__ import annotations

from typing import Any

import pytorch_lightning as pl

from vision_baselines.tasks.names import in_words


class CurvesLayout(pl.Callback):
    """Logs, when training starts, that ``train/…`` and ``val/…`` of the loss and the headline metric share a chart.

    Args:
        logger: A `RunTensorBoardLogger`.
    """

    def __init__(self, logger: Any) -> None:
        self._logger = logger

    def on_train_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Log; a resumed run has the layout already."""
        if trainer.global_step == 0:
            shown = dict.fromkeys(("loss", str(pl_module.task.headline)))  # type: ignore[union-attr]
            charts = {in_words(name): ["Multiline", [f"train/{name}$", f"val/{name}$"]] for name in shown}
            self._logger.experiment.add_custom_scalars({"training and validation": charts})
