"""The learning curves and the clock of a run, kept in the checkpoint so that a resumed run has them whole."""

from __future__ import annotations

import logging
import re
import time
from typing import Any

import pytorch_lightning as pl
from torch import Tensor

from vision_baselines.errors import ConfigError
from vision_baselines.steps.unwatched import Unwatched
from vision_baselines.training.agreement import mean_of
from vision_baselines.training.progress_bar import EpochProgressBar, epoch_of

_KEPT = ("rows", "epoch_fit_s", "images", "train_s", "fit_s", "lr")

progress_log = logging.getLogger("vision_baselines.progress")

# What the trainer's metrics also hold: rates of the learning-rate monitor, counters, and the test's results.
_NO_METRIC = re.compile(r"lr-|test/|(epoch|step)$")


class History(pl.Callback, Unwatched):
    """Logs ``train/loss_step`` every so many steps; keeps a row for every finished epoch, and the clock.

    `images` and `train_s` are images and seconds of training steps alone, `fit_s` seconds with validation and all, over
    every attempt that the run is made of, `epoch_fit_s` those that had passed at the end of each epoch.

    Args:
        log_every_n_steps: Steps between two points of the step-wise loss curve.
    """

    def __init__(self, log_every_n_steps: int = 50) -> None:
        if log_every_n_steps < 1:
            raise ConfigError(
                f"trainer.log_every_n_steps is {log_every_n_steps}; expected a whole number of at least 1"
            )
        self.log_every_n_steps = log_every_n_steps
        self.rows: list[dict[str, Any]] = []
        self.epoch_fit_s: list[float] = []
        self.images = 0
        self.train_s = 0.0
        self.fit_s = 0.0
        self.lr = 0.0
        self.first_step_at: float | None = None
        self.validated: dict[str, float] = {}  # what validation measured in the epoch that runs
        self._micro_losses: list[Any] = []  # of the batches since the last optimizer step
        self._stepped_at = -1
        self._clock_started: float | None = None
        self._fit_clock_started = 0.0

    @property
    def images_per_s(self) -> float | None:
        """Images trained a second, validation and pauses left out."""
        return self.images / self.train_s if self.train_s else None

    def state_dict(self) -> dict[str, Any]:
        """Everything a resumed run needs to continue the same curves."""
        self._stop_clock(go_on=True)
        return {key: getattr(self, key) for key in (*_KEPT, "validated")}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Take up where the saved run stood."""
        for key in _KEPT:
            setattr(self, key, state_dict[key])
        self.validated = dict(state_dict.get("validated", {}))  # earlier versions kept none

    def on_train_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Lightning does not call `on_train_epoch_start` of a run resumed in mid-epoch."""
        self._clock_started = self._fit_clock_started = time.perf_counter()
        self._stepped_at = trainer.global_step

    def on_train_epoch_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Close the row of the epoch before, now that all its metrics are in."""
        self._close_row(trainer)
        self.lr = trainer.optimizers[0].param_groups[0]["lr"]
        self._clock_started = time.perf_counter()
        if trainer.global_step == 0:  # what other callbacks drew before the first step is not training
            self._fit_clock_started = self._clock_started

    def on_train_batch_end(
        self, trainer: pl.Trainer, pl_module: pl.LightningModule, outputs: Any, batch: Any, batch_idx: int
    ) -> None:
        """Count, and log the loss of this step when it is time."""
        self.images += len(batch[1])  # the whole batch, of which each process takes its part
        if self.first_step_at is None:
            self.first_step_at = time.time()
        self._micro_losses.append(outputs["loss"])
        if trainer.global_step == self._stepped_at:
            return  # gradients are still being accumulated
        self._stepped_at = trainer.global_step
        if trainer.global_step % self.log_every_n_steps == 0:
            loss = mean_of(trainer, sum(float(value) for value in self._micro_losses) / len(self._micro_losses))
            for logger in trainer.loggers:
                logger.log_metrics({"train/loss_step": loss}, step=trainer.global_step - 1)
        self._micro_losses.clear()

    def unwatched_steps(self, trainer: pl.Trainer) -> int:
        """See `steps.unwatched`: to the next step whose loss is logged, and after the first one of the run."""
        if self.first_step_at is None:
            return 1
        return self.log_every_n_steps - trainer.global_step % self.log_every_n_steps

    def note_steps(self, trainer: pl.Trainer, losses: Tensor, images: int) -> None:
        """Count them."""
        self.images += images

    def on_validation_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Validation is not training time."""
        self._stop_clock()

    def on_validation_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Keep what this validation measured: after a resume, or in an epoch without one, Lightning has others'."""
        if trainer.state.fn == "fit" and not trainer.sanity_checking:
            logged = trainer.callback_metrics
            self.validated = {key: float(logged[key]) for key in logged if key.startswith("val/")}

    def on_train_epoch_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """An epoch without validation ends here."""
        self._stop_clock()

    def on_train_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Close the last row."""
        self._stop_clock()
        self._close_row(trainer, is_last=True)

    def leave_out(self, seconds: float) -> None:
        """What was done in the last seconds is not training: a picture that was drawn between two epochs."""
        if self._fit_clock_started:
            self._fit_clock_started += seconds
        if self._clock_started is not None:
            self._clock_started += seconds

    def _stop_clock(self, *, go_on: bool = False) -> None:
        now = time.perf_counter()
        if self._fit_clock_started:
            self.fit_s += now - self._fit_clock_started
            self._fit_clock_started = now
        if self._clock_started is not None:
            self.train_s += now - self._clock_started
            self._clock_started = now if go_on else None

    def _close_row(self, trainer: pl.Trainer, *, is_last: bool = False) -> None:
        epoch = trainer.current_epoch - 1
        if epoch < 0 or (self.rows and self.rows[-1]["epoch"] >= epoch):
            return
        logged = {key: float(value) for key, value in trainer.callback_metrics.items() if not _NO_METRIC.match(key)}
        logged = {key: value for key, value in logged.items() if not key.startswith("val/")} | self.validated
        metrics = {key: logged[key] for key in sorted(logged, key=_reading_order)}
        self.validated = {}
        self.rows.append({"epoch": epoch, "step": trainer.global_step, "lr": self.lr, "metrics": metrics})
        self.epoch_fit_s.append(self.fit_s)
        shown = "  ".join(f"{key} {value:.4f}" for key, value in metrics.items())
        progress_log.info("%s  %s", epoch_of(epoch, trainer.max_epochs), shown)
        bar, task = trainer.progress_bar_callback, getattr(trainer.lightning_module, "task", None)
        if isinstance(bar, EpochProgressBar):
            bar.keep(epoch, metrics, headline=getattr(task, "headline", ""), is_last=is_last)


def _reading_order(name: str) -> tuple[bool, bool, bool, str]:
    """Training before validation before what others logged, and the loss first."""
    split, _, quantity = name.partition("/")
    return split not in ("train", "val"), split != "train", quantity != "loss", name
