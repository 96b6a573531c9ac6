"""Optimizers around optimizers: several of them in one run, and lookahead.

To whoever holds one it is a single torch optimizer: its groups of parameters are theirs, the same objects, so that a
schedule changes their rates; its state is theirs, so that one state_dict keeps all of it.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Sequence
from typing import Any

import torch
from torch import Tensor
from torch.optim import Optimizer

from vision_baselines.errors import ConfigError
from vision_baselines.optim.closure import loss_of


class Joint(Optimizer):
    """Several optimizers, each of parameters of its own, that step together.

    Args:
        optimizers: One or more, none of which has taken a step.
    """

    def __init__(self, optimizers: Sequence[Optimizer]) -> None:
        self.optimizers = list(optimizers)
        groups = [group for optimizer in self.optimizers for group in optimizer.param_groups]
        # of several, no settings are everybody's
        super().__init__(groups, dict(self.optimizers[0].defaults) if len(self.optimizers) == 1 else {})
        self.param_groups = groups
        self.state = defaultdict(dict)
        self._share()

    def __setstate__(self, state: dict[str, Any]) -> None:
        super().__setstate__(state)
        self._share()

    def _share(self) -> None:
        """Give each optimizer its part of what is held here."""
        start = 0
        for optimizer in self.optimizers:
            end = start + len(optimizer.param_groups)
            # as pickling does it: an optimizer around others passes it on
            optimizer.__setstate__({"param_groups": self.param_groups[start:end], "state": self.state})
            start = end

    @torch.no_grad()
    def step(self, closure: Callable[[], Any] | None = None) -> Any:
        """Let each optimizer take a step; the closure is called once, before them."""
        loss = loss_of(closure)
        for optimizer in self.optimizers:
            optimizer.step()
        return loss

    def add_param_group(self, param_group: dict[str, Any]) -> None:
        """Only while it is made.

        Raises:
            ConfigError: Parameters are added to one that is in use.
        """
        if getattr(self, "param_groups", None) and param_group["params"] and hasattr(self, "state") and self.state:
            raise ConfigError("parameters cannot be added to several optimizers in mid-run")
        super().add_param_group(param_group)


class Lookahead(Joint):
    """Slow weights that follow those of an optimizer, which starts from them again and again.

    Every so many steps ``slow += share · (fast - slow)`` and ``fast = slow``. Slow weights begin as the first ones.
    Source: Zhang et al. 2019, arXiv:1907.08610, algorithm 1.

    Args:
        optimizer: The fast one.
        every: Steps between two moves of the slow weights, at least 1.
        share: Of the way that they move, above 0 and up to 1.

    Raises:
        ConfigError: An argument is out of its range.
    """

    def __init__(self, optimizer: Optimizer, *, every: int = 5, share: float = 0.5) -> None:
        if isinstance(every, bool) or not isinstance(every, int) or every < 1:
            raise ConfigError(f"classifier.lookahead.every is {every!r}; expected a whole number of at least 1")
        if isinstance(share, bool) or not isinstance(share, int | float) or not 0 < share <= 1:
            raise ConfigError(f"classifier.lookahead.share is {share!r}; expected a number above 0 and up to 1")
        super().__init__([optimizer])
        self.every, self.share = every, share
        for group in self.param_groups:
            group["lookahead_steps"] = 0

    @torch.no_grad()
    def step(self, closure: Callable[[], Any] | None = None) -> Any:
        """A step of the fast weights and, every so many, of the slow ones."""
        loss = loss_of(closure)
        # an optimizer begins its state where there is none, so the slow weights come into it after the step
        began = {
            parameter: parameter.detach().clone()
            for parameter in self._trained()
            if "slow" not in self.state.get(parameter, {})
        }
        self.optimizers[0].step()
        for parameter, slow in began.items():
            self.state[parameter]["slow"] = slow
        for group in self.param_groups:
            group["lookahead_steps"] += 1
        if self.param_groups[0]["lookahead_steps"] % self.every == 0:
            for parameter in self.state:
                if "slow" in self.state[parameter]:
                    slow = self.state[parameter]["slow"].lerp_(parameter, self.share)
                    parameter.copy_(slow)
        return loss

    def _trained(self) -> list[Tensor]:
        return [p for group in self.param_groups for p in group["params"] if p.grad is not None]
