"""How well a net still tells images apart that were moved: test accuracy at each distance.

At distance d every test image is moved d pixels up, down, left and right, each over the whole split, and the four
accuracies are averaged. Diagonals are left out: d pixels along both axes are √2 d away, so they would mix two
distances. What comes in from outside is black, as in training with shifts.
"""

from __future__ import annotations

from collections.abc import Callable

import pytorch_lightning as pl
import torch
from torch import Tensor

from vision_baselines.data.perturbations import shifted
from vision_baselines.errors import ConfigError
from vision_baselines.probes.probe import Probe, draw_curves
from vision_baselines.runs.record import Curve

NAME = "shift/acc"
_DIRECTIONS = ((-1, 0), (1, 0), (0, -1), (0, 1))  # up, down, left, right


class Shift(Probe):
    """Logs ``shift/acc_0px`` … ``shift/acc_<max_px>px`` and keeps them as the curve ``shift/acc``.

    It takes 1 + 4 · `max_px` passes over the test split. Images are moved as the data set holds them and then take the
    way of a test batch, in batches of the same size: at 0 pixels it is ``test/acc``, bit for bit.

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
                f"probe.shift.max_px is {self.max_px}; expected less than an image's shorter side, {min(sides)} px"
            )

    def on_test_epoch_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Measure, log and draw."""
        datamodule = trainer.datamodule  # type: ignore[attr-defined]
        batch_size, net = datamodule.eval_batch_size, pl_module.net
        seen = int(sum(trainer.num_test_batches)) * batch_size  # trainer.limit_test_batches holds here too
        images, target = datamodule.splits.test.images[:seen], datamodule.splits.test.target[:seen]

        def predict(images: Tensor, target: Tensor) -> Tensor:
            ready, _ = trainer.strategy.batch_to_device((images, target), dataloader_idx=0)
            with trainer.precision_plugin.test_step_context():
                logits: Tensor = net(ready)  # type: ignore[operator]
            return logits.argmax(dim=1)

        found = accuracy_by_shift(predict, images, target, max_px=self.max_px, batch_size=batch_size)
        self.log_metrics(pl_module, {f"{NAME}_{px}px": accuracy for px, accuracy in enumerate(found)})
        distances = [float(px) for px in range(self.max_px + 1)]
        self.curves = {NAME: Curve(x=distances, y=found, x_label="images moved by, px", y_label="test accuracy")}
        draw_curves(trainer, NAME, "Test accuracy of moved images", [("", self.curves[NAME])])


def accuracy_by_shift(
    predict: Callable[[Tensor, Tensor], Tensor], images: Tensor, target: Tensor, *, max_px: int, batch_size: int
) -> list[float]:
    """Accuracy at each distance from 0 to `max_px` pixels, averaged over the four directions along the axes.

    Args:
        predict: Predicted classes (B,) for raw images (B, C, H, W) and their targets (B,), on any device.
        images: (N, C, H, W), black is 0.
        target: (N,), int64.
        max_px: Longest distance, in pixels.
        batch_size: Images a call of `predict`.

    Returns:
        `max_px` + 1 shares of 1, of float32's precision.
    """
    correct = [0] * (max_px + 1)
    passes = [1, *[len(_DIRECTIONS)] * max_px]
    for start in range(0, len(target), batch_size):
        batch, labels = images[start : start + batch_size], target[start : start + batch_size]
        for px in range(max_px + 1):
            for down, right in _DIRECTIONS[: passes[px]]:
                by = torch.full((len(labels),), px)
                moved = shifted(batch, down=by * down, right=by * right) if px else batch
                correct[px] += int((predict(moved, labels).cpu() == labels).sum())
    # float32, so that a share is the very number that torchmetrics finds for the same counts
    counts = torch.tensor(correct, dtype=torch.float32)
    shares: list[float] = (counts / torch.tensor([len(target) * n for n in passes], dtype=torch.float32)).tolist()
    return shares
