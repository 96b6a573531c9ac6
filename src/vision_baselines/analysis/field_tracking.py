"""Receptive field of every tensor in a forward pass, followed from the image on.

A torch-function mode sees each call by the name it was written with (`conv2d`, `flatten`), so nets
with branches, loops and functional layers are followed as they run; tracing a graph first (torch.fx)
would refuse the dynamic ones. What a call does to the field stands in `field_rules`. Which calls are
elementwise is read off torch's own tags, not off a list to keep.
"""

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import torch
from torch import Tensor
from torch.overrides import TorchFunctionMode
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils.weak import WeakTensorKeyDictionary

from vision_baselines.analysis.field import PIXEL, Field
from vision_baselines.analysis.field_rules import Call, field_after, tensors_in


class FieldTracker(TorchFunctionMode):
    """Context in which every tensor computed from the image gets its receptive field."""

    # They take a shape or type from the image, and none of its pixels.
    _FACTORIES = frozenset(
        f"{prefix}{kind}{suffix}"
        for prefix, suffix in (("", "_like"), ("new_", ""))
        for kind in ("zeros", "ones", "empty", "full", "rand", "randn", "randint", "tensor")
    )

    def __init__(self, image: Tensor) -> None:
        """Start from the image, ``(N, C, H, W)``, whose pixels see themselves."""
        super().__init__()
        # Weak, or each activation of the pass would live until its end.
        self._fields: Any = WeakTensorKeyDictionary()
        self._fields[image] = PIXEL

    def field_of(self, tensor: Tensor) -> Field | None:
        """Field of the tensor; None where it is not defined or the tensor is not made from the image."""
        field: Field | None = self._fields.get(tensor)
        return field

    def __torch_function__(
        self,
        func: Callable[..., object],
        types: Sequence[type],
        args: tuple[object, ...] = (),
        kwargs: Mapping[str, object] | None = None,
    ) -> object:
        """Run the call, then note the field of what it returns."""
        kwargs = kwargs or {}
        given = tensors_in((args, kwargs))
        versions = [_version(leaf) for leaf in given]
        with _ElementwiseCheck() as check:
            result = func(*args, **kwargs)
        sources = [leaf for leaf in given if leaf in self._fields]
        name = getattr(func, "__name__", "")
        if sources and name not in self._FACTORIES:
            # Assigning to a slice returns nothing: it is the first argument that changes.
            changed = tensors_in(args[0] if name == "__setitem__" else result)
            call = Call(func, args, kwargs, sources, changed, check.is_elementwise)
            field = field_after(call, [self._fields[source] for source in sources])
            for leaf, version in zip(given, versions, strict=True):
                if _version(leaf) != version and any(leaf is own for own in [*changed, *sources]):
                    self._forget_views_of(leaf)
            for tensor in changed:
                self._fields[tensor] = field
        return result

    def _forget_views_of(self, written: Tensor) -> None:
        """After a write in place: what shares its memory holds new values, in places that are not known."""
        base = written if written._base is None else written._base
        for tensor in [*self._fields.keys(), base]:
            if tensor is base or tensor._base is base:
                self._fields[tensor] = None


def _version(tensor: Tensor) -> int:
    """How often the tensor's memory was written in place; an inference tensor keeps no count."""
    return 0 if tensor.is_inference() else tensor._version


class _ElementwiseCheck(TorchDispatchMode):
    """Whether everything that ran below one call left each unit in its place."""

    # They move no unit, yet carry no pointwise tag in torch 2.13.
    _UNTAGGED = frozenset(
        {
            *("aten::clone", "aten::detach", "aten::alias", "aten::_to_copy", "aten::copy_"),
            *("aten::hardswish", "aten::hardswish_", "aten::log_sigmoid_forward"),
            # A dropout that is left on draws its mask into a new tensor.
            *("aten::empty_like", "aten::new_empty", "aten::bernoulli_", "aten::native_dropout"),
        }
    )

    def __init__(self) -> None:
        super().__init__()  # type: ignore[no-untyped-call]  # torch does not annotate it.
        self.is_elementwise = True

    def __torch_dispatch__(
        self,
        func: torch._ops.OpOverload[..., object],
        types: Sequence[type],
        args: tuple[object, ...] = (),
        kwargs: Mapping[str, object] | None = None,
    ) -> object:
        self.is_elementwise &= torch.Tag.pointwise in func.tags or func._schema.name in self._UNTAGGED
        return func(*args, **(kwargs or {}))
