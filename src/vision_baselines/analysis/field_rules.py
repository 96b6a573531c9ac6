"""What one operation does to the receptive field: the rules `field_tracking` applies along a net.

A field follows the two sides of the image through a tensor's axes, so a channels-last layout or a
row of tokens is no mystery. "Whole image" is what global pooling, attention, flattening to a vector
and statistics over the image (group, instance and layer norm) give; it stays so ever after. An
operation without a rule leaves the field undefined: a blank is better than a guess.

Source: Araujo, Norris & Sim 2019, doi:10.23915/distill.00021 (a join sees its largest branch).
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Final, TypeVar, cast

import torch
from torch import Tensor
from torch.utils._pytree import tree_leaves, tree_map

from vision_baselines.analysis.conv_arithmetic import grown_field

T = TypeVar("T")


@dataclass(frozen=True)
class Span:
    """What a unit sees along one side of the image.

    Attributes:
        size: Input pixels from first to last; None for the whole side.
        jump: Input pixels between neighbouring units; of no meaning for the whole side.
        dim: The tensor's axis that runs along this side, negative; of no meaning for the whole side.
    """

    size: int | None
    jump: int
    dim: int

    def whole(self) -> "Span":
        """The same side, seen from end to end."""
        return replace(self, size=None)

    def grown(self, kernel_size: int, stride: int, dilation: int = 1) -> "Span":
        """The side after a kernel has slid along it."""
        if self.size is None:
            return self
        size, jump = grown_field(self.size, self.jump, kernel_size=kernel_size, stride=stride, dilation=dilation)
        return Span(size, jump, self.dim)


@dataclass(frozen=True)
class Field:
    """What a unit sees along height and width."""

    height: Span
    width: Span

    @property
    def spans(self) -> tuple[Span, Span]:
        """Height, then width."""
        return self.height, self.width

    @property
    def is_whole(self) -> bool:
        """Whether both sides are seen from end to end."""
        return self.height.size is None and self.width.size is None


PIXEL: Final = Field(Span(1, 1, -2), Span(1, 1, -1))
"""The field of the image itself, ``(N, C, H, W)``."""

WHOLE_IMAGE: Final = Field(Span(None, 1, -2), Span(None, 1, -1))


@dataclass(frozen=True)
class Call:
    """One finished call of a torch function on tensors made from the image.

    Attributes:
        func: The function, a method of `Tensor` included.
        args: Positional arguments; a method's tensor is the first.
        kwargs: Keyword arguments.
        source: The first tensor among the arguments that is made from the image.
        results: The tensors returned.
        is_elementwise: Whether every unit stayed in its place.
    """

    func: Callable[..., object]
    args: tuple[object, ...]
    kwargs: Mapping[str, object]
    source: Tensor
    results: Sequence[Tensor]
    is_elementwise: bool

    def argument(self, position: int, name: str, default: T) -> T:
        """The argument by place or name; the default also stands in for None."""
        value = self.args[position] if position < len(self.args) else self.kwargs.get(name)
        return default if value is None else cast(T, value)

    def pair(self, position: int, name: str, default: Sequence[int] = (1, 1)) -> tuple[int, int]:
        """An argument along height and width; one number means both, an empty one the default."""
        value = self.argument(position, name, cast(int | Sequence[int], default))
        if isinstance(value, int):
            return value, value
        value = value or default
        return value[0], value[-1]


def field_after(call: Call, fields: Sequence[Field | None]) -> Field | None:
    """Field of a call's results, given those of its inputs; None where it is not defined."""
    if any(field is not None and field.is_whole for field in fields):
        return WHOLE_IMAGE
    known = [field for field in fields if field is not None]
    if len(known) < len(fields):
        return None
    name = getattr(call.func, "__name__", "")
    if name in _MIXING:
        return WHOLE_IMAGE
    if name in _ALONGSIDE:
        return _joined(known)
    if name in _RULES:
        # A rule speaks of one input; a kernel that is itself made from the image is beyond it.
        return _RULES[name](call, known[0]) if len(known) == 1 else None
    return _joined(known) if call.is_elementwise else None


def _joined(fields: Sequence[Field]) -> Field | None:
    height = _largest([field.height for field in fields])
    width = _largest([field.width for field in fields])
    return None if height is None or width is None else Field(height, width)


def _largest(spans: Sequence[Span]) -> Span | None:
    sizes = [span.size for span in spans if span.size is not None]
    if len(sizes) < len(spans):
        return spans[0].whole()
    if len({span.dim for span in spans}) > 1:
        return None
    return Span(max(sizes), max(span.jump for span in spans), spans[0].dim)


def _unchanged(call: Call, field: Field) -> Field | None:
    return field


def _batch_norm(call: Call, field: Field) -> Field | None:
    return WHOLE_IMAGE if call.argument(5, "training", False) else field


def _layer_norm(call: Call, field: Field) -> Field | None:
    normalized_shape = call.argument(1, "normalized_shape", cast(Sequence[int], ()))
    return _mixed(field, dims=range(-len(normalized_shape), 0))


def _linear(call: Call, field: Field) -> Field | None:
    # On a channels-last image it is a 1x1 convolution: only a side that lies along the last axis is mixed.
    return _mixed(field, dims=(-1,))


def _glu(call: Call, field: Field) -> Field | None:
    # Halves of the channels are multiplied; halves of the image would pair units far apart.
    axis = call.argument(1, "dim", -1)
    halved = axis if axis < 0 else axis - call.source.ndim
    return None if halved in {span.dim for span in field.spans} else field


def _mixed(field: Field, *, dims: Sequence[int]) -> Field:
    height, width = (span.whole() if span.dim in dims else span for span in field.spans)
    return Field(height, width)


def _convolution(call: Call, field: Field) -> Field | None:
    height, width = call.argument(1, "weight", call.source).shape[-2:]
    return _slid(field, (height, width), call.pair(3, "stride"), call.pair(5, "dilation"))


def _avg_pool(call: Call, field: Field) -> Field | None:
    kernel_size = call.pair(1, "kernel_size")
    return _slid(field, kernel_size, call.pair(2, "stride", kernel_size), (1, 1))


def _max_pool(call: Call, field: Field) -> Field | None:
    kernel_size = call.pair(1, "kernel_size")
    return _slid(field, kernel_size, call.pair(2, "stride", kernel_size), call.pair(4, "dilation"))


def _slid(
    field: Field, kernel_size: tuple[int, int], stride: tuple[int, int], dilation: tuple[int, int]
) -> Field | None:
    if not _lies_last(field):
        return None
    return Field(
        field.height.grown(kernel_size[0], stride[0], dilation[0]),
        field.width.grown(kernel_size[1], stride[1], dilation[1]),
    )


def _adaptive_pool(call: Call, field: Field) -> Field | None:
    if not _lies_last(field):
        return None
    sides = []
    for span, before, after in zip(field.spans, call.source.shape[-2:], call.results[0].shape[-2:], strict=True):
        if after == 1:
            sides.append(span.whole())
        elif before % after:
            return None  # Windows of unequal size: units see unequal fields.
        else:
            sides.append(span.grown(before // after, before // after))
    return Field(*sides)


def _reshape(call: Call, field: Field) -> Field | None:
    before, after = call.source.shape, call.results[0].shape
    if before == after or (_lies_last(field) and before[-2:] == after[-2:]):
        return field
    if len(after) <= 2:
        return WHOLE_IMAGE
    if _lies_last(field) and after == (*before[:-2], before[-2] * before[-1]):  # An image to a row of tokens.
        return Field(replace(field.height, dim=-1), field.width)
    return None


def _lies_last(field: Field) -> bool:
    """Whether height and width, where they still matter, are the last two axes."""
    return all(span.size is None or span.dim == dim for span, dim in zip(field.spans, (-2, -1), strict=True))


def _rearranged(call: Call, field: Field) -> Field | None:
    """Follow the axes through a permutation or a reduction, on a probe whose axes differ in length."""
    probe = torch.empty([2 + axis for axis in range(call.source.ndim)], device="meta")
    args, kwargs = tree_map(lambda leaf: probe if leaf is call.source else leaf, (call.args, call.kwargs))
    shape = list(tensors_in(call.func(*args, **kwargs))[0].shape)

    def moved(span: Span) -> Span:
        length = probe.shape[span.dim]
        return replace(span, dim=shape.index(length) - len(shape)) if length in shape else span.whole()

    return Field(moved(field.height), moved(field.width))


def _indexed(call: Call, field: Field) -> Field | None:
    index = call.args[1] if isinstance(call.args[1], tuple) else (call.args[1],)
    if not all(isinstance(item, int | slice) for item in index):
        return None
    items = [*index, *[slice(None)] * (call.source.ndim - len(index))]
    sides = []
    for span in field.spans:
        item = items[span.dim]
        if not isinstance(item, slice):
            return None  # One row of the image: what is left has no height.
        axes_lost_behind = sum(isinstance(other, int) for other in items[len(items) + span.dim :])
        sides.append(replace(span.grown(1, item.step or 1), dim=span.dim + axes_lost_behind))
    return Field(*sides)


def tensors_in(tree: object) -> list[Tensor]:
    """Every tensor in nested lists, tuples and dicts, in order."""
    return [leaf for leaf in tree_leaves(tree) if isinstance(leaf, Tensor)]


# Calls that let every position reach every other.
_MIXING: Final = frozenset(
    {"group_norm", "instance_norm", "multi_head_attention_forward", "scaled_dot_product_attention"}
)

# Calls that lay tensors beside each other, or apart: no unit sees more than before.
_ALONGSIDE: Final = frozenset({"cat", "concat", "concatenate", "chunk", "split"})

_RULES: Final[Mapping[str, Callable[[Call, Field], Field | None]]] = {
    "conv2d": _convolution,
    "avg_pool2d": _avg_pool,
    "batch_norm": _batch_norm,
    "layer_norm": _layer_norm,
    "linear": _linear,
    "glu": _glu,
    "__getitem__": _indexed,
    **dict.fromkeys(("max_pool2d", "max_pool2d_with_indices"), _max_pool),
    **dict.fromkeys(("adaptive_avg_pool2d", "adaptive_max_pool2d"), _adaptive_pool),
    **dict.fromkeys(("flatten", "view", "reshape", "unflatten", "squeeze", "view_as", "reshape_as"), _reshape),
    **dict.fromkeys(("permute", "transpose", "swapaxes", "movedim"), _rearranged),
    **dict.fromkeys(("mean", "sum", "max", "min", "amax", "amin", "std", "var", "logsumexp"), _rearranged),
    **dict.fromkeys(("pad", "local_response_norm", "prelu", "rrelu"), _unchanged),
}
