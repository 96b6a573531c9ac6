"""Less of Lightning in each step, by what it lets anyone override: the same hooks are called, in the same order.

Of a fully connected net at batch 64 a quarter of a step can be Lightning's own calls: a context manager around each of
sixty, six hooks for each of seven callbacks that mostly do nothing, forty attributes set through `nn.Module`. What
each part costs, and what was tried and left out: docs/performance.md.
"""

from __future__ import annotations

import contextlib
import inspect
from collections.abc import Callable, Iterable
from typing import Any

import pytorch_lightning as pl
from pytorch_lightning.callbacks import Callback
from pytorch_lightning.plugins import Precision
from pytorch_lightning.profilers import PassThroughProfiler
from torch import Tensor

HOOKS_AROUND = ("on_train_batch_start", "on_train_batch_end")
HOOKS_WITHIN = ("on_before_zero_grad", "on_before_backward", "on_after_backward", "on_before_optimizer_step")
_STEP_HOOKS = (*HOOKS_AROUND, *HOOKS_WITHIN)
_MODULE_HOOKS = ("on_before_backward", "on_after_backward", "on_before_optimizer_step")
_KNOWN = ("vision_baselines.", "pytorch_lightning.")
_NOTHING = contextlib.nullcontext()


class NoProfiler(PassThroughProfiler):
    """Lightning's profiler that profiles nothing, without making a context manager for each call of a hook."""

    def profile(self, action_name: str) -> contextlib.AbstractContextManager[Any]:  # type: ignore[override]
        """One context for all, which does nothing."""
        return _NOTHING


def shorten_steps(trainer: pl.Trainer) -> None:
    """Leave out of a trainer's steps what would be done for nobody."""
    drop_unused_hooks(trainer.callbacks)  # type: ignore[attr-defined]
    if type(trainer.strategy.precision_plugin) is Precision:
        trainer.strategy.precision_plugin = LeanPrecision()


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


class LeanPrecision(Precision):
    """Lightning's plugin for 32 bits, whose hooks around a gradient are called where a callback or the module has any.

    Clipping belongs to them: it is left out where there is none.
    """

    def __init__(self) -> None:
        super().__init__()
        self._looked_at: tuple[Any, list[Callback]] = (None, [])
        self._defined: frozenset[str] = frozenset()

    def pre_backward(self, tensor: Tensor, module: pl.LightningModule) -> Tensor:  # type: ignore[override]
        """Call ``on_before_backward`` where it is defined."""
        return super().pre_backward(tensor, module) if self._has(module, "on_before_backward") else tensor

    def post_backward(self, tensor: Tensor, module: pl.LightningModule) -> Tensor:  # type: ignore[override]
        """Call ``on_after_backward`` where it is defined."""
        return super().post_backward(tensor, module) if self._has(module, "on_after_backward") else tensor.detach()

    def optimizer_step(  # type: ignore[override]
        self, optimizer: Any, model: pl.LightningModule, closure: Callable[[], Any], **options: Any
    ) -> Any:
        """Step; before it call ``on_before_optimizer_step`` and clip, where there is anything to do."""
        if self._has(model, "on_before_optimizer_step") or model.trainer.gradient_clip_val is not None:
            return super().optimizer_step(optimizer, model, closure, **options)
        return optimizer.step(closure=closure, **options)

    def _has(self, module: pl.LightningModule, hook: str) -> bool:
        callbacks = module.trainer.callbacks  # type: ignore[attr-defined]
        if self._looked_at[0] is not module or self._looked_at[1] != callbacks:
            self._looked_at = (module, list(callbacks))
            ours = type(module)
            clips = ours.configure_gradient_clipping is not pl.LightningModule.configure_gradient_clipping
            found = {hook for hook in _STEP_HOOKS if any(defines(callback, hook) for callback in callbacks)}
            found |= {hook for hook in _MODULE_HOOKS if getattr(ours, hook) is not getattr(pl.LightningModule, hook)}
            self._defined = frozenset(found | ({"on_before_optimizer_step"} if clips else set()))
        return hook in self._defined


def defines(callback: Callback, hook: str) -> bool:
    """Whether a callback has a hook of its own, one that was left out aside."""
    own = vars(callback).get(hook)
    return own is not None or getattr(type(callback), hook) is not getattr(Callback, hook)


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
