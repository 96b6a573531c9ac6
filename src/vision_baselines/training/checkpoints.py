"""What a run must not lose: the state to resume from, and the weights with the best validation metric.

A resumed run is the uninterrupted one, bit for bit, only if the saved state is one the training loop passes through
with nothing half done. There are two kinds of such moments, and nothing is saved at any other:

- after an optimizer step in mid-epoch, where no gradient is accumulated and no validation follows at once; and
- between two epochs, when validation, schedules and logs of the last one are settled: at the start of the next
  epoch, or at the end of training.

A callback that acts when an epoch starts is not called when a run resumes in mid-epoch, so with one the first kind is
left out. Lightning's `ModelCheckpoint` saves inside an epoch's end, where `ReduceLROnPlateau` has not moved yet, the
epoch's training metrics are not logged yet, and after a save on the last batch that epoch's validation never runs.

The best weights are kept in memory and inside the resume state, and written once, at the end of training; small data
sets improve in nearly every epoch, and writing and flushing each time would cost more than the training.
"""

from __future__ import annotations

import logging
import math
import os
import shutil
from collections.abc import Mapping
from importlib.metadata import version
from pathlib import Path
from typing import Any

import pytorch_lightning as pl
import torch
from pytorch_lightning.callbacks import (
    Checkpoint,
    LearningRateMonitor,
    ProgressBar,
    StochasticWeightAveraging,
    Timer,
    WeightAveraging,
)
from pytorch_lightning.loops.loop import _Loop  # private: _Loop: the fit loop's own setter undoes restarting=False
from torch import Tensor

from vision_baselines.errors import ConfigError, OutOfTimeError, StorageError
from vision_baselines.runs.fingerprint import differences, fingerprint
from vision_baselines.storage import checkpoint_file
from vision_baselines.storage.atomic import remove_leftovers, write_atomically
from vision_baselines.training.signals import StopSignals

log = logging.getLogger(__name__)

BEST = "best.ckpt"
_PATIENCE_S = 5.0
_KEPT = ("best_epoch", "best_score", "best_weights")
_RESUME = "resume-step={step:08d}.ckpt"


class Checkpoints(Checkpoint):
    """Saves a resume state every so many steps, and at the end the weights that were best on `monitor`.

    Args:
        dirpath: Folder of the checkpoint files.
        every_n_steps: Optimizer steps between resume states: what a kill can cost at most.
        monitor: Metric that decides which weights are best.
        mode: ``max`` or ``min``. Of equals, the first are kept.
        keep: ``best``, or ``last`` for the weights at the end of training, whatever validation says.
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
        if mode not in ("max", "min"):
            raise ConfigError(f"callbacks.checkpoints.mode is {mode!r}; expected max or min")
        if keep not in ("best", "last"):
            raise ConfigError(f"checkpoint is {keep!r}; expected best or last")
        self.dirpath = Path(dirpath)
        self.every_n_steps = every_n_steps
        self.monitor = monitor
        self.mode = mode
        self.keep = keep
        self.best_epoch: int | None = None
        self.best_score: float | None = None
        self.best_weights: dict[str, Tensor] | None = None
        self.best_metrics: dict[str, float] = {}
        self.averaged = False
        self.plain_config: dict[str, Any] = {}
        self.stop = StopSignals()
        self._last_saved_step = 0
        self._stepped_at = 0
        self._between_epochs_only = False
        self._validated_weights: dict[str, Tensor] | None = None

    @property
    def best_path(self) -> Path:
        """Where the best weights are once training has ended."""
        return self.dirpath / BEST

    def state_dict(self) -> dict[str, Any]:
        """The best weights so far, their epoch, and what validation measured of them."""
        return {key: getattr(self, key) for key in (*_KEPT, "best_metrics", "averaged")}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Take up where the saved run stood."""
        for key in _KEPT:
            setattr(self, key, state_dict[key])
        self.best_metrics = dict(state_dict.get("best_metrics", {}))  # earlier versions kept none
        self.averaged = bool(state_dict.get("averaged", False))

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
        # between two epochs nothing of the next is done, though with max_steps Lightning takes it for half done
        epochs = trainer.fit_loop.epoch_progress.current
        if epochs.ready == epochs.processed:  # type: ignore[attr-defined]
            _forget_restart(trainer)
        self._between_epochs_only = any(_acts_at_an_epochs_start(callback) for callback in _callbacks(trainer))

    def on_save_checkpoint(
        self, trainer: pl.Trainer, pl_module: pl.LightningModule, checkpoint: dict[str, Any]
    ) -> None:
        """Add the resolved config, as plain data, so that the net can be built again from the file alone."""
        checkpoint["config"] = self.plain_config
        checkpoint["should_stop"] = bool(trainer.should_stop)

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
            return
        if self._between_epochs_only:
            if self.stop.received is not None or out_of_time:
                self._end(trainer)  # what was done of this epoch is done again
        elif stepped and (self._is_due(trainer) or out_of_time):
            if out_of_time:
                trainer.should_stop = False  # the state is one in mid-training
            self._save(trainer)
            self._end(trainer)

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
        self.stop.raise_if_received(after_s=_PATIENCE_S)
        averages = any(isinstance(callback, WeightAveraging) for callback in _callbacks(trainer))
        if averages and batch_idx + 1 == int(trainer.num_val_batches[dataloader_idx]):
            self._validated_weights = _clone(pl_module.state_dict())

    def on_test_batch_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule, *rest: Any) -> None:
        """End here if a signal has asked for it; the state at the end of training stands."""
        self.stop.raise_if_received()

    def on_validation_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Keep the weights if they are the best so far, with what was measured of them."""
        if trainer.state.fn != "fit" or trainer.sanity_checking:
            return
        if self.monitor not in trainer.callback_metrics:
            known = ", ".join(sorted(trainer.callback_metrics))
            raise ConfigError(f"callbacks.checkpoints.monitor is {self.monitor!r}; this run logs {known}")
        score = float(trainer.callback_metrics[self.monitor])
        weights, self._validated_weights = self._validated_weights, None
        if math.isfinite(score) and self.keep == "best" and self._improves(score):
            self.best_epoch, self.best_score = trainer.current_epoch, score
            self.best_weights = weights or _clone(pl_module.state_dict())
            logged = trainer.callback_metrics
            self.best_metrics = {key: float(logged[key]) for key in sorted(logged) if key.startswith("val/")}

    def on_train_epoch_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Between two epochs everything is settled: save when it is time, or when a signal has asked the run to end."""
        out_of_time = _is_out_of_time(trainer)
        if out_of_time:
            trainer.should_stop = False
        if self._is_due(trainer) or out_of_time or self._between_epochs_only:
            self._save(trainer, between_epochs=True)
            self._end(trainer)

    def on_train_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Save the state at the end of training, and the best weights on their own."""
        swa = any(isinstance(callback, StochasticWeightAveraging) for callback in _callbacks(trainer))
        if swa or self.best_weights is None:  # the average is there from now on only; or no validation ran
            self.best_epoch, self.best_weights = trainer.current_epoch - 1, _clone(pl_module.state_dict())
            self.best_metrics, self.averaged = {}, swa
        if trainer.is_global_zero:
            self._save_best(trainer)
        self._save(trainer)

    def mend_best(self, trainer: pl.Trainer) -> None:
        """Write the best weights again if their file cannot be trusted: a run resumed at its end does not come by."""
        try:
            checkpoint_file.load(self.best_path, checksum_needed=True)
        except StorageError as error:
            if self.best_weights is None:
                raise
            log.warning("%s; written again", error)
            self._save_best(trainer)

    def prepare_folder(self, net_bytes: int) -> None:
        """Find out before training what can be known of the folder: whether it can be written, and has room.

        Raises:
            StorageError: It cannot, or not even the weights would fit that are kept: two states, each with the best
                weights in it, and the best ones alone.
        """
        needed = 5 * net_bytes
        probe = self.dirpath / f".probe.{os.getpid()}"
        try:
            self.dirpath.mkdir(parents=True, exist_ok=True)
            remove_leftovers(self.dirpath)
            write_atomically(probe, b"")
            probe.unlink()
            free = shutil.disk_usage(self.dirpath).free
        except OSError as error:
            raise StorageError(
                f"cannot write in {self.dirpath}: {error.strerror}; set paths.output_dir to one that can be written"
            ) from error
        if free < needed:
            raise StorageError(
                f"disk full at {self.dirpath}: {free / 1e6:,.1f} MB are free and checkpoints take at least "
                f"{needed / 1e6:,.1f} MB; make room, or set paths.output_dir"
            )

    def _save_best(self, trainer: pl.Trainer) -> None:
        best = {
            "state_dict": self.best_weights,
            "config": self.plain_config,
            "epoch": self.best_epoch,
            "global_step": trainer.global_step,
            "pytorch-lightning_version": version("pytorch-lightning"),
        }
        checkpoint_file.save(best, self.best_path)

    def _end(self, trainer: pl.Trainer) -> None:
        """End here if a signal or the clock has asked for it; what can be saved has been saved."""
        self.stop.raise_if_received()
        if _is_out_of_time(trainer):
            raise OutOfTimeError(
                f"trainer.max_time is used up after epoch {trainer.current_epoch} of {trainer.max_epochs}; "
                "the same command with a longer one resumes the run"
            )

    def _is_due(self, trainer: pl.Trainer) -> bool:
        steps = trainer.global_step - self._last_saved_step
        return steps >= self.every_n_steps or (self.stop.received is not None and steps > 0)

    def _improves(self, score: float) -> bool:
        if self.best_score is None:
            return True
        return score > self.best_score if self.mode == "max" else score < self.best_score

    def _validation_follows(self, trainer: pl.Trainer, batch_idx: int) -> bool:
        if batch_idx + 1 >= trainer.num_training_batches:
            return True
        interval = trainer.val_check_batch
        if interval is None or not math.isfinite(interval):
            return False
        done = batch_idx if trainer.check_val_every_n_epoch is not None else trainer.fit_loop.total_batch_idx
        return (done + 1) % int(interval) == 0

    def _save(self, trainer: pl.Trainer, *, between_epochs: bool = False) -> None:
        for logger in trainer.loggers:
            logger.save()  # what was logged up to this step is on the disk before the state that claims it
        checkpoint = trainer._checkpoint_connector.dump_checkpoint(weights_only=False)
        if between_epochs:
            _settle(checkpoint["loops"]["fit_loop"])
        path = self.dirpath / _RESUME.format(step=trainer.global_step)
        trainer.strategy.save_checkpoint(checkpoint, path)
        self._last_saved_step = trainer.global_step
        for outdated in resume_files(self.dirpath)[2:]:  # the one before stays, in case this one is damaged
            checkpoint_file.remove(outdated)


def _callbacks(trainer: pl.Trainer) -> list[pl.Callback]:
    found: list[pl.Callback] = trainer.callbacks  # type: ignore[attr-defined]
    return found


def _forget_restart(trainer: pl.Trainer) -> None:
    # with max_steps the loop's own setter makes True of it, and validation then resumes where none was
    _Loop.restarting.fset(trainer.fit_loop, False)  # type: ignore[attr-defined]


def _is_out_of_time(trainer: pl.Trainer) -> bool:
    timers = [callback for callback in _callbacks(trainer) if isinstance(callback, Timer)]
    return any((left := timer.time_remaining()) is not None and left <= 0 for timer in timers)


def _acts_at_an_epochs_start(callback: pl.Callback) -> bool:
    """Whether a run that resumes in mid-epoch would miss what a callback does when an epoch starts."""
    kind = type(callback)
    ours = kind.__module__.startswith("vision_baselines.")
    passive = isinstance(callback, ProgressBar | LearningRateMonitor)
    return not ours and not passive and kind.on_train_epoch_start is not pl.Callback.on_train_epoch_start


def resume_files(dirpath: Path) -> list[Path]:
    """The resume states in `dirpath`, latest first."""
    return sorted(dirpath.glob("resume-step=*.ckpt"), reverse=True)


def latest_good(dirpath: Path, config: Mapping[str, Any] | None = None) -> tuple[Path | None, int, list[str]]:
    """The latest resume state that can be trusted, its step, and a line for each later one that cannot be.

    Args:
        dirpath: Folder of the checkpoint files.
        config: The run's plain config; none takes states of any.

    Raises:
        ConfigError: A state is of another config; two runs share the folder.
    """
    complaints: list[str] = []
    for path in resume_files(dirpath):
        try:
            state = checkpoint_file.load(path, checksum_needed=True)
            step = int(state["global_step"])
        except StorageError as error:
            complaints.append(str(error))
            continue
        if config is not None and fingerprint(state["config"]) != fingerprint(config):
            changed = "; ".join(differences(state["config"], config)[:3])
            raise ConfigError(
                f"{path} is of another run ({changed}); expected a folder for each run: callbacks.checkpoints.dirpath"
            )
        return path, step, complaints
    return None, 0, complaints


def discard(dirpath: Path, *configs: Mapping[str, Any]) -> None:
    """Delete a run's checkpoints, where they lie outside its folder; `configs` are those it had.

    Raises:
        ConfigError: They are of another run.
    """
    known = {fingerprint(config) for config in configs}
    for path in [dirpath / BEST, *resume_files(dirpath)]:
        try:
            found = fingerprint(checkpoint_file.load(path).get("config", {}))
        except StorageError:
            found = None  # missing or damaged
        if found is not None and found not in known:
            raise ConfigError(
                f"{path} is of another run; expected a folder for each run: callbacks.checkpoints.dirpath"
            )
    for path in [*resume_files(dirpath), dirpath / BEST]:
        checkpoint_file.remove(path)


def _settle(fit_loop: dict[str, Any]) -> None:
    """Make a state taken at the start of an epoch say that the last one is over and nothing of the next has begun."""
    for tracker in ("total", "current"):
        fit_loop["epoch_progress"][tracker]["ready"] -= 1
    batches = fit_loop["epoch_loop.batch_progress"]
    batches["current"] = dict.fromkeys(batches["current"], 0)
    batches["is_last_batch"] = False


def _clone(state: dict[str, Any]) -> dict[str, Tensor]:
    return {key: value.detach().cpu().clone() for key, value in state.items() if isinstance(value, torch.Tensor)}
