"""Lion, which torch has not: steps by the sign of a momentum."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from torch.optim import Optimizer

from vision_baselines.optim.closure import loss_of


class Lion(Optimizer):
    """Each step takes lr times the sign of a mean of momentum and gradient, and lr · weight_decay of the weight.

    Steps are larger than AdamW's: a rate 3 to 10 times smaller with a decay as many times larger does the same.
    Source: Chen et al. 2023, arXiv:2302.06675, algorithm 2.

    Args:
        params: Parameters, or groups of them.
        lr: Learning rate.
        betas: Shares of the momentum that stay: in the step, and in the momentum that is kept.
        weight_decay: Decoupled from the gradient.

    Raises:
        ValueError: An argument is out of its range.
    """

    def __init__(
        self, params: Any, lr: float = 1e-4, betas: tuple[float, float] = (0.9, 0.99), weight_decay: float = 0.0
    ) -> None:
        if lr < 0 or weight_decay < 0:
            raise ValueError(f"lr is {lr} and weight_decay {weight_decay}; expected numbers of at least 0")
        if len(betas) != 2 or not all(0 <= beta < 1 for beta in betas):
            raise ValueError(f"betas is {list(betas)}; expected two numbers of at least 0 and below 1")
        super().__init__(params, {"lr": lr, "betas": tuple(betas), "weight_decay": weight_decay})

    @torch.no_grad()
    def step(self, closure: Callable[[], Any] | None = None) -> Any:
        """A step of every parameter that has a gradient."""
        loss = loss_of(closure)
        for group in self.param_groups:
            (of_step, of_momentum), lr = group["betas"], group["lr"]
            for parameter in group["params"]:
                if parameter.grad is None:
                    continue
                state = self.state[parameter]
                if "momentum" not in state:
                    state["momentum"] = torch.zeros_like(parameter, memory_format=torch.preserve_format)
                momentum, gradient = state["momentum"], parameter.grad
                parameter.mul_(1 - lr * group["weight_decay"])
                parameter.add_(momentum.lerp(gradient, 1 - of_step).sign_(), alpha=-lr)
                momentum.lerp_(gradient, 1 - of_momentum)
        return loss
