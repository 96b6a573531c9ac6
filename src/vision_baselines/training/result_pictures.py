"""What TensorBoard shows of a tested run: its confusion matrix, and feature maps of a few test images."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytorch_lightning as pl

from vision_baselines.probes.feature_maps import feature_maps
from vision_baselines.probes.features import Features
from vision_baselines.runs.record import RunRecord


class FeatureMaps(pl.Callback):
    """Logs ``feature_maps/image_N`` once the net is tested; where the probe `features` does, that is enough.

    Args:
        logger: Takes PNG files.
    """

    def __init__(self, logger: Any) -> None:
        self._logger = logger

    def on_test_epoch_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Draw and log."""
        if any(isinstance(callback, Features) for callback in trainer.callbacks):  # type: ignore[attr-defined]
            return
        for index, png in feature_maps(trainer, pl_module):
            self._logger.log_png(f"feature_maps/image_{index}", png, step=trainer.global_step)


def result_pictures(record: RunRecord) -> Iterator[tuple[str, bytes]]:
    """PNG files of a record's results, by the name under which TensorBoard shows them."""
    if record.confusion:
        from vision_baselines.plots.confusion import recorded_confusion
        from vision_baselines.plots.confusion_picture import confusion_png

        confusion = recorded_confusion(record)
        if confusion is not None:
            yield "confusion/test", confusion_png(confusion)
