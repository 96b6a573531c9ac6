"""When a run saves the state that it is resumed from, and where it ends when it is asked to.

A resumed run is the uninterrupted one, bit for bit, only if the saved state is one the training loop passes through
with nothing half done. There are two kinds of such moments, and nothing is saved at any other:

- after an optimizer step in mid-epoch, where no gradient is accumulated and no validation follows at once; and
- between two epochs, when validation, schedules and logs of the last one are settled: at the start of the next
  epoch, or at the end of training.

A callback that acts when an epoch starts is not called when a run resumes in mid-epoch, so with one the first kind is
left out. Lightning's `ModelCheckpoint` saves inside an epoch's end, where `ReduceLROnPlateau` has not moved yet, the
epoch's training metrics are not logged yet, and after a save on the last batch that epoch's validation never runs.

Which weights are kept is decided in `best_weights`; the files are those of `resume_files`.
"""

from __future__ import annotations

import math
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytorch_lightning as pl
from pytorch_lightning.callbacks import (
    Callback,
    Checkpoint,
    EarlyStopping,
    LearningRateMonitor,
    ProgressBar,
    StochasticWeightAveraging,
    Timer,
    WeightAveraging,
)
from pytorch_lightning.loops.loop import _Loop  # private: _Loop: the fit loop's own setter undoes restarting=False
from torch import Tensor

from vision_baselines.errors import ConfigError, OutOfTimeError
from vision_baselines.jobs.signals import Interrupted, StopSignals
from vision_baselines.steps.unwatched import Unwatched
from vision_baselines.storage import checkpoint_file
from vision_baselines.training.agreement import largest
from vision_baselines.training.best_weights import BEST, BestWeights, cpu_copy
from vision_baselines.training.resume_files import resume_file, resume_files

_PATIENCE_S = 5.0
# Between two epochs a state is also saved once this has passed since the last, or this many times what that took.
_LONGEST_UNSAVED_S = 30.0
_LEAST_BETWEEN_SAVES = 50


class Checkpoints(Checkpoint, Unwatched):
    """Saves a resume state every so many steps, and at the end the weights that were best on `monitor`.

    Between two epochs one is also saved where half a minute has passed since the last: so many steps can be hours.

    Args:
        dirpath: Folder of the checkpoint files.
        every_n_steps: Optimizer steps between resume states: the most that a kill can cost.
        monitor: See `BestWeights`.
        mode: See `BestWeights`.
        keep: See `BestWeights`.
    """

    def __init__(
        self,
        dirpath: str,
        *,
        every_n_steps: int = 500,
        monitor: str = "val/loss",
        mode: str = "min",
        keep: str = "best",
    ) -> None:
        if every_n_steps < 1:
            raise ConfigError(f"checkpoint_every_n_steps is {every_n_steps}; expected a whole number of at least 1")
        self.dirpath = Path(dirpath)
        self.every_n_steps = every_n_steps
        self.best = BestWeights(self.dirpath / BEST, monitor=monitor, mode=mode, keep=keep)
        self.plain_config: Mapping[str, Any] = {}
        self.stop = StopSignals()
        self._last_saved_step = 0
        self._last_saved_at = self._last_save_s = 0.0
        self._stepped_at = 0
        self._asked = 0  # the signal that all processes of the run know of
        self._between_epochs_only = False
        self._saves_between_epochs = False
        self._validated_weights: dict[str, Tensor] | None = None

    def state_dict(self) -> dict[str, Any]:
        """The best weights so far, their epoch, and what validation measured of them."""
        return self.best.state_dict()

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Take up where the saved run stood."""
        self.best.load_state_dict(state_dict)

    def on_fit_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """End a run whose time was used up before; Lightning would skip training without a word."""
        self._end(trainer)

    def on_train_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Count steps from where the run stands.

        SIGTERM is taken back from Lightning, which would end the run where nothing can be saved; it takes the signal
        just before training starts, after `on_fit_start`.
        """
        if self.stop.deferring:
            self.stop.install()
        self._last_saved_step = self._stepped_at = trainer.global_step
        self._last_saved_at = time.monotonic()
        # between two epochs nothing of the next is done, though with max_steps Lightning takes it for half done
        epochs = trainer.fit_loop.epoch_progress.current
        if epochs.ready == epochs.processed:  # type: ignore[attr-defined]
            _forget_restart(trainer)
        self._between_epochs_only = any(_acts_at_an_epochs_start(callback) for callback in _of_kind(trainer, Callback))

    def on_save_checkpoint(
        self, trainer: pl.Trainer, pl_module: pl.LightningModule, checkpoint: dict[str, Any]
    ) -> None:
        """Add the resolved config, as plain data, so that the net can be built again from the file alone."""
        checkpoint["config"] = self.plain_config
        checkpoint["should_stop"] = bool(trainer.should_stop)
        if self._saves_between_epochs:
            _end_the_epoch(checkpoint["loops"]["fit_loop"])

    def on_load_checkpoint(
        self, trainer: pl.Trainer, pl_module: pl.LightningModule, checkpoint: dict[str, Any]
    ) -> None:
        """Stay stopped if training had stopped early; Lightning would train on to the last epoch."""
        trainer.should_stop = bool(checkpoint.get("should_stop", False))

    def on_train_batch_start(
        self, trainer: pl.Trainer, pl_module: pl.LightningModule, batch: Any, batch_idx: int
    ) -> None:
        """Forget that this is a restart once the first step is under way.

        Lightning keeps the mark to the epoch's end and then leaves `ReduceLROnPlateau` out of that epoch.
        """
        if trainer.fit_loop.restarting:
            _forget_restart(trainer)

    def on_train_batch_end(
        self, trainer: pl.Trainer, pl_module: pl.LightningModule, outputs: Any, batch: Any, batch_idx: int
    ) -> None:
        """Save in mid-epoch when it is time, or when a signal has asked the run to end."""
        stepped, self._stepped_at = trainer.global_step != self._stepped_at, trainer.global_step
        out_of_time = trainer.should_stop and _is_out_of_time(trainer)
        if self._validation_follows(trainer, batch_idx):
            if out_of_time:
                trainer.should_stop = False  # or training would end after this validation, and be called finished
            return
        self._asked = int(largest(trainer, self.stop.waiting()))
        if self._between_epochs_only:
            if self._asked or out_of_time:
                self._end(trainer)  # what was done of this epoch is done again
        elif stepped and (self._is_due(trainer) or out_of_time):
            if out_of_time:
                trainer.should_stop = False  # the state is one in mid-training
            self._save(trainer)
            self._end(trainer)

    def unwatched_steps(self, trainer: pl.Trainer) -> int:
        """See `steps.unwatched`: to the step after which a state is saved."""
        return 1 if self.stop.waiting() else max(1, self._last_saved_step + self.every_n_steps - trainer.global_step)

    def on_validation_batch_end(
        self,
        trainer: pl.Trainer,
        pl_module: pl.LightningModule,
        outputs: Any,
        batch: Any,
        batch_idx: int,
        dataloader_idx: int = 0,
    ) -> None:
        """After a signal, finish a short validation, for its end can be saved; end a long one here.

        Averaged weights are in the net until the last batch only, so they are copied there.
        """
        if signum := int(largest(trainer, self.stop.waiting(after_s=_PATIENCE_S))):
            raise Interrupted(signum)
        if batch_idx + 1 == int(trainer.num_val_batches[dataloader_idx]) and _of_kind(trainer, WeightAveraging):
            self._validated_weights = cpu_copy(pl_module.state_dict())

    def on_test_batch_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule, *rest: Any) -> None:
        """End here if a signal has asked for it; the state at the end of training stands."""
        self.stop.raise_if_received()

    def on_train_epoch_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Go on to where a run out of time is ended, if nothing else asks for an end; it would be called finished."""
        if trainer.should_stop and _is_out_of_time(trainer) and not _has_stopped_early(trainer):
            trainer.should_stop = False

    def on_validation_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Keep the weights if they are the best so far, with what was measured of them."""
        if trainer.state.fn != "fit" or trainer.sanity_checking:
            return
        weights, self._validated_weights = self._validated_weights, None
        if self.best.improves(trainer.callback_metrics):
            weights = weights or pl_module.state_dict()
            self.best.take(weights, epoch=trainer.current_epoch, logged=trainer.callback_metrics)

    def on_train_epoch_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Between two epochs everything is settled: save when it is time, or when a signal has asked the run to end."""
        out_of_time = _is_out_of_time(trainer)
        if out_of_time:
            trainer.should_stop = False
        self._asked = int(largest(trainer, self.stop.waiting()))
        if self._is_due(trainer) or out_of_time or self._between_epochs_only or self._is_long_ago(trainer):
            self._save(trainer, between_epochs=True)
            self._end(trainer)

    def on_train_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Save the state at the end of training, and the best weights on their own."""
        swa = bool(_of_kind(trainer, StochasticWeightAveraging))
        if swa or self.best.weights is None:  # the average is there from now on only; or no validation ran
            self.best.take_last(pl_module.state_dict(), epoch=trainer.current_epoch - 1, averaged=swa)
        if trainer.is_global_zero:
            self.best.save(self.plain_config, step=trainer.global_step)
        self._save(trainer)

    def _end(self, trainer: pl.Trainer) -> None:
        """End here if a signal or the clock has asked for it; what can be saved has been saved."""
        if signum := int(largest(trainer, self.stop.waiting())):
            raise Interrupted(signum)
        if _is_out_of_time(trainer):
            raise OutOfTimeError(
                f"trainer.max_time is used up after epoch {trainer.current_epoch} of {trainer.max_epochs}; "
                "the same command with a longer one resumes the run"
            )

    def _is_due(self, trainer: pl.Trainer) -> bool:
        steps = trainer.global_step - self._last_saved_step
        return steps >= self.every_n_steps or (self._asked > 0 and steps > 0)

    def _is_long_ago(self, trainer: pl.Trainer) -> bool:
        """Whether any of the processes, whose clocks differ, last saved long ago."""
        unsaved_s = time.monotonic() - self._last_saved_at
        is_long = unsaved_s >= max(_LONGEST_UNSAVED_S, _LEAST_BETWEEN_SAVES * self._last_save_s)
        return bool(largest(trainer, int(is_long))) and trainer.global_step > self._last_saved_step

    def _validation_follows(self, trainer: pl.Trainer, batch_idx: int) -> bool:
        if batch_idx + 1 >= trainer.num_training_batches:
            return True
        interval = trainer.val_check_batch
        if interval is None or not math.isfinite(interval):
            return False
        done = batch_idx if trainer.check_val_every_n_epoch is not None else trainer.fit_loop.total_batch_idx
        return (done + 1) % int(interval) == 0

    def _save(self, trainer: pl.Trainer, *, between_epochs: bool = False) -> None:
        began = time.monotonic()
        for logger in trainer.loggers:
            logger.save()  # what was logged up to this step is on the disk before the state that claims it
        self._saves_between_epochs = between_epochs
        trainer.save_checkpoint(resume_file(self.dirpath, trainer.global_step), weights_only=False)
        self._saves_between_epochs = False
        self._last_saved_step, self._last_saved_at = trainer.global_step, time.monotonic()
        self._last_save_s = self._last_saved_at - began
        if not trainer.is_global_zero:
            return
        for outdated in resume_files(self.dirpath)[2:]:  # the one before stays, in case this one is damaged
            checkpoint_file.remove(outdated)


def _of_kind(trainer: pl.Trainer, kind: type[Any]) -> list[Any]:
    return [callback for callback in trainer.callbacks if isinstance(callback, kind)]  # type: ignore[attr-defined]


def _forget_restart(trainer: pl.Trainer) -> None:
    # with max_steps the loop's own setter makes True of it, and validation then resumes where none was
    _Loop.restarting.fset(trainer.fit_loop, False)  # type: ignore[attr-defined]


def _is_out_of_time(trainer: pl.Trainer) -> bool:
    timers = _of_kind(trainer, Timer)
    out = any((left := timer.time_remaining()) is not None and left <= 0 for timer in timers)
    return bool(timers) and largest(trainer, out) > 0  # each process has a clock of its own


def _has_stopped_early(trainer: pl.Trainer) -> bool:
    return any(
        one.stopped_epoch == trainer.current_epoch and one.wait_count >= one.patience
        for one in _of_kind(trainer, EarlyStopping)
    )


def _acts_at_an_epochs_start(callback: pl.Callback) -> bool:
    """Whether a run that resumes in mid-epoch would miss what a callback does when an epoch starts."""
    kind = type(callback)
    ours = kind.__module__.startswith("vision_baselines.")
    passive = isinstance(callback, ProgressBar | LearningRateMonitor)
    return not ours and not passive and kind.on_train_epoch_start is not pl.Callback.on_train_epoch_start


def _end_the_epoch(fit_loop: dict[str, Any]) -> None:
    """Make a state taken at the start of an epoch say that the last one is over and nothing of the next has begun."""
    for tracker in ("total", "current"):
        fit_loop["epoch_progress"][tracker]["ready"] -= 1
    batches = fit_loop["epoch_loop.batch_progress"]
    batches["current"] = dict.fromkeys(batches["current"], 0)
    batches["is_last_batch"] = False
