"""How many training steps a run can take before anyone wants to look: a callback, a log, a validation, a checkpoint."""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from typing import Any

import pytorch_lightning as pl
from pytorch_lightning.callbacks import Callback, LearningRateMonitor
from torch import Tensor

from vision_baselines.steps.step_cost import HOOKS_AROUND, defines


class Unwatched(ABC):
    """A callback whose hooks of a step need not be called in each step."""

    @abstractmethod
    def unwatched_steps(self, trainer: pl.Trainer) -> int:
        """Steps from now to the first one after which `on_train_batch_end` must be called, that one counted."""

    def note_steps(self, trainer: pl.Trainer, losses: Tensor, images: int) -> None:  # noqa: B027
        """Note steps whose hooks were not called; nothing, unless overridden.

        Args:
            trainer: Its `global_step` is that before the first of them.
            losses: Of each, (k,).
            images: That they trained on, in all.
        """


def unwatched_steps(trainer: pl.Trainer) -> int:
    """The most steps that can be taken from here as one, at least 1.

    Hooks of a step are called before the first of them and after the last. 1 where a callback may act in every step,
    which any does that has such hooks and is not `Unwatched`.
    """
    loop: Any = trainer.fit_loop.epoch_loop
    most = float(trainer.num_training_batches - (loop.batch_idx + 1))
    if trainer.max_steps >= 0:
        most = min(most, trainer.max_steps - trainer.global_step)
    most = min(most, _before_validation(trainer, loop))
    if trainer.should_stop or any(
        config.reduce_on_plateau and config.interval == "step" for config in trainer.lr_scheduler_configs
    ):
        return 1
    for callback in trainer.callbacks:  # type: ignore[attr-defined]
        most = min(most, _of_callback(callback, trainer, loop))
    return max(1, int(most))


def schedule_moves_by_step(trainer: pl.Trainer) -> bool:
    """Whether the learning rate changes after each step, and not after each epoch."""
    return any(config.interval == "step" for config in trainer.lr_scheduler_configs)


def _before_validation(trainer: pl.Trainer, loop: Any) -> float:
    interval = trainer.val_check_batch
    if interval is None:  # a time may be set
        return 1
    if not math.isfinite(interval):
        return math.inf
    done: int = loop.total_batch_idx if trainer.check_val_every_n_epoch is None else loop.batch_idx
    return interval - (done + 1) % interval


def _of_callback(callback: Callback, trainer: pl.Trainer, loop: Any) -> float:
    if isinstance(callback, Unwatched) and _speaks_of_its_hooks(callback):
        return callback.unwatched_steps(trainer)
    if not any(defines(callback, hook) for hook in HOOKS_AROUND):
        return math.inf
    if type(callback) is LearningRateMonitor:  # it logs before each nth step
        every: int = trainer.log_every_n_steps  # type: ignore[attr-defined]
        stepped: int = loop._batches_that_stepped
        return every - (stepped + 1) % every if every else math.inf
    return 1


def _speaks_of_its_hooks(callback: Callback) -> bool:
    """Whether `unwatched_steps` knows the hooks of a step: those of a derived class, or set later, it does not."""
    if any(vars(callback).get(hook) is not None for hook in HOOKS_AROUND):
        return False
    for kind in type(callback).__mro__:
        if "unwatched_steps" in vars(kind):
            return True
        if any(hook in vars(kind) for hook in HOOKS_AROUND):
            return False
    return False
