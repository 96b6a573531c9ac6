"""Lightning's epoch loop for a run whose training steps are taken together with those of its copies.

Everything but the training step is the run's own, as always: epochs, validation, callbacks, loggers and checkpoints.
In a step Lightning's counters are moved on as its own loop moves them, so that a checkpoint is that of a run alone.
Hooks that lie inside of a step (`on_before_backward` and the like) are not called; `fitness` refuses what has them.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytorch_lightning as pl
from pytorch_lightning.loops.training_epoch_loop import (
    _TrainingEpochLoop,
)  # private: no public loop takes k runs' steps
from pytorch_lightning.trainer.call import _call_callback_hooks  # private: says of a hook that callbacks log in it

from vision_baselines.jobs.together import Member
from vision_baselines.passes.step import Copy, SharedStep, Taken, Turn
from vision_baselines.seeding import draw_seed

_STEP = "shared training step"


class SharedEpochLoop(_TrainingEpochLoop):
    """An epoch whose steps are taken together with other runs of this process.

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

    def advance(self, data_fetcher: Any) -> None:
        """A training step; the first one after a restart is Lightning's own, which settles where to go on."""
        if self.restarting:
            super().advance(data_fetcher)
            return
        self.val_loop.restarting = False
        trainer = self.trainer
        batch, _, _ = next(data_fetcher)
        batch_idx = self.batch_idx + 1
        self.batch_progress.is_last_batch = data_fetcher.done
        data = trainer.datamodule
        batch = data.transfer_batch_to_device(batch, trainer.strategy.root_device, 0)
        batch = data.on_after_batch_transfer(batch, 0)
        self.batch_progress.increment_ready()
        connector = trainer._logger_connector
        connector.on_batch_start(batch)
        _call_callback_hooks(trainer, "on_train_batch_start", batch, batch_idx)
        self.batch_progress.increment_started()
        taken = self._step(batch, batch_idx)
        self._note(taken.loss, taken.outputs, taken.target)
        self.batch_progress.increment_processed()
        self.update_lr_schedulers("step", update_plateau_schedulers=False)
        if self.batch_progress.is_last_batch or batch_idx + 1 >= trainer.num_training_batches:
            self.update_lr_schedulers("epoch", update_plateau_schedulers=False)
        _call_callback_hooks(trainer, "on_train_batch_end", {"loss": taken.loss}, batch, batch_idx)
        connector.on_batch_end()
        self.batch_progress.increment_completed()
        connector.update_train_step_metrics()

    def _step(self, batch: Any, batch_idx: int) -> Taken:
        module = self.trainer.lightning_module
        if self._copy is None:
            self._copy = self._as_a_copy()
        progress = self.automatic_optimization.optim_progress.optimizer
        progress.step.increment_ready()
        progress.zero_grad.increment_ready()
        progress.zero_grad.increment_started()
        progress.zero_grad.increment_completed()
        seed = draw_seed(module.seed, "step", self.trainer.current_epoch, batch_idx, self.trainer.global_rank)
        together = self._member.group.shared.setdefault(_STEP, SharedStep())
        turn = Turn(self._copy, batch[0], batch[1], seed, at=self.global_step)
        taken: Taken = self._member.meet(turn, together.take)
        progress.step.increment_completed()
        return taken

    def _as_a_copy(self) -> Copy:
        trainer, module = self.trainer, self.trainer.lightning_module
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
