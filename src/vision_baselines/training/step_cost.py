"""Less of Lightning in each step, by what it lets anyone override: the same hooks are called, in the same order.

Of a fully connected net at batch 64 a quarter of a step can be Lightning's own calls: a context manager around each of
sixty, six hooks for each of seven callbacks that mostly do nothing, forty attributes set through `nn.Module`. What
each part costs, and what was tried and left out: docs/performance.md.
"""

from __future__ import annotations

import contextlib
import inspect
from collections.abc import Iterable
from typing import Any

import pytorch_lightning as pl
from pytorch_lightning.callbacks import Callback
from pytorch_lightning.profilers import PassThroughProfiler

_STEP_HOOKS = (
    "on_train_batch_start",
    "on_before_zero_grad",
    "on_before_backward",
    "on_after_backward",
    "on_before_optimizer_step",
    "on_train_batch_end",
)
_KNOWN = ("vision_baselines.", "pytorch_lightning.")
_NOTHING = contextlib.nullcontext()


class NoProfiler(PassThroughProfiler):
    """Lightning's profiler that profiles nothing, without making a context manager for each call of a hook."""

    def profile(self, action_name: str) -> contextlib.AbstractContextManager[Any]:  # type: ignore[override]
        """One context for all, which does nothing."""
        return _NOTHING


def drop_unused_hooks(callbacks: Iterable[Callback]) -> None:
    """Leave out the hooks of a step that a callback of this project or of Lightning does not define.

    Lightning calls what is callable. Callbacks of others are left as they are: they may be called by each other.
    """
    for callback in callbacks:
        kind = type(callback)
        if not kind.__module__.startswith(_KNOWN):
            continue
        for hook in _STEP_HOOKS:
            if getattr(kind, hook) is getattr(Callback, hook) and hook not in vars(callback):
                setattr(callback, hook, None)


class LeanModule(pl.LightningModule):
    """A LightningModule whose own bookkeeping in each step is short."""

    def __init_subclass__(cls, **options: Any) -> None:
        """Keep the signature of ``training_step``, which Lightning asks for in each step."""
        super().__init_subclass__(**options)
        if (step := vars(cls).get("training_step")) is not None and inspect.isfunction(step):
            step.__signature__ = inspect.signature(step)  # type: ignore[attr-defined]

    def __setattr__(self, name: str, value: Any) -> None:
        """Set what is a plain attribute already without asking whether it is a parameter: Lightning notes each hook."""
        if (value is None or type(value) is str) and name in self.__dict__:
            object.__setattr__(self, name, value)
        else:
            super().__setattr__(name, value)

    def configure_gradient_clipping(
        self, optimizer: Any, gradient_clip_val: float | None = None, gradient_clip_algorithm: str | None = None
    ) -> None:
        """Clip where that was asked for."""
        if gradient_clip_val is not None:
            super().configure_gradient_clipping(optimizer, gradient_clip_val, gradient_clip_algorithm)
