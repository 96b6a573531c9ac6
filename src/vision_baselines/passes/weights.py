"""Weights of several copies of a net in common tensors, of which each copy's own are parts."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor, nn

from vision_baselines.passes.errors import NotInOnePassError


class StackedWeights:
    """Parameters and batch statistics of S nets, joined along the first dimension.

    Each net goes on with its own weights, which are views of the joined ones from now on: what changes the one changes
    the other.

    Args:
        nets: S nets of the same layers.

    Attributes:
        count: S.
        parameters: Joined, by name: (S · n, …) for parameters of (n, …), or (S,) for scalars.

    Raises:
        NotInOnePassError: They are not of the same layers.
    """

    def __init__(self, nets: Sequence[nn.Module]) -> None:
        self.nets = list(nets)
        self.count = len(nets)
        self.parameters: dict[str, Tensor] = {}
        self._by_identity: dict[int, Tensor] = {}
        self._parts: list[tuple[nn.Parameter, int]] = []  # with the address that it had when it was joined
        named = [dict(net.named_parameters()) for net in nets]
        if any(own.keys() != named[0].keys() for own in named):
            raise NotInOnePassError("its copies have different parameters")
        for name, first in named[0].items():
            own = [parameters[name] for parameters in named]
            joined = _joined([parameter.detach() for parameter in own]).requires_grad_(first.requires_grad)
            self.parameters[name] = self._by_identity[id(first)] = joined
            for at, parameter in enumerate(own):
                parameter.data = part(joined.detach(), at, self.count, parameter)
                self._parts.append((parameter, parameter.data_ptr()))
        for name, module in nets[0].named_modules():
            for buffer in ("running_mean", "running_var"):
                if isinstance(getattr(module, buffer, None), Tensor):
                    owners = [net.get_submodule(name) for net in nets]
                    joined = _joined([getattr(owner, buffer) for owner in owners])
                    for at, owner in enumerate(owners):
                        setattr(owner, buffer, part(joined, at, self.count, getattr(owner, buffer)))
                    self._by_identity[id(getattr(module, buffer))] = joined

    def of(self, own: Tensor | None) -> Tensor | None:
        """The joined tensor of a parameter or statistic of the first net; None of None.

        Raises:
            NotInOnePassError: It is not one of the net's.
        """
        if own is None:
            return None
        found = self._by_identity.get(id(own))
        if found is None:
            raise NotInOnePassError("a layer has weights that are not parameters of the net")
        return found

    def still_joined(self) -> bool:
        """Whether every copy's weights still lie where they were put."""
        return all(parameter.data_ptr() == address for parameter, address in self._parts)


def part(joined: Tensor, at: int, count: int, like: Tensor) -> Tensor:
    """The part of a joined tensor that belongs to copy `at` of `count`, of the shape of `like`."""
    if like.dim() == 0:
        return joined[at]
    size = len(joined) // count
    return joined[at * size : (at + 1) * size]


def _joined(own: Sequence[Tensor]) -> Tensor:
    return torch.stack(list(own)) if own[0].dim() == 0 else torch.cat(list(own))


def unshared(checkpoint: dict[str, Any]) -> None:
    """Give views among a checkpoint's weights and states memory of their own: torch saves all that a view lies in."""
    # these were made for the checkpoint, where an optimizer's states are its own; the second is of averaged weights
    for weights in (checkpoint["state_dict"], checkpoint.get("current_model_state", {})):
        for name in [name for name, value in weights.items() if _is_part(value)]:
            weights[name] = weights[name].clone()
    for optimizer in checkpoint.get("optimizer_states", []):
        for at, state in optimizer.get("state", {}).items():
            if any(map(_is_part, state.values())):
                own = {key: value.clone() if _is_part(value) else value for key, value in state.items()}
                optimizer["state"][at] = own


def _is_part(value: Any) -> bool:
    return isinstance(value, Tensor) and value.untyped_storage().nbytes() > value.nbytes
