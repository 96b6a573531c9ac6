"""What an optimizer does with the function that it may be given to compute the loss anew."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch


def loss_of(closure: Callable[[], Any] | None) -> Any:
    """What the closure computes, with gradients although `step` itself follows none; None where there is none."""
    if closure is None:
        return None
    with torch.enable_grad():
        return closure()
