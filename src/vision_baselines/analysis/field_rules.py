"""What one operation does to the receptive field: the rules `field_tracking` applies along a net.

A field follows the two sides of the image through a tensor's axes, so a channels-last layout or a
row of tokens is no mystery. "Whole image" is what global pooling, attention, flattening to a vector
and statistics over the image (group, instance and layer norm) give; it stays so ever after. An
operation without a rule leaves the field undefined: a blank is better than a guess.

The field is an interval with a place, not a width alone: where branches join that look at different places (a
slice beside a slice, uneven padding) the unit sees from the first pixel of one to the last of the other.

Source: Araujo, Norris & Sim 2019, doi:10.23915/distill.00021 (sizes, jumps, centres).
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Final, TypeVar, cast

import torch
from torch import Tensor
from torch.utils._pytree import tree_leaves, tree_map

from vision_baselines.analysis.field import WHOLE_IMAGE, Field, Span, reach

T = TypeVar("T")


@dataclass(frozen=True)
class Call:
    """One finished call of a torch function on tensors made from the image.

    Attributes:
        func: The function, a method of `Tensor` included.
        args: Positional arguments; a method's tensor is the first.
        kwargs: Keyword arguments.
        sources: The tensors among the arguments that are made from the image.
        results: The tensors returned.
        is_elementwise: Whether every unit stayed in its place.
    """

    func: Callable[..., object]
    args: tuple[object, ...]
    kwargs: Mapping[str, object]
    sources: Sequence[Tensor]
    results: Sequence[Tensor]
    is_elementwise: bool

    @property
    def source(self) -> Tensor:
        """The first tensor that is made from the image."""
        return self.sources[0]

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
    known = [field for field in fields if field is not None]
    if any(field.is_whole for field in known):
        vectors = [field.feature_map for field in known if field.is_vector]
        if len(vectors) == len(fields):
            return replace(WHOLE_IMAGE, pooled_from=max(vectors, key=reach))
        # A gate, as of squeeze-and-excitation, brings its vector back to a map of which every unit sees all.
        is_flat = call.results and call.results[0].ndim <= 2
        return replace(WHOLE_IMAGE, pooled_from=max((f.feature_map for f in known), key=reach) if is_flat else None)
    if len(known) < len(fields):
        return None
    name = getattr(call.func, "__name__", "")
    if name in _MIXING:
        return WHOLE_IMAGE
    if name in _ALONGSIDE:
        axis = call.argument(2 if name in ("chunk", "split") else 1, "dim", 0)
        return None if _runs_along(call, known[0], axis) else _joined(call, known)
    if name in _RULES:
        # A rule speaks of one input; a kernel that is itself made from the image is beyond it.
        return _RULES[name](call, known[0]) if len(known) == 1 else None
    return _joined(call, known) if call.is_elementwise else None


def _runs_along(call: Call, field: Field, axis: int) -> bool:
    """Whether an axis of the call's source, counted from either end, is one of the image's sides."""
    return (axis if axis < 0 else axis - call.source.ndim) in {span.dim for span in field.spans}


def _joined(call: Call, fields: Sequence[Field]) -> Field | None:
    if not call.results:
        return None
    sides = (_union([field.spans[side] for field in fields], call.sources, call.results[0]) for side in (0, 1))
    height, width = sides
    if height is None or width is None:
        return None
    return Field(height, width, fields[0].pooled_from if len(fields) == 1 else None)


def _union(spans: Sequence[Span], sources: Sequence[Tensor], result: Tensor) -> Span | None:
    """From the first pixel of any to the last of any; None where the units of two do not move in step."""
    if any(span.size is None for span in spans):
        return spans[0].whole()
    dim = spans[0].dim
    if any(span.dim != dim for span in spans) or result.ndim < -dim:
        return None
    length = result.shape[dim]
    # A single row or column that is broadcast lies at another distance from every unit.
    if any(source.shape[dim] != length for source in sources):
        return None
    jumps = {span.jump for span in spans}
    if len(jumps) > 1 and length > 1:
        return None
    lows, highs = zip(*((span.low or 0, span.high or 0) for span in spans), strict=True)
    return Span(min(lows), max(highs), max(jumps), dim)


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
    return field.with_spans([span.whole() if span.dim in dims else span for span in field.spans])


def _padded(call: Call, field: Field) -> Field | None:
    pad = list(call.argument(1, "pad", cast(Sequence[int], ())))
    before = {-(1 + place // 2): pad[place] for place in range(0, len(pad), 2)}
    is_moved = any(pad[2 * (-span.dim - 1) : 2 * -span.dim] not in ([], [0, 0]) for span in field.spans)
    if not is_moved:
        return field
    if call.argument(2, "mode", "constant") == "circular" or not _apart(field):
        return None  # A padded unit repeats one from the other end.
    return field.with_spans([span.slid(1, padding=before.get(span.dim, 0)) for span in field.spans])


def _apart(field: Field) -> bool:
    """Whether height and width lie along axes of their own, not in one row of tokens."""
    return field.height.dim != field.width.dim


def _convolution(call: Call, field: Field) -> Field | None:
    kernel_size = tuple(call.argument(1, "weight", call.source).shape[-2:])
    stride, dilation = call.pair(3, "stride"), call.pair(5, "dilation")
    padding = call.argument(4, "padding", cast(int | str | Sequence[int], 0))
    if isinstance(padding, str):  # "same" puts the odd unit behind, "valid" pads nothing.
        steps = [d * (k - 1) // 2 if padding == "same" else 0 for k, d in zip(kernel_size, dilation, strict=True)]
    else:
        steps = list(call.pair(4, "padding", (0, 0)))
    slid = _slid(field, kernel_size, stride, dilation, steps)
    return replace(slid, pooled_from=None) if slid else None


def _avg_pool(call: Call, field: Field) -> Field | None:
    return _pooled(call, field, (1, 1))


def _max_pool(call: Call, field: Field) -> Field | None:
    return _pooled(call, field, call.pair(4, "dilation"))


def _pooled(call: Call, field: Field, dilation: tuple[int, int]) -> Field | None:
    kernel_size = call.pair(1, "kernel_size")
    stride, padding = call.pair(2, "stride", kernel_size), call.pair(3, "padding", (0, 0))
    slid = _slid(field, kernel_size, stride, dilation, padding)
    if slid is None:
        return None
    covered = [
        1 < before <= kernel and margin == 0
        for before, kernel, margin in zip(call.source.shape[-2:], kernel_size, padding, strict=True)
    ]
    spans = [span.whole() if whole else span for span, whole in zip(slid.spans, covered, strict=True)]
    # Windows side by side, as before a head, only thin out the map; windows that overlap make another one.
    thins_out = kernel_size == stride and padding == (0, 0)
    return Field(spans[0], spans[1], pooled_from=field.feature_map if thins_out or any(covered) else None)


def _slid(
    field: Field, kernel_size: Sequence[int], stride: Sequence[int], dilation: Sequence[int], padding: Sequence[int]
) -> Field | None:
    if not _lies_last(field):
        return None
    steps = zip(field.spans, kernel_size, stride, dilation, padding, strict=True)
    return field.with_spans([span.slid(*step) for span, *step in steps])


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
            sides.append(span.slid(before // after, before // after))
    return Field(sides[0], sides[1], pooled_from=field.feature_map)


def _reshape(call: Call, field: Field) -> Field | None:
    before, after = call.source.shape, call.results[0].shape
    if before == after or (_lies_last(field) and before[-2:] == after[-2:]):
        return field
    if len(after) <= 2:
        return replace(WHOLE_IMAGE, pooled_from=field.feature_map)
    if _lies_last(field) and after == (*before[:-2], before[-2] * before[-1]):  # An image to a row of tokens.
        return field.with_spans([replace(field.height, dim=-1), field.width])
    return None


def _lies_last(field: Field) -> bool:
    """Whether height and width, where they still matter, are the last two axes."""
    return all(span.size is None or span.dim == dim for span, dim in zip(field.spans, (-2, -1), strict=True))


def _rearranged(call: Call, field: Field) -> Field | None:
    """Follow the axes through a permutation or a reduction, on a probe whose axes differ in length."""
    probe = torch.empty([2 + axis for axis in range(call.source.ndim)], device="meta")
    args, kwargs = tree_map(lambda leaf: probe if leaf is call.source else leaf, (call.args, call.kwargs))
    try:
        shape = list(tensors_in(call.func(*args, **kwargs))[0].shape)
    except (RuntimeError, IndexError):  # Another tensor takes part whose shape the probe does not have.
        return None

    def moved(span: Span) -> Span:
        length = probe.shape[span.dim]
        return replace(span, dim=shape.index(length) - len(shape)) if length in shape else span.whole()

    spans = [moved(span) for span in field.spans]
    is_reduced = any(new.size is None and old.size is not None for new, old in zip(spans, field.spans, strict=True))
    return Field(spans[0], spans[1], pooled_from=field.feature_map if is_reduced else field.pooled_from)


def _indexed(call: Call, field: Field) -> Field | None:
    index = list(call.args[1]) if isinstance(call.args[1], tuple) else [call.args[1]]
    missing = call.source.ndim - sum(item is not Ellipsis for item in index)
    place = next((place for place, item in enumerate(index) if item is Ellipsis), len(index))
    items = [*index[:place], *[slice(None)] * missing, *index[place + 1 :]]
    if not all(isinstance(item, int | slice) for item in items) or len(items) != call.source.ndim:
        return None
    sides = []
    for span in field.spans:
        item = items[span.dim]
        if not isinstance(item, slice):
            return None  # One row of the image: what is left has no height.
        start, _, step = item.indices(call.source.shape[span.dim])
        if (start, step) != (0, 1) and not _apart(field):
            return None  # In a row of tokens one step is a step to the right, or to the next line.
        axes_lost_behind = sum(isinstance(other, int) for other in items[len(items) + span.dim :])
        sides.append(replace(span.slid(1, step, padding=-start), dim=span.dim + axes_lost_behind))
    return field.with_spans(sides)


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
    "pad": _padded,
    **dict.fromkeys(("local_response_norm", "prelu", "rrelu"), _unchanged),
}
