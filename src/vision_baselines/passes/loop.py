"""Lightning's epoch loop for a run whose training steps are taken together with those of its copies.

Hooks that lie inside of a step (`on_before_backward` and the like) are not called; `fitness` refuses what has them.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import pytorch_lightning as pl
import torch
from torch import Tensor, nn

from vision_baselines.jobs.together import Member
from vision_baselines.passes.step import Batch, Copy, SharedStep, Taken, Turn
from vision_baselines.seeding import draw_seed
from vision_baselines.steps.loop import ManyStepsLoop, gradient_clipping, is_seen_to_diverge

_STEP = "shared training step"


class SharedEpochLoop(ManyStepsLoop):
    """An epoch whose steps are taken together with other runs of this process.

    Args:
        trainer: Of this run.
        member: This run among the others.
        note: Called with the loss, the outputs and the targets of each step.
    """

    def __init__(self, trainer: pl.Trainer, member: Member, note: Callable[..., None]) -> None:
        super().__init__(trainer)
        self._member, self._note = member, note
        self.seeds_per_pass = len(member.group.members)
        self._copy: Copy | None = None
        self._draws = False  # whether the net has dropout, which is seeded in each step

    def _can_take_at_once(self) -> bool:
        return True  # `fitness` has looked at it, before anything was spent

    def _take(self, batches: Sequence[tuple[Tensor, Tensor]], batch_idx: int) -> Tensor:
        module = self.trainer.lightning_module
        if self._copy is None:
            self._copy = self._as_a_copy()
        where = (module.seed, "step", self.trainer.current_epoch)
        left = [
            Batch(*batch, draw_seed(*where, at, self.trainer.global_rank) if self._draws else 0)
            for at, batch in enumerate(batches, batch_idx)
        ]
        together: SharedStep = self._member.group.shared.setdefault(_STEP, SharedStep())
        move_on = self._after_step()
        at, losses = self.global_step, []
        while left:  # a copy that waits further on may end it early
            taken: Taken = self._member.meet(Turn(self._copy, left, at, move_on), together.take)
            for loss, outputs, batch in zip(taken.losses, taken.outputs, left, strict=False):
                self._note(loss, outputs, batch.target)
            losses.append(taken.losses)
            self._step_s = taken.step_s
            if is_seen_to_diverge(taken.losses[-1]):
                break
            at, left = at + len(taken.outputs), left[len(taken.outputs) :]
        found = torch.cat(losses)
        self._count_gradients(len(found))
        return found

    def _as_a_copy(self) -> Copy:
        trainer, module = self.trainer, self.trainer.lightning_module
        self._draws = any(isinstance(layer, nn.Dropout) for layer in module.net.modules())
        optimizer = trainer.optimizers[0]
        optimizer.zero_grad()
        optimizer.step()  # without a gradient it changes nothing; schedules look whether there was a step
        return Copy(
            module.net,
            module.task,
            optimizer,
            module.optimizer_over,
            gradient_clipping(trainer, optimizer),
            wants_gradients=any(getattr(one, "wants_gradients", False) for one in trainer.callbacks),
        )
