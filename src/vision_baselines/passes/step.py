"""Training steps of all copies that stand at the same step of their runs."""

from __future__ import annotations

import itertools
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn
from torch.optim import Optimizer

from vision_baselines.passes.net import StackedNet
from vision_baselines.passes.optimizer import SharedOptimizer
from vision_baselines.steps.loop import is_seen_to_diverge
from vision_baselines.tasks.task import Task


@dataclass(frozen=True)
class Copy:
    """One of the runs, as far as a training step needs it.

    Attributes:
        net: Its net.
        task: What it learns.
        optimizer: Its own.
        make_optimizer: Makes one like it from parameters by name.
        clip: Clips the gradients of its net before an optimizer's step; None where none are clipped.
        wants_gradients: Whether its parameters are given their gradients.
    """

    net: nn.Module
    task: Task
    optimizer: Optimizer
    make_optimizer: Callable[[Mapping[str, Any]], Optimizer]
    clip: Callable[[], None] | None = None
    wants_gradients: bool = False


class Batch(NamedTuple):
    """What a copy learns in one step: images (N, C, H, W), normalised, their targets (N, …), and its dropout's seed."""

    images: Tensor
    target: Tensor
    seed: int


@dataclass(frozen=True)
class Turn:
    """What a copy brings to a meeting: as many steps as it can take before anything else is to be done for it.

    Attributes:
        copy: The copy; the same object in every step.
        batches: Of its next steps, at least one.
        at: Optimizer steps that it has taken.
        after_step: Called after each step, for what changes from one to the next: a schedule moves on.
    """

    copy: Copy
    batches: Sequence[Batch]
    at: int
    after_step: Callable[[], None] | None = None


@dataclass(frozen=True)
class Taken:
    """What came out of a copy's first k steps.

    Attributes:
        losses: (k,).
        outputs: Of the task, (N, …) in each step.
        step_s: Seconds that one step of all copies took.
    """

    losses: Tensor
    outputs: Sequence[Tensor]
    step_s: float


class _Computed(nn.Module):
    """Stands for a copy's net: what that puts out for its batch is there already."""

    def __init__(self) -> None:
        super().__init__()
        self.given: list[Tensor] = []  # in a list, for a module looks long at a tensor that it is given

    def forward(self, images: Tensor) -> Tensor:
        return self.given.pop()


class SharedStep:
    """Takes steps for as many copies as stand at the same one; those that are ahead wait until the others are there.

    So copies that were killed and resumed at different steps are together again after a while.
    """

    def __init__(self) -> None:
        self._copies: list[Copy] = []
        self._computed: list[_Computed] = []
        self._net: StackedNet | None = None
        self._optimizer: SharedOptimizer | None = None

    def take(self, turns: Mapping[int, Turn]) -> dict[int, Taken]:
        """Steps of the copies that are furthest behind, by their numbers; the others are not in what is returned.

        As many are taken as all of them have brought, and at most up to where the next of the others waits.
        """
        at, shape = min((turn.at, tuple(turn.batches[0].images.shape)) for turn in turns.values())
        now = {
            number: turn
            for number, turn in sorted(turns.items())
            if turn.at == at and turn.batches[0].images.shape == shape
        }
        ahead = [turn.at - at for turn in turns.values() if turn.at > at]
        together = list(now.values())
        steps = itertools.islice(zip(*(turn.batches for turn in together), strict=False), min(ahead, default=None))
        taken = self._steps(together, itertools.takewhile(_are_alike, steps))
        return dict(zip(now, taken, strict=True))

    def _steps(self, turns: Sequence[Turn], steps: Iterable[Sequence[Batch]]) -> list[Taken]:
        copies = [turn.copy for turn in turns]
        if copies != self._copies or self._net is None or not self._net.weights.still_joined():
            self._join(copies, turns[0].batches[0].images.device)
        moving = [turn.after_step for turn in turns if turn.after_step is not None]
        losses, outputs, began = [], [], time.monotonic()
        for batches in steps:
            of_step, put_out = self._step(batches)
            losses.append(of_step)
            outputs.append(put_out)
            for move_on in moving:
                move_on()
            if is_seen_to_diverge(of_step):
                break
        step_s = (time.monotonic() - began) / len(losses)
        found = zip(torch.stack(losses, 1), zip(*outputs, strict=True), strict=True)
        return [Taken(of_copy, put_out, step_s) for of_copy, put_out in found]

    def _step(self, batches: Sequence[Batch]) -> tuple[Tensor, Sequence[Tensor]]:
        """One step of all: the losses (S,), and of each copy the task's outputs (N, …)."""
        assert self._net is not None
        assert self._optimizer is not None
        if self._net.draws.are_used:
            self._net.draws.seed([batch.seed for batch in batches])
        for parameter in self._net.weights.parameters.values():
            parameter.grad = None
        losses, outputs = self._losses(self._net([batch.images for batch in batches]), batches)
        losses.sum().backward()  # type: ignore[no-untyped-call]  # of each the gradient is that of its own loss
        if any(copy.clip is not None or copy.wants_gradients for copy in self._copies):
            self._optimizer.give_gradients()
        for copy in self._copies:
            if copy.clip is not None:
                copy.clip()
        self._optimizer.step()
        return losses.detach(), outputs

    def _losses(self, put_out: Tensor, batches: Sequence[Batch]) -> tuple[Tensor, Sequence[Tensor]]:
        """Of what the nets put out (S, N, F): the losses (S,), and of each copy the task's outputs (N, …)."""
        at_once = self._copies[0].task.losses_of_copies(put_out, [batch.target for batch in batches])
        if at_once is not None:
            return at_once, put_out.detach().unbind(0)
        steps = []
        for copy, batch, computed, own in zip(self._copies, batches, self._computed, put_out.unbind(0), strict=True):
            computed.given[:] = [own]
            steps.append(copy.task.step(computed, (batch.images, batch.target)))
        return torch.stack([step.loss for step in steps]), [step.outputs.detach() for step in steps]

    def _join(self, copies: list[Copy], device: torch.device) -> None:
        self._net = StackedNet([copy.net for copy in copies], device)
        optimizers = [copy.optimizer for copy in copies]
        self._optimizer = SharedOptimizer(self._net.weights, optimizers, copies[0].make_optimizer)
        self._copies, self._computed = copies, [_Computed() for _ in copies]


def _are_alike(batches: Sequence[Batch]) -> bool:
    """Whether batches have as many images each; the last of an epoch may be shorter."""
    return all(batch.images.shape == batches[0].images.shape for batch in batches)
