"""What a net makes of its own training images: the task's metrics over the training split, by the weights tested.

The metrics under ``train/`` are gathered while the weights change, with dropout and augmentation. Here the net is in
evaluation mode, the images are as the data set holds them, and the weights are those that are kept: so 100 % says that
the net has memorised its training labels.
"""

from __future__ import annotations

import pytorch_lightning as pl
from torch import Tensor

from vision_baselines.probes.probe import Probe, outputs_of, task_metrics
from vision_baselines.tasks.task import Task


class TrainSplit(Probe):
    """Logs ``train_split/loss`` and ``train_split/<metric>`` for every metric of the task; one pass over the split."""

    def on_test_epoch_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Measure and log."""
        datamodule = trainer.datamodule  # type: ignore[attr-defined]
        split, size = datamodule.splits.train, datamodule.eval_batch_size
        task: Task = pl_module.task  # type: ignore[assignment]
        metrics = task_metrics(task)
        for start in range(0, len(split.target), size):
            batch: tuple[Tensor, Tensor] = (split.images[start : start + size], split.target[start : start + size])
            outputs = outputs_of(trainer, pl_module, *batch)
            for metric in metrics.values():
                metric.update(outputs, batch[1].cpu())
        self.log_metrics(
            pl_module, {f"train_split/{name}": float(metric.compute()) for name, metric in metrics.items()}
        )
