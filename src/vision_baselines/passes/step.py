"""One training step of all copies that stand at the same step of their runs."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn
from torch.optim import Optimizer

from vision_baselines.passes.net import StackedNet
from vision_baselines.passes.optimizer import SharedOptimizer
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


@dataclass(frozen=True)
class Turn:
    """What a copy brings to a step.

    Attributes:
        copy: The copy; the same object in every step.
        images: (N, C, H, W), normalised.
        target: (N, …).
        seed: Of its dropout in this step.
        at: Optimizer steps that it has taken.
    """

    copy: Copy
    images: Tensor
    target: Tensor
    seed: int
    at: int


@dataclass(frozen=True)
class Taken:
    """What came out of a copy's step: its loss, a scalar, the task's outputs (N, …) and its targets (N, …)."""

    loss: Tensor
    outputs: Tensor
    target: Tensor


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
        """A step of the copies that are furthest behind, by their numbers; the others are not in what is returned."""
        at = min((turn.at, tuple(turn.images.shape)) for turn in turns.values())
        now = {number: turn for number, turn in sorted(turns.items()) if (turn.at, tuple(turn.images.shape)) == at}
        taken = self._step(list(now.values()))
        return dict(zip(now, taken, strict=True))

    def _step(self, turns: list[Turn]) -> list[Taken]:
        copies = [turn.copy for turn in turns]
        if copies != self._copies or self._net is None or not self._net.weights.still_joined():
            self._join(copies, turns[0].images.device)
        assert self._net is not None
        assert self._optimizer is not None
        self._net.draws.seed([turn.seed for turn in turns])
        for parameter in self._net.weights.parameters.values():
            parameter.grad = None
        for computed, own in zip(self._computed, self._net([turn.images for turn in turns]).unbind(0), strict=True):
            computed.given[:] = [own]
        steps = [
            turn.copy.task.step(computed, (turn.images, turn.target))
            for turn, computed in zip(turns, self._computed, strict=True)
        ]
        torch.autograd.backward([step.loss for step in steps])
        if any(copy.clip is not None or copy.wants_gradients for copy in copies):
            self._optimizer.give_gradients()
        for copy in copies:
            if copy.clip is not None:
                copy.clip()
        self._optimizer.step()
        return [Taken(step.loss.detach(), step.outputs.detach(), step.target) for step in steps]

    def _join(self, copies: list[Copy], device: torch.device) -> None:
        self._net = StackedNet([copy.net for copy in copies], device)
        optimizers = [copy.optimizer for copy in copies]
        self._optimizer = SharedOptimizer(self._net.weights, optimizers, copies[0].make_optimizer)
        self._copies, self._computed = copies, [_Computed() for _ in copies]
