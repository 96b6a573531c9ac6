"""Lightning's epoch loop for a run whose training steps are taken together with those of its copies.

Everything but the training step is the run's own, as always: epochs, validation, callbacks, loggers and checkpoints.
In a step Lightning's counters are moved on as its own loop moves them, so that a checkpoint is that of a run alone.
Hooks that lie inside of a step (`on_before_backward` and the like) are not called; `fitness` refuses what has them.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import Any

import pytorch_lightning as pl
import torch
from pytorch_lightning.loops.training_epoch_loop import (
    _TrainingEpochLoop,
)  # private: no public loop takes k runs' steps
from pytorch_lightning.trainer.call import _call_callback_hooks  # private: says of a hook that callbacks log in it
from torch import Tensor, nn

from vision_baselines.jobs.together import Member
from vision_baselines.passes.step import Batch, Copy, SharedStep, Taken, Turn
from vision_baselines.passes.unwatched import Unwatched, unwatched_steps
from vision_baselines.seeding import draw_seed

_STEP = "shared training step"
_MOST_BYTES = 2**26  # of the images that all copies have at hand
_LONGEST_S = 0.2  # of the steps that are taken at once: a signal waits for them


class SharedEpochLoop(_TrainingEpochLoop):
    """An epoch whose steps are taken together with other runs of this process.

    As many at a time as `unwatched_steps` allows: the hooks of a step are then called before the first and after the
    last of them.

    Args:
        trainer: Of this run.
        member: This run among the others.
        note: Called with the loss, the outputs and the targets of each step.
    """

    def __init__(self, trainer: pl.Trainer, member: Member, note: Callable[..., None]) -> None:
        replaced = trainer.fit_loop.epoch_loop
        super().__init__(trainer, min_steps=replaced.min_steps, max_steps=replaced.max_steps)
        self._member, self._note = member, note
        self.seeds_per_pass = len(member.group.members)
        self._copy: Copy | None = None
        self._draws = False  # whether the net has dropout, which is seeded in each step
        self._step_s = 0.0  # what a step took last

    def advance(self, data_fetcher: Any) -> None:
        """Training steps; the first one after a restart is Lightning's own, which settles where to go on."""
        if self.restarting:
            super().advance(data_fetcher)
            return
        self.val_loop.restarting = False
        trainer = self.trainer
        batches = self._fetched(data_fetcher)
        count, batch_idx = len(batches), self.batch_idx + 1
        self.batch_progress.is_last_batch = data_fetcher.done
        self.batch_progress.increment_ready()
        connector = trainer._logger_connector
        connector.on_batch_start(batches[0])
        _call_callback_hooks(trainer, "on_train_batch_start", batches[0], batch_idx)
        self.batch_progress.increment_started()
        losses = self._steps(batches, batch_idx)
        if count > 1:
            images = sum(len(target) for _, target in batches[:-1])
            for callback in trainer.callbacks:
                if isinstance(callback, Unwatched):
                    callback.note_steps(trainer, losses[:-1], images)
            self.batch_progress.increment_by(count - 1, is_last_batch=data_fetcher.done)
            self._batches_that_stepped += count - 1
        self._count_steps(count)
        self.batch_progress.increment_processed()
        last = batch_idx + count - 1
        if self.batch_progress.is_last_batch or last + 1 >= trainer.num_training_batches:
            self.update_lr_schedulers("epoch", update_plateau_schedulers=False)
        _call_callback_hooks(trainer, "on_train_batch_end", {"loss": losses[-1]}, batches[-1], last)
        connector.on_batch_end()
        self.batch_progress.increment_completed()
        connector.update_train_step_metrics()

    def _fetched(self, data_fetcher: Any) -> Sequence[tuple[Tensor, Tensor]]:
        """The batches of the next steps, made at once; Lightning's loader makes single ones, and counts these."""
        batches: Sequence[tuple[Tensor, Tensor]] = self.trainer.datamodule.next_batches(self._most_steps())
        data_fetcher.fetched += len(batches)
        data_fetcher.done = data_fetcher.fetched >= data_fetcher.length
        return batches

    def _most_steps(self) -> int:
        """Steps that may be taken at once."""
        data = self.trainer.datamodule
        batch_bytes: int = 4 * data.batch_size * math.prod(data.image_shape) * self.seeds_per_pass
        in_time = int(_LONGEST_S / self._step_s) if self._step_s else 1
        return max(1, min(_MOST_BYTES // batch_bytes, in_time, unwatched_steps(self.trainer)))

    def _steps(self, batches: Sequence[tuple[Tensor, Tensor]], batch_idx: int) -> Tensor:
        """Take a step with each batch; their losses (k,)."""
        module = self.trainer.lightning_module
        if self._copy is None:
            self._copy = self._as_a_copy()
        where = (module.seed, "step", self.trainer.current_epoch)
        left = [
            Batch(*batch, draw_seed(*where, at, self.trainer.global_rank) if self._draws else 0)
            for at, batch in enumerate(batches, batch_idx)
        ]
        together: SharedStep = self._member.group.shared.setdefault(_STEP, SharedStep())
        after_step = self._move_schedule if self.trainer.lr_scheduler_configs else None
        at, losses = self.global_step, []
        while left:  # a copy that waits further on may end it early
            taken: Taken = self._member.meet(Turn(self._copy, left, at, after_step), together.take)
            for loss, outputs, batch in zip(taken.losses, taken.outputs, left, strict=False):
                self._note(loss, outputs, batch.target)
            losses.append(taken.losses)
            self._step_s = taken.step_s
            at, left = at + len(taken.outputs), left[len(taken.outputs) :]
        return torch.cat(losses)

    def _move_schedule(self) -> None:
        self.update_lr_schedulers("step", update_plateau_schedulers=False)

    def _count_steps(self, count: int) -> None:
        """Move on Lightning's counters of an optimizer's steps."""
        progress = self.automatic_optimization.optim_progress.optimizer
        progress.step.increment_by(count)
        progress.zero_grad.increment_by(count)

    def _as_a_copy(self) -> Copy:
        trainer, module = self.trainer, self.trainer.lightning_module
        self._draws = any(isinstance(layer, nn.Dropout) for layer in module.net.modules())
        optimizer = trainer.optimizers[0]
        optimizer.zero_grad()
        optimizer.step()  # without a gradient it changes nothing; schedules look whether there was a step
        clip: Callable[[], None] | None = None
        if trainer.gradient_clip_val is not None:

            def clip() -> None:
                module.configure_gradient_clipping(
                    optimizer, trainer.gradient_clip_val, trainer.gradient_clip_algorithm
                )

        return Copy(
            module.net,
            module.task,
            optimizer,
            module.optimizer_over,
            clip,
            wants_gradients=any(getattr(one, "wants_gradients", False) for one in trainer.callbacks),
        )
