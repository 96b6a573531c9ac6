"""The operations of one training step as they are done, each with its module and hashes of what goes in and comes out.

A torch-dispatch mode sees the forward pass, the backward pass (custom autograd functions too) and the optimizer, in
place or not, and changes none of it. Which module an operation of the backward pass belongs to is told by hooks on
the tensors that modules return: full backward hooks refuse in-place operations.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import torch
from torch import Tensor, nn
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves

from vision_baselines.analysis.field_rules import tensors_in

OUTSIDE = ""  # the module of an operation outside of every module: the loss, the optimizer
# What they return has not been written yet.
_UNWRITTEN = frozenset(
    f"aten.{name}" for name in ("empty", "empty_like", "empty_strided", "new_empty", "new_empty_strided", "resize_")
)


class OperationRecorder(TorchDispatchMode):
    """Context in which every operation is recorded.

    Args:
        net: Its modules are named as in ``named_modules``.
        hash_of: Hash of a list of tensors and numbers.

    Attributes:
        phase: What is going on: ``forward``, ``backward`` or ``optimizer``; set by whoever knows.
        paused: Whether nothing is recorded.
        done: The operations so far: phase, module, name, hashes of arguments and of results, whether it draws from a
            generator of torch.
    """

    def __init__(self, net: nn.Module, hash_of: Callable[[Sequence[Any]], int]) -> None:
        super().__init__()  # type: ignore[no-untyped-call]  # torch does not annotate it.
        self._hash_of = hash_of
        self.phase = "forward"
        self.paused = False
        self.done: list[tuple[str, str, str, int, int, bool]] = []
        self._unwritten: set[int] = set()  # memory that holds what happened to be there
        self._stack: list[str] = []
        self._going_back = OUTSIDE
        self._hooked: dict[tuple[int, int], Tensor] = {}  # kept, so that no identity is used twice
        self._handles: list[Any] = []
        for name, module in net.named_modules():
            label = f"{name or 'the net'} ({type(module).__name__})"
            self._handles.append(module.register_forward_pre_hook(self._enter(label)))
            self._handles.append(module.register_forward_hook(self._leave(label)))

    def close(self) -> None:
        """Take the hooks off the modules."""
        for handle in self._handles:
            handle.remove()
        self._hooked.clear()

    def __torch_dispatch__(
        self,
        func: Any,
        types: Sequence[type],
        args: tuple[Any, ...] = (),
        kwargs: Mapping[str, Any] | None = None,
    ) -> Any:
        """Do the operation, and record it."""
        kwargs = kwargs or {}
        name = str(func.overloadpacket)
        if self.paused or name.startswith("profiler."):
            return func(*args, **kwargs)
        given = tensors_in((args, kwargs))
        inputs = self._hash_of([self._written(leaf) for leaf in _values((args, kwargs))])
        result = func(*args, **kwargs)
        outputs = tensors_in(result)
        if name in _UNWRITTEN:
            self._unwritten.update(map(_memory, outputs))
            outputs = []
        elif func._schema.is_mutable:
            self._unwritten.difference_update(map(_memory, given))
        else:
            self._unwritten.difference_update(set(map(_memory, outputs)) - set(map(_memory, given)))  # but not views
        if len(outputs) > 1:  # bytes beside other results are a kernel's workspace, in part never written
            outputs = [tensor for tensor in outputs if tensor.dtype != torch.uint8]
        if self.phase == "forward":
            module = self._stack[-1] if self._stack else OUTSIDE
        else:
            module = self._going_back if self.phase == "backward" else OUTSIDE
        seeded = torch.Tag.nondeterministic_seeded in func.tags
        made = self._hash_of([self._written(tensor) for tensor in outputs])
        self.done.append((self.phase, module, name, inputs, made, seeded))
        return result

    def _written(self, leaf: Any) -> Any:
        """A value among arguments, or dtype and shape of a tensor that nothing has been written to."""
        if isinstance(leaf, Tensor) and _memory(leaf) in self._unwritten:
            return str(leaf.dtype), tuple(leaf.shape)
        return leaf

    def _enter(self, label: str) -> Callable[[nn.Module, Any], None]:
        def hook(module: nn.Module, args: Any) -> None:
            self._stack.append(label)

        return hook

    def _leave(self, label: str) -> Callable[[nn.Module, Any, Any], None]:
        def backward_of(gradient: Tensor) -> None:
            self._going_back = label

        def hook(module: nn.Module, args: Any, result: Any) -> None:
            self._stack.pop()
            for tensor in tensors_in(result):
                key = id(tensor), tensor._version
                if tensor.requires_grad and key not in self._hooked:  # a container returns what its last part did
                    self._hooked[key] = tensor
                    tensor.register_hook(backward_of)  # type: ignore[no-untyped-call]

        return hook


def _memory(tensor: Tensor) -> int:
    return tensor.untyped_storage().data_ptr()


def _values(tree: Any) -> list[Any]:
    """Tensors and plain values among arguments, in order; a generator, say, has no value."""
    kinds = (Tensor, int, float, complex, str, torch.dtype, type(None))
    return [leaf for leaf in tree_leaves(tree) if isinstance(leaf, kinds)]
