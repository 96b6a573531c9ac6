"""How well a net still does on images that were moved: the task's headline metric at each distance.

At distance d every test image is moved d pixels up, down, left and right, each over the whole split, and the metric is
that of all four together. Diagonals are left out: d pixels along both axes are √2 d away, so they would mix two
distances. What comes in from outside is black, as in training with shifts.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial

import pytorch_lightning as pl
import torch
from torch import Tensor
from torchmetrics import Metric

from vision_baselines.data.perturbations import shifted
from vision_baselines.errors import ConfigError
from vision_baselines.probes.probe import Probe, draw_curves, outputs_of, task_metrics, tested
from vision_baselines.runs.record import Curve
from vision_baselines.tasks.names import in_words
from vision_baselines.tasks.task import Task

_DIRECTIONS = ((-1, 0), (1, 0), (0, -1), (0, 1))  # up, down, left, right


class Shift(Probe):
    """Logs ``shift/<metric>_0px`` … ``shift/<metric>_<max_px>px`` and keeps them as the curve ``shift/<metric>``.

    The metric is the task's headline, ``acc`` for classification unless another was chosen.

    It takes 1 + 4 · `max_px` passes over the test split. Images are moved as the data set holds them and then take the
    way of a test batch, in batches of the same size: at 0 pixels it is that of the test, bit for bit.

    Args:
        max_px: Longest distance, in pixels.

    Raises:
        ConfigError: `max_px` is less than 1, or at `setup` no part of an image would be left, or pixels are permuted.
    """

    def __init__(self, max_px: int = 4) -> None:
        super().__init__()
        if isinstance(max_px, bool) or not isinstance(max_px, int) or max_px < 1:
            raise ConfigError(f"probe.shift.max_px is {max_px!r}; expected a whole number of at least 1")
        self.max_px = max_px

    def setup(self, trainer: pl.Trainer, pl_module: pl.LightningModule, stage: str) -> None:
        """Refuse, before anything is trained, a distance that moves images out of sight, and pixels without places."""
        datamodule = trainer.datamodule  # type: ignore[attr-defined]
        if datamodule.permute_pixels:
            raise ConfigError(
                "probe.shift moves images, which data.permute_pixels=true takes apart; expected one of them"
            )
        sides = datamodule.image_shape[1:]
        if self.max_px >= min(sides):
            raise ConfigError(
                f"probe.shift.max_px is {self.max_px}; expected less than an image's shorter side, "
                f"{min(sides)} px; or name the probes without it, such as probe=[depth,units]"
            )

    def on_test_epoch_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Measure, log and draw."""
        batch_size = trainer.datamodule.eval_batch_size  # type: ignore[attr-defined]
        task: Task = pl_module.task  # type: ignore[assignment]
        images, target = tested(trainer)

        put_out = partial(outputs_of, trainer, pl_module)

        def new_metric() -> Metric:
            return task_metrics(task)[task.headline]

        found = metric_by_shift(put_out, new_metric, images, target, max_px=self.max_px, batch_size=batch_size)
        name, words = f"shift/{task.headline}", in_words(f"test/{task.headline}")
        self.log_metrics(pl_module, {f"{name}_{px}px": value for px, value in enumerate(found)})
        distances = [float(px) for px in range(self.max_px + 1)]
        self.curves = {name: Curve(x=distances, y=found, x_label="images moved by, px", y_label=words)}
        draw_curves(trainer, name, f"{words[:1].upper()}{words[1:]} of moved images", [("", self.curves[name])])


def metric_by_shift(
    put_out: Callable[[Tensor, Tensor], Tensor],
    new_metric: Callable[[], Metric],
    images: Tensor,
    target: Tensor,
    *,
    max_px: int,
    batch_size: int,
) -> list[float]:
    """A metric at each distance from 0 to `max_px` pixels, over the four directions along the axes together.

    Args:
        put_out: What a net puts out (B, …), on the CPU, for raw images (B, C, H, W) and their targets (B, …).
        new_metric: Makes a metric that is updated with outputs and targets.
        images: (N, C, H, W), black is 0.
        target: (N, …).
        max_px: Longest distance, in pixels.
        batch_size: Images a call of `put_out`.

    Returns:
        `max_px` + 1 values.
    """
    metrics = [new_metric() for _ in range(max_px + 1)]
    for start in range(0, len(target), batch_size):
        batch, labels = images[start : start + batch_size], target[start : start + batch_size]
        for px, metric in enumerate(metrics):
            for down, right in _DIRECTIONS if px else _DIRECTIONS[:1]:
                by = torch.full((len(labels),), px)
                moved = shifted(batch, down=by * down, right=by * right) if px else batch
                metric.update(put_out(moved, labels), labels.cpu())
    return [float(metric.compute()) for metric in metrics]
