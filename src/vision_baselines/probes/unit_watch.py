"""What the units of a net do while it runs: values of its gates, and what each of its ReLUs lets through."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Sequence
from typing import Any

import torch
from torch import Tensor, nn
from torch.overrides import TorchFunctionMode
from torch.utils.hooks import RemovableHandle

from vision_baselines.models.gated_mlp import GatedLayer

# Hooks on modules alone would not see the ReLUs that a forward pass calls as functions; neither sees `clamp(min=0)`.
_RELUS = {nn.functional.relu, torch.relu, torch.relu_, Tensor.relu, Tensor.relu_}


class UnitWatch:
    """Watches a net's forward passes until it is closed; nothing about them changes.

    Args:
        net: Any net.
        gates: Modules of it whose output is a gate: an `nn.Sigmoid`, or what a sigmoid is applied to.
        on_gate: Called with the gate's place in `gates` and its values, (B, units, …) in [0, 1].
        on_relu: Called with a name, that of the innermost module with ``#2`` for its second call, and the output of a
            ReLU, (B, units, …), in the order of the forward pass.
    """

    def __init__(
        self,
        net: nn.Module,
        gates: Sequence[nn.Module],
        on_gate: Callable[[int, Tensor], None],
        on_relu: Callable[[str, Tensor], None],
    ) -> None:
        self._inside: list[str] = []
        self._calls: Counter[str] = Counter()
        self._mode = _Relus(lambda output: on_relu(self._call_name(), output))
        self._handles: list[RemovableHandle] = [
            net.register_forward_pre_hook(self._begin),
            net.register_forward_hook(self._end, always_call=True),
        ]
        for name, module in net.named_modules():
            if module is not net:
                self._handles.append(module.register_forward_pre_hook(self._enter(name)))
                self._handles.append(module.register_forward_hook(self._leave, always_call=True))
        for index, gate in enumerate(gates):
            self._handles.append(gate.register_forward_hook(_gate_hook(index, on_gate)))

    def close(self) -> None:
        """Take every hook off."""
        for handle in self._handles:
            handle.remove()

    def _begin(self, *_: Any) -> None:
        self._inside.clear()
        self._calls.clear()
        self._mode.__enter__()  # type: ignore[no-untyped-call]

    def _end(self, *_: Any) -> None:
        self._mode.__exit__(None, None, None)  # type: ignore[no-untyped-call]

    def _enter(self, name: str) -> Callable[..., None]:
        return lambda *_: self._inside.append(name)

    def _leave(self, *_: Any) -> None:
        self._inside.pop()

    def _call_name(self) -> str:
        name = self._inside[-1] if self._inside else "(net)"
        self._calls[name] += 1
        return name if self._calls[name] == 1 else f"{name} #{self._calls[name]}"


class _Relus(TorchFunctionMode):
    """Hands every ReLU's output to `seen`."""

    def __init__(self, seen: Callable[[Tensor], None]) -> None:
        super().__init__()
        self._seen = seen

    def __torch_function__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        output = func(*args, **(kwargs or {}))
        if func in _RELUS and output.ndim > 1:
            self._seen(output.detach())
        return output


def _gate_hook(index: int, on_gate: Callable[[int, Tensor], None]) -> Callable[..., None]:
    def look(module: nn.Module, inputs: Any, output: Any) -> None:
        if isinstance(output, Tensor) and output.ndim > 1:
            value = output.detach().float()
            on_gate(index, value if isinstance(module, nn.Sigmoid) else value.sigmoid())

    return look


def gates_of(net: nn.Module) -> list[str]:
    """Names of the gates of this project's gated layers, in order."""
    return [f"{name}.gate".lstrip(".") for name, module in net.named_modules() if isinstance(module, GatedLayer)]
