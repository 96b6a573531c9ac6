"""What all probes are: callbacks that act once a net has been tested, and keep the curves and pictures they made.

By then the best epoch's weights are loaded, the net is in evaluation mode and no gradient is kept; so a probe runs the
same way at the end of a run and on a checkpoint. What it logs with ``pl_module.log`` arrives in the test's results, and
from there in the record and with every logger. A probe draws no random number from a global generator and changes no
weight: a run with it ends with the weights of the run without.
"""

from __future__ import annotations

import io
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

import numpy as np
import pytorch_lightning as pl
import torch
from PIL import Image
from torch import Tensor
from torchmetrics import MeanMetric, Metric

from vision_baselines.probes.logged_pictures import picture_taker
from vision_baselines.runs.record import Curve
from vision_baselines.tasks.task import Task


class Probe(pl.Callback):
    """Base class.

    Once the test is over, `curves` holds what was measured, by name, and `pictures` PNG files by their name below the
    run's folder, ``probe/name.png``; whoever runs the test writes them there.
    """

    def __init__(self) -> None:
        self.curves: dict[str, Curve] = {}
        self.pictures: dict[str, bytes] = {}

    def add_picture(self, trainer: pl.Trainer, name: str, png: bytes) -> None:
        """Keep a picture as ``name.png`` and give it to every logger that takes pictures, under `name`.

        Args:
            trainer: Its loggers are written to, at its present step.
            name: ``probe/name`` of letters, digits and ``._,=+-``.
            png: A PNG file.
        """
        self.pictures[f"{name}.png"] = png
        add_image(trainer, name, lambda: pixels_of(png))

    def log_metrics(self, pl_module: pl.LightningModule, metrics: Mapping[str, float]) -> None:
        """Add numbers to the test's results."""
        for name, value in metrics.items():
            pl_module.log(name, value, sync_dist=False)


def curves_of(callbacks: Iterable[Any]) -> dict[str, Curve]:
    """What the probes among `callbacks` measured, by name."""
    return {
        name: curve for probe in callbacks if isinstance(probe, Probe) for name, curve in sorted(probe.curves.items())
    }


def pictures_of(callbacks: Iterable[Any]) -> dict[str, bytes]:
    """What the probes among `callbacks` drew: PNG files by their name below the run's folder."""
    return {
        name: png for probe in callbacks if isinstance(probe, Probe) for name, png in sorted(probe.pictures.items())
    }


def pixels_of(png: bytes) -> Tensor:
    """A PNG file as uint8 (3, H, W)."""
    return torch.from_numpy(np.array(Image.open(io.BytesIO(png)).convert("RGB"))).permute(2, 0, 1)


def add_image(trainer: pl.Trainer, tag: str, draw: Callable[[], Tensor], step: int | None = None) -> None:
    """Draw uint8 (3, H, W), once and only if some logger takes pictures, at a step or the trainer's present one."""
    takers = [taker for logger in trainer.loggers if (taker := picture_taker(logger)) is not None]
    if takers:
        picture = draw()
        for take in takers:
            take(tag, picture, trainer.global_step if step is None else step)


def tested(trainer: pl.Trainer) -> tuple[Tensor, Tensor]:
    """The test images (N, C, H, W), as the data set holds them, and targets (N, …) that the test has seen."""
    datamodule = trainer.datamodule  # type: ignore[attr-defined]
    seen = int(sum(trainer.num_test_batches)) * datamodule.eval_batch_size  # trainer.limit_test_batches holds here too
    return datamodule.splits.test.images[:seen], datamodule.splits.test.target[:seen]


def outputs_of(trainer: pl.Trainer, pl_module: pl.LightningModule, images: Tensor, target: Tensor) -> Tensor:
    """The net's outputs (B, …), on the CPU, for raw images (B, C, H, W) that go the way of a test batch."""
    ready, _ = trainer.strategy.batch_to_device((images, target), dataloader_idx=0)
    with trainer.precision_plugin.test_step_context():
        outputs: Tensor = pl_module.task.outputs(pl_module.net, ready)  # type: ignore[operator, union-attr]
    return outputs.cpu()


def task_metrics(task: Task) -> dict[str, Metric]:
    """New metrics of a task by their names in logs, the loss that a test reports among them."""
    return {"loss": _Loss(task), **task.metrics()}


class _Loss(MeanMetric):
    """The mean loss, updated with outputs and targets as other metrics are."""

    def __init__(self, task: Task) -> None:
        super().__init__(nan_strategy="disable")
        self._of = task.eval_loss

    def update(self, outputs: Tensor, target: Tensor) -> None:  # type: ignore[override]
        super().update(self._of(outputs, target).expand(len(target)))


def draw_curves(trainer: pl.Trainer, tag: str, title: str, lines: Sequence[tuple[str, Curve]]) -> None:
    """Draw `lines`, which share their axes, to every logger that takes pictures.

    Args:
        trainer: Its loggers are written to, at its present step.
        tag: Name of the picture; its unit is that of the metric of this name.
        title: Written above.
        lines: The curves and what the legend calls them.
    """

    def draw() -> Tensor:
        from vision_baselines.probes.picture import curves_png  # a run without pictures need not wait for it

        return pixels_of(curves_png(tag, title, lines))

    add_image(trainer, tag, draw)
