"""The optimizers of S copies as one, where an optimizer's step is the same for every element of a weight.

Each copy keeps its own optimizer, whose state are views of the joined one: so its checkpoint is that of a run alone.
Others, such as Muon or lookahead, take a step for each copy.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import torch
from torch import Tensor
from torch.optim import Optimizer

from vision_baselines.optim.lion import Lion
from vision_baselines.passes.weights import StackedWeights, part

# An element's step depends on this element, its gradient and its state, and on settings that all elements share.
_ELEMENTWISE = (
    torch.optim.SGD,
    torch.optim.Adam,
    torch.optim.AdamW,
    torch.optim.NAdam,
    torch.optim.RAdam,
    torch.optim.Adamax,
    torch.optim.RMSprop,
    torch.optim.Adagrad,
    torch.optim.Adadelta,
    Lion,
)


class SharedOptimizer:
    """A step of the optimizers of all copies.

    Args:
        weights: Of the copies.
        optimizers: Of each copy, made alike.
        make: Makes an optimizer like theirs from parameters by name.
    """

    def __init__(
        self,
        weights: StackedWeights,
        optimizers: Sequence[Optimizer],
        make: Callable[[Mapping[str, Tensor]], Optimizer],
    ) -> None:
        self.weights, self.optimizers = weights, list(optimizers)
        self._trained = {name: own for name, own in weights.parameters.items() if own.requires_grad}
        self._own = [dict(net.named_parameters()) for net in weights.nets]
        self._joined: Optimizer | None = None
        if type(optimizers[0]) in _ELEMENTWISE:
            self._joined = make(self._trained)
            if not self._join_states():
                self._joined = None

    def give_gradients(self) -> None:
        """Let each copy's parameters have their part of the gradient."""
        for name, joined in self._trained.items():
            if joined.grad is not None:
                for at, own in enumerate(self._own):
                    own[name].grad = part(joined.grad, at, self.weights.count, own[name])

    def step(self) -> None:
        """Take a step from the joined gradients."""
        if self._joined is not None and not self._settings_agree():
            self._part_states()
        if self._joined is None:
            self.give_gradients()
            for optimizer in self.optimizers:
                optimizer.step()
            return
        for group, own in zip(self._joined.param_groups, self.optimizers[0].param_groups, strict=True):
            group.update({key: value for key, value in own.items() if key != "params"})
        began = not self._joined.state
        self._joined.step()
        if began:
            self._hand_out_states()

    def _settings_agree(self) -> bool:
        """Whether all copies have the same learning rates and other settings, as copies at the same step have."""
        for at, first in enumerate(self.optimizers[0].param_groups):
            expected = {**first, "params": None}
            if any({**other.param_groups[at], "params": None} != expected for other in self.optimizers[1:]):
                return False
        return True

    def _rows(self) -> list[tuple[Tensor, list[Tensor]]]:
        """Every joined parameter with those of the copies."""
        assert self._joined is not None
        own = [[p for group in optimizer.param_groups for p in group["params"]] for optimizer in self.optimizers]
        joined = [p for group in self._joined.param_groups for p in group["params"]]
        return [(parameter, [copy[at] for copy in own]) for at, parameter in enumerate(joined)]

    def _join_states(self) -> bool:
        """Take up the state that the copies' optimizers have; False where it cannot be joined."""
        assert self._joined is not None
        for joined, parameters in self._rows():
            states = [optimizer.state.get(p, {}) for optimizer, p in zip(self.optimizers, parameters, strict=True)]
            if any(state.keys() != states[0].keys() for state in states):
                return False
            state: dict[str, Any] = {}
            for key, first in states[0].items():
                values = [own[key] for own in states]
                if _is_per_element(first, parameters[0]):
                    state[key] = torch.cat(values)
                elif all(bool(value == first) for value in values[1:]):
                    state[key] = first.clone() if isinstance(first, Tensor) else first
                else:
                    return False
            if state:
                self._joined.state[joined] = state
        self._hand_out_states()
        return True

    def _hand_out_states(self) -> None:
        """Give each copy's optimizer its part of the joined state; a count of steps is shared."""
        assert self._joined is not None
        for joined, parameters in self._rows():
            for key, value in self._joined.state.get(joined, {}).items():
                is_joined = _is_per_element(value, joined)
                for at, (optimizer, own) in enumerate(zip(self.optimizers, parameters, strict=True)):
                    optimizer.state[own][key] = part(value, at, self.weights.count, own) if is_joined else value

    def _part_states(self) -> None:
        """Let each copy's optimizer go on by itself."""
        for optimizer in self.optimizers:
            for state in optimizer.state.values():
                state.update({k: v.clone() for k, v in state.items() if isinstance(v, Tensor) and not v.dim()})
        self._joined = None


def _is_per_element(value: Any, parameter: Tensor) -> bool:
    """Whether an entry of a parameter's state has a number for each of its elements."""
    return isinstance(value, Tensor) and value.dim() > 0 and value.shape == parameter.shape
