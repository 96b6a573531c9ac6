"""Lightning's epoch loop, which takes many training steps before it turns to callbacks, loggers and checkpoints again.

Everything but the training step is Lightning's own, as always: epochs, validation, callbacks, loggers and checkpoints.
In a step its counters are moved on as its own loop moves them, so that a checkpoint is one of that loop.
"""

from __future__ import annotations

import contextlib
import math
import time
from collections.abc import Callable, Sequence
from typing import Any

import pytorch_lightning as pl
import torch
from pytorch_lightning.callbacks import StochasticWeightAveraging
from pytorch_lightning.loops.training_epoch_loop import (
    _TrainingEpochLoop,
)  # private: no public loop takes k steps
from pytorch_lightning.plugins import DoublePrecision, HalfPrecision, MixedPrecision, Precision
from pytorch_lightning.strategies import SingleDeviceStrategy
from pytorch_lightning.trainer.call import _call_callback_hooks  # private: says of a hook that callbacks log in it
from torch import Tensor
from torch.optim import Optimizer

from vision_baselines.steps.step_cost import HOOKS_AROUND, HOOKS_WITHIN, LeanPrecision, defines
from vision_baselines.steps.unwatched import Unwatched, schedule_moves_by_step, unwatched_steps

_MOST_BYTES = 2**26  # of the images that are at hand, of all runs together
_MOST_CACHED_BYTES = 2**24  # of a single run on a CPU, whose images should not leave the cache
_LONGEST_S = 0.2  # of the steps that are taken at once: a signal waits for them
_PLAIN = (Precision, LeanPrecision)
_PRECISIONS = (*_PLAIN, DoublePrecision, HalfPrecision, MixedPrecision)
_MODULE_HOOKS = (
    *HOOKS_WITHIN,
    *HOOKS_AROUND,
    "on_before_batch_transfer",
    "transfer_batch_to_device",
    "on_after_batch_transfer",
    "backward",
    "optimizer_step",
    "optimizer_zero_grad",
    "lr_scheduler_step",
)

Batch = tuple[Tensor, Tensor]


class ManyStepsLoop(_TrainingEpochLoop):
    """An epoch whose steps are taken at once, as many at a time as `unwatched_steps` allows.

    The hooks of a step are called before the first and after the last of them. Where anyone has a hook within a step,
    or one is more than a forward, a backward and an optimizer's step, the epoch is taken by Lightning's own loop.

    Args:
        trainer: Whose epochs these are; its data module gives several batches at once, by `next_batches`.
    """

    seeds_per_pass = 1  # runs whose steps are taken together with these

    def __init__(self, trainer: pl.Trainer) -> None:
        replaced = trainer.fit_loop.epoch_loop
        super().__init__(trainer, min_steps=replaced.min_steps, max_steps=replaced.max_steps)
        self._at_once = True
        self._step_s = 0.0  # what a step took last

    def on_run_start(self, data_fetcher: Any) -> None:
        """Decide how the steps of this epoch are taken."""
        super().on_run_start(data_fetcher)
        self._at_once = self._can_take_at_once()

    def advance(self, data_fetcher: Any) -> None:
        """Training steps; the first one after a restart is Lightning's own, which settles where to go on."""
        if self.restarting or not self._at_once:
            super().advance(data_fetcher)
            return
        self.val_loop.restarting = False
        trainer = self.trainer
        batches: Sequence[Batch] = trainer.datamodule.next_batches(self._most_steps())
        batch_idx = self.batch_idx + 1
        self._count_fetched(data_fetcher, 1)
        self.batch_progress.increment_ready()
        connector = trainer._logger_connector
        connector.on_batch_start(batches[0])
        _call_callback_hooks(trainer, "on_train_batch_start", batches[0], batch_idx)
        self.batch_progress.increment_started()
        losses = self._take(batches, batch_idx)
        if (more := len(losses) - 1) > 0:
            images = sum(len(target) for _, target in batches[:more])
            for callback in trainer.callbacks:
                if isinstance(callback, Unwatched):
                    callback.note_steps(trainer, losses[:more], images)
            self._count_fetched(data_fetcher, more)
            self.batch_progress.increment_by(more, is_last_batch=data_fetcher.done)
            self._batches_that_stepped += more
        self.automatic_optimization.optim_progress.optimizer.step.increment_by(len(losses))
        self.batch_progress.increment_processed()
        last = batch_idx + more
        if self.batch_progress.is_last_batch or last + 1 >= trainer.num_training_batches:
            self.update_lr_schedulers("epoch", update_plateau_schedulers=False)
        _call_callback_hooks(trainer, "on_train_batch_end", {"loss": losses[-1]}, batches[more], last)
        connector.on_batch_end()
        self.batch_progress.increment_completed()
        connector.update_train_step_metrics()

    def _can_take_at_once(self) -> bool:
        """Whether nobody would see the difference in this epoch."""
        trainer, module = self.trainer, self.trainer.lightning_module
        plugin = trainer.precision_plugin
        return (
            isinstance(trainer.strategy, SingleDeviceStrategy)
            and type(plugin) in _PRECISIONS
            and getattr(plugin, "scaler", None) is None
            and module.automatic_optimization
            and trainer.accumulate_grad_batches == 1
            and not trainer.overfit_batches
            and all(getattr(type(module), hook) is getattr(pl.LightningModule, hook) for hook in _MODULE_HOOKS)
            and not any(defines(callback, hook) for callback in trainer.callbacks for hook in HOOKS_WITHIN)
            # in its last epoch it changes what a step is
            and not any(isinstance(callback, StochasticWeightAveraging) for callback in trainer.callbacks)
        )

    def _count_fetched(self, data_fetcher: Any, count: int) -> None:
        """Count batches, which Lightning's loader would have made and counted."""
        data_fetcher.fetched += count
        self.batch_progress.is_last_batch = data_fetcher.done = data_fetcher.fetched >= data_fetcher.length

    def _most_steps(self) -> int:
        """Steps that may be taken at once."""
        data = self.trainer.datamodule
        batch_bytes: int = 4 * data.batch_size * math.prod(data.image_shape) * self.seeds_per_pass
        in_cache = self.seeds_per_pass == 1 and self.trainer.strategy.root_device.type == "cpu"
        most_bytes = _MOST_CACHED_BYTES if in_cache else _MOST_BYTES
        in_time = int(_LONGEST_S / self._step_s) if self._step_s else 1
        return max(1, min(most_bytes // batch_bytes, in_time, unwatched_steps(self.trainer)))

    def _take(self, batches: Sequence[Batch], batch_idx: int) -> Tensor:
        """Take a step with each batch, up to the first whose loss is seen not to be finite; the losses (k,)."""
        trainer, module = self.trainer, self.trainer.lightning_module
        optimizer: Optimizer = trainer.optimizers[0]
        plugin, clip = trainer.precision_plugin, gradient_clipping(trainer, optimizer)
        in_context = contextlib.nullcontext if type(plugin) in _PLAIN else plugin.train_step_context
        move_on = self._after_step()
        losses, gradients, began = [], 0, time.monotonic()
        for at, batch in enumerate(batches, batch_idx):
            found = torch.empty(0)

            def closure(batch: Batch = batch, at: int = at) -> Tensor:
                nonlocal found, gradients
                gradients += 1
                with in_context():
                    loss: Tensor = module.training_step(batch, at)
                optimizer.zero_grad()
                loss.backward()  # type: ignore[no-untyped-call]
                if clip is not None:
                    clip()
                found = loss.detach()
                return found

            # an optimizer may ask more than once; torch takes a tensor, as Lightning's closures return
            optimizer.step(closure)  # type: ignore[arg-type]
            losses.append(found)
            if move_on is not None:
                move_on()
            if is_seen_to_diverge(found):
                break
        self._step_s = (time.monotonic() - began) / len(losses)
        self._count_gradients(gradients)
        return torch.stack(losses)

    def _after_step(self) -> Callable[[], None] | None:
        """What is to be called after each step: a schedule moves on."""
        return self._move_schedule if schedule_moves_by_step(self.trainer) else None

    def _move_schedule(self) -> None:
        self.update_lr_schedulers("step", update_plateau_schedulers=False)

    def _count_gradients(self, count: int) -> None:
        self.automatic_optimization.optim_progress.optimizer.zero_grad.increment_by(count)


def gradient_clipping(trainer: pl.Trainer, optimizer: Optimizer) -> Callable[[], None] | None:
    """What clips the gradients of a step; None where the trainer clips none."""
    module = trainer.lightning_module
    clips_itself = type(module).configure_gradient_clipping is not pl.LightningModule.configure_gradient_clipping
    if trainer.gradient_clip_val is None and not clips_itself:
        return None

    def clip() -> None:
        module.configure_gradient_clipping(optimizer, trainer.gradient_clip_val, trainer.gradient_clip_algorithm)

    return clip


def is_seen_to_diverge(losses: Tensor) -> bool:
    """Whether a loss, or one of several (S,), is not finite; on an accelerator nobody looks, as looking would wait.

    Losses whose sum is too large for their type count too: one who stops for nothing looks again a step later.
    """
    return losses.device.type == "cpu" and not math.isfinite(losses.sum().item() if losses.dim() else losses.item())
