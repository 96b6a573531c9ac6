"""Per-layer shape, parameters, multiply-adds and receptive field of any network.

The net runs once on one image, as it is: nothing is compiled, copied or left behind. A row is one
call of a layer, in the order of the calls, so that a layer used twice shows both outputs; its
parameters are counted the first time only, and the columns sum to the totals.

Operations are counted by torch's own `FlopCounterMode`, which knows matrix products and convolutions and
counts two per multiply-add; biases, norms, activations and pooling count as zero. Attention runs as
plain matrix products meanwhile: the counter does not know torch's fused kernels for the CPU.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field

import torch
from torch import Tensor, nn
from torch.nn.attention import SDPBackend, sdpa_kernel
from torch.nn.parameter import is_lazy
from torch.utils.flop_counter import FlopCounterMode

from vision_baselines.analysis.field import Field, reach
from vision_baselines.analysis.field_rules import tensors_in
from vision_baselines.analysis.field_tracking import FieldTracker
from vision_baselines.seeding import default_generators_kept


@dataclass(frozen=True)
class LayerInfo:
    """One call of one layer, for one image.

    Attributes:
        name: Path of the module in the net, as in `named_modules`; empty for the net itself.
        kind: Class name of the module.
        output_shape: Shape of its first output tensor without the batch axis; None for a module that
            owns parameters but was not called itself.
        num_params: Parameters it owns and no earlier row has counted.
        num_params_trainable: Those of them that require a gradient.
        flops: Operations by torch's count, two per multiply-add.
        multiply_adds: ``flops // 2``.
        receptive_field: Input pixels a unit sees along the longer side, padding included; None where
            it is not defined or where `whole_image` holds.
        whole_image: Every unit sees the whole image.
        jump: Input pixels between neighbouring units, along the side where they are most; None
            wherever `receptive_field` is.
        param_shapes: Shapes of the parameters that `num_params` counts, by their name in the layer.
    """

    name: str
    kind: str
    output_shape: tuple[int, ...] | None
    num_params: int
    num_params_trainable: int
    flops: int
    multiply_adds: int
    receptive_field: int | None
    whole_image: bool
    jump: int | None
    param_shapes: dict[str, tuple[int, ...]] = field(default_factory=dict)


def trace_layers(net: nn.Module, image_shape: Sequence[int]) -> list[LayerInfo]:
    """Run the net on one image in evaluation mode and list its layers.

    Rows are the modules without children, and any module that owns parameters or computes something
    countable itself. Training modes, buffers of well-behaved layers and random state stay as they were.

    Args:
        net: Any module that takes ``(N, C, H, W)``.
        image_shape: ``(C, H, W)``.

    Raises:
        ValueError: The net raises in `forward` (the message names the layer), has lazy layers that
            have no shape yet, or `image_shape` is not three positive integers.

    >>> [row.receptive_field for row in trace_layers(nn.Conv2d(3, 16, kernel_size=5), (3, 8, 8))]
    [5]
    """
    return trace_net(net, image_shape)[0]


def trace_net(net: nn.Module, image_shape: Sequence[int]) -> tuple[list[LayerInfo], LayerInfo | None]:
    """The rows of `trace_layers`, and the last feature map: of those that reach the head, the one that sees most.

    It is described as the row of the layer that gives it, a convolution where that is one, else named "". It is
    None for a net without convolutions and where the field of the net's output is not defined. Pooling in windows
    side by side just before the head, or over the whole image, counts as part of the head.

    Raises:
        ValueError: As `trace_layers`.
    """
    _require_initialized(net)
    calls = recorded_calls(net, image_shape)
    counted: set[int] = set()
    rows = []
    for call in calls:
        is_leaf = next(call.module.children(), None) is None
        own = _own_parameters(call.module, counted)
        if is_leaf or own or call.own_flops:
            rows.append(_row(call, own))
    for name, module in net.named_modules():
        own = _own_parameters(module, counted)
        if own:
            rows.append(_row(LayerCall(name, module), own))
    return rows, _last_map(calls)


def num_parameters(net: nn.Module) -> tuple[int, int]:
    """Number of parameters and of those that require a gradient; shared ones count once.

    Raises:
        ValueError: The net has lazy layers that have no shape yet.

    >>> num_parameters(nn.Linear(784, 1000))
    (785000, 785000)
    """
    _require_initialized(net)
    parameters = list(net.parameters())
    return (
        sum(parameter.numel() for parameter in parameters),
        sum(parameter.numel() for parameter in parameters if parameter.requires_grad),
    )


@dataclass
class LayerCall:
    """A call while it is recorded: `output_shape` and `fields` are those of its outputs, without the batch axis."""

    name: str
    module: nn.Module
    flops_at_start: int = 0
    flops_of_children: int = 0
    own_flops: int = 0
    output_shape: tuple[int, ...] | None = None
    fields: list[Field | None] = field(default_factory=list)

    @property
    def field(self) -> Field | None:
        """That of its first output."""
        return self.fields[0] if self.fields else None


def _last_map(calls: Sequence[LayerCall]) -> LayerInfo | None:
    """The call whose output is the last feature map, a convolution where that is one; None where that is not known."""
    if not calls or not any(isinstance(call.module, nn.Conv2d) for call in calls):
        return None
    if not calls[0].fields or any(field is None for field in calls[0].fields):
        return None
    maps = [field.feature_map for field in calls[0].fields if field is not None]
    largest = max(maps, key=reach)
    convolutions = [call for call in calls if isinstance(call.module, nn.Conv2d)][-1:]
    for call in [*convolutions, *reversed(calls)]:
        if call.field == largest and not (call.field.is_vector or call.field.pooled_from):
            return _row(call, {})
    return _row(LayerCall("", calls[0].module, fields=[largest]), {})


def _row(call: LayerCall, own: Mapping[str, nn.Parameter]) -> LayerInfo:
    sizes = [span.size for span in call.field.spans] if call.field else []
    known = [size for size in sizes if size is not None]
    is_defined = call.field is not None and len(known) == 2
    return LayerInfo(
        name=call.name,
        kind=type(call.module).__name__,
        output_shape=call.output_shape,
        num_params=sum(parameter.numel() for parameter in own.values()),
        num_params_trainable=sum(parameter.numel() for parameter in own.values() if parameter.requires_grad),
        flops=call.own_flops,
        multiply_adds=call.own_flops // 2,
        receptive_field=max(known) if is_defined else None,
        whole_image=call.field is not None and call.field.is_whole,
        jump=max(span.jump for span in call.field.spans) if call.field and is_defined else None,
        param_shapes={name: tuple(parameter.shape) for name, parameter in own.items()},
    )


def recorded_calls(net: nn.Module, image_shape: Sequence[int]) -> list[LayerCall]:
    """Every call of every module while the net runs once on one image, in the order in which they begin.

    Raises:
        ValueError: As `trace_layers`.
    """
    image = _one_image(net, image_shape)
    calls: list[LayerCall] = []
    running: list[LayerCall] = []
    tracker, counter = FieldTracker(image), FlopCounterMode(display=False)

    def started(name: str) -> Callable[..., None]:
        def hook(module: nn.Module, _args: object) -> None:
            call = LayerCall(name, module, flops_at_start=counter.get_total_flops())
            calls.append(call)
            running.append(call)

        return hook

    def ended(module: nn.Module, _args: object, output: object) -> None:
        # A layer that raised and was caught by its parent never ends: it is dropped here.
        while running[-1].module is not module:
            running.pop()
        call = running.pop()
        flops = counter.get_total_flops() - call.flops_at_start
        call.own_flops = flops - call.flops_of_children
        if running:
            running[-1].flops_of_children += flops
        tensors = tensors_in(output)
        if tensors:
            call.output_shape = tuple(tensors[0].shape[1:])
            call.fields = [tracker.field_of(tensor) for tensor in tensors]

    with ExitStack() as stack:
        stack.enter_context(_undisturbed(net, image.device))
        for name, module in net.named_modules():
            stack.callback(module.register_forward_pre_hook(started(name)).remove)
            stack.callback(module.register_forward_hook(ended).remove)
        try:
            with counter, tracker:
                net(image)
        except Exception as error:
            failed = running[-1] if running else LayerCall("", net)
            reason = (str(error).strip() or "no message").splitlines()[0]
            raise ValueError(
                f"{type(net).__name__} raised in forward on one image of shape {tuple(image_shape)}, "
                f"in layer {failed.name!r} ({type(failed.module).__name__}): {type(error).__name__}: {reason}"
            ) from error
    return calls


@contextmanager
def evaluation_mode(net: nn.Module) -> Iterator[None]:
    """The net in evaluation mode, and each part in its own mode again afterwards."""
    # Flags are set directly: a net may override train() to keep a frozen part in evaluation mode.
    modes = [(module, module.training) for module in net.modules()]
    try:
        for module, _ in modes:
            module.training = False
        yield
    finally:
        for module, training in modes:
            module.training = training


@contextmanager
def _undisturbed(net: nn.Module, device: torch.device) -> Iterator[None]:
    with evaluation_mode(net), torch.no_grad(), sdpa_kernel(SDPBackend.MATH), default_generators_kept(device):
        yield


def _one_image(net: nn.Module, image_shape: Sequence[int]) -> Tensor:
    if len(image_shape) != 3 or not all(isinstance(side, int) and side >= 1 for side in image_shape):
        raise ValueError(
            f"image_shape: expected (channels, height, width), three integers >= 1, got {tuple(image_shape)}"
        )
    example = example_of(net)
    # A ramp, not noise: it draws nothing from the random state, and no statistic of it is zero.
    count = int(torch.Size(image_shape).numel())
    ramp = torch.linspace(0, 1, count, dtype=example.dtype, device=example.device)
    return ramp.reshape(1, *image_shape)


def example_of(net: nn.Module) -> Tensor:
    """A tensor of the type and on the device that the net takes images in."""
    return next((p for p in net.parameters() if p.is_floating_point()), torch.empty(0))


def _own_parameters(module: nn.Module, counted: set[int]) -> dict[str, nn.Parameter]:
    new = {name: p for name, p in module.named_parameters(recurse=False) if id(p) not in counted}
    counted.update(map(id, new.values()))
    return new


def _require_initialized(net: nn.Module) -> None:
    for name, parameter in net.named_parameters():
        if is_lazy(parameter):
            raise ValueError(f"{name}: expected a shaped parameter, got a lazy one: run the net on a batch first")
