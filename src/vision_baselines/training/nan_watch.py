"""Ends a run at the first NaN or infinity in a net, and names the layer that it came out of, for ``debug=nan``.

torch's anomaly mode (``+trainer.detect_anomaly=true``) names the operator and the line of code of a gradient instead.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import pytorch_lightning as pl
import torch
from torch import Tensor, nn
from torch.utils.hooks import RemovableHandle

from vision_baselines.errors import DivergedError


class NanWatch(pl.Callback):
    """Looks at what every layer gives in each training step, and at what comes back to it.

    A gradient is looked at where it enters a layer's output, so that what made it is what follows that layer. On an
    accelerator each look waits for the device.
    """

    def __init__(self) -> None:
        self._handles: list[RemovableHandle] = []
        self._where = ""

    def on_train_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Watch every module of the net that has none inside."""
        net: nn.Module = pl_module.net  # type: ignore[assignment]
        for name, layer in net.named_modules():
            if not any(layer.children()):
                self._handles.append(layer.register_forward_hook(self._watch(name or "net")))

    def on_train_batch_start(
        self, trainer: pl.Trainer, pl_module: pl.LightningModule, batch: Any, batch_idx: int
    ) -> None:
        """Remember where training stands, and look at the images.

        Raises:
            DivergedError: They are not finite.
        """
        self._where = f"at step {trainer.global_step} (epoch {trainer.current_epoch})"
        if (word := not_finite(batch)) is not None:
            raise DivergedError(f"the batch that the net is given holds {word} {self._where}")

    def on_after_backward(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Look at the gradients of the weights.

        Raises:
            DivergedError: One is not finite.
        """
        net: nn.Module = pl_module.net  # type: ignore[assignment]
        for name, parameter in net.named_parameters():
            if parameter.grad is not None and (word := not_finite(parameter.grad)) is not None:
                raise DivergedError(f"the gradient of {name} became {word} {self._where}")

    def on_train_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Stop watching."""
        for handle in self._handles:
            handle.remove()
        self._handles.clear()

    def _watch(self, name: str) -> Callable[[nn.Module, Any, Any], None]:
        def look(layer: nn.Module, inputs: Any, output: Any) -> None:
            if not layer.training:
                return
            called = f"{name} ({type(layer).__name__})"
            if (word := not_finite(output)) is not None:
                weights = [key for key, value in layer.named_parameters() if not_finite(value) is not None]
                if weights:
                    why = f"its {' and '.join(weights)} were not finite any more: the step before ruined them"
                else:
                    why = "its inputs were finite" if not_finite(inputs) is None else "so did its inputs"
                raise DivergedError(f"the output of {called} became {word} {self._where}; {why}")
            for tensor in _tensors(output):
                if tensor.requires_grad:
                    tensor.register_hook(  # type: ignore[no-untyped-call]
                        lambda gradient: self._look_at_gradient(gradient, called)
                    )

        return look

    def _look_at_gradient(self, gradient: Tensor, called: str) -> None:
        if (word := not_finite(gradient)) is not None:
            raise DivergedError(
                f"the gradient at the output of {called} became {word} {self._where}; what follows that layer made it"
            )


def not_finite(value: Any) -> str | None:
    """``nan`` or ``inf`` where a tensor, or one in a list, holds one; None where all are finite.

    >>> not_finite(torch.tensor([1.0, float("inf")])), not_finite(torch.tensor([1, 2]))
    ('inf', None)
    """
    for tensor in _tensors(value):
        if not bool(torch.isfinite(tensor).all()):
            return "nan" if bool(torch.isnan(tensor).any()) else "inf"
    return None


def _tensors(value: Any) -> Iterator[Tensor]:
    if isinstance(value, Tensor):
        yield value
    elif isinstance(value, list | tuple):
        for part in value:
            yield from _tensors(part)
