"""Ends a run whose loss is no longer a finite number; Lightning would train on and call it finished."""

from __future__ import annotations

from typing import Any

import pytorch_lightning as pl
import torch

from vision_baselines.errors import DivergedError
from vision_baselines.steps.unwatched import Unwatched, schedule_moves_by_step
from vision_baselines.training.agreement import mean_of


class StopOnDivergence(pl.Callback, Unwatched):
    """Raises on the first loss that is NaN or infinite.

    On a CPU each step is looked at. On an accelerator looking means waiting for the device, so there the losses are
    gathered on the device and looked at every `every_n_steps` steps and at the end of each epoch.

    Args:
        every_n_steps: Steps between two looks on an accelerator.
    """

    def __init__(self, every_n_steps: int = 50) -> None:
        self.every_n_steps = every_n_steps
        self._sum: torch.Tensor | None = None
        self._lr: float | None = None  # when the step began: at its end a schedule has moved on

    def on_train_batch_start(
        self, trainer: pl.Trainer, pl_module: pl.LightningModule, batch: Any, batch_idx: int
    ) -> None:
        """Note the learning rate, which a schedule by epoch changes before an epoch's last step has ended."""
        self._lr = None if schedule_moves_by_step(trainer) else _rate_of(trainer)

    def on_train_batch_end(
        self, trainer: pl.Trainer, pl_module: pl.LightningModule, outputs: Any, batch: Any, batch_idx: int
    ) -> None:
        """Look at the loss, or gather it.

        Raises:
            DivergedError: It is not finite.
        """
        loss = outputs["loss"].detach()
        if loss.device.type != "cpu":
            # a sum is finite only if each of its terms is
            self._sum = loss if self._sum is None else self._sum + loss
            if trainer.global_step % self.every_n_steps:
                return
            loss, self._sum = self._sum, None
        self._check(trainer, loss)

    def unwatched_steps(self, trainer: pl.Trainer) -> int:
        """See `steps.unwatched`: to the next look, of which a CPU's are soon made up for."""
        return self.every_n_steps - trainer.global_step % self.every_n_steps

    def note_steps(self, trainer: pl.Trainer, losses: torch.Tensor, images: int) -> None:
        """Look at their losses, or gather them.

        Raises:
            DivergedError: One is not finite.
        """
        if losses.device.type != "cpu":
            self._sum = losses.sum() if self._sum is None else self._sum + losses.sum()
            return
        for step, loss in enumerate(losses.tolist(), trainer.global_step + 1):
            self._check(trainer, loss, step=step)

    def on_train_epoch_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Look at what is gathered.

        Raises:
            DivergedError: It is not finite.
        """
        if self._sum is not None:
            loss, self._sum = self._sum, None
            self._check(trainer, loss)

    def on_validation_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Look at the validation loss: the last step's update may have ruined the weights after its loss was fine.

        Raises:
            DivergedError: It is not finite.
        """
        if trainer.state.fn == "fit" and not trainer.sanity_checking and "val/loss" in trainer.callback_metrics:
            self._check(trainer, trainer.callback_metrics["val/loss"], "the validation loss")

    def _check(
        self, trainer: pl.Trainer, loss: torch.Tensor | float, name: str = "the loss", step: int | None = None
    ) -> None:
        value = mean_of(trainer, float(loss))  # all processes of a run end where one diverges
        if value - value != 0.0:  # true of nan, inf and -inf alone
            lr = _rate_of(trainer) if self._lr is None else self._lr
            step = trainer.global_step if step is None else step
            raise DivergedError(
                f"{name} became {value} at step {step} (epoch {trainer.current_epoch}) with learning rate {lr:g}; try "
                "a smaller optimizer.lr"
            )


def _rate_of(trainer: pl.Trainer) -> float:
    return float(trainer.optimizers[0].param_groups[0]["lr"])
