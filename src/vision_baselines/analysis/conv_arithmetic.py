"""Output size and receptive field of a chain of convolutions or poolings, by arithmetic alone.

A layer is ``(kernel_size, stride, padding)`` or ``(kernel_size, stride, padding, dilation)``, along
one side; a net that is not square is two chains. `layer_trace` reads these numbers off a real
network and uses the same formulas.

The receptive field grows by ``(kernel_size - 1) * dilation * jump`` a layer, where the jump is the
product of the strides *before* that layer. The short form often taught, ``(kernel_size - 1) * stride``,
agrees only while every stride is 1: after one stride-2 layer a step of one unit is two input pixels.

Source: Dumoulin & Visin 2016, arXiv:1603.07285 (sizes); Araujo, Norris & Sim 2019,
doi:10.23915/distill.00021 (fields, jumps, centres).
"""

import operator
from collections.abc import Iterator, Sequence
from dataclasses import dataclass


@dataclass(frozen=True)
class LayerStep:
    """One layer of a chain and what a unit of its output sees, along one side.

    Attributes:
        kernel_size: Side length of the kernel, in units of the layer's input.
        stride: Units of the layer's input between neighbouring outputs.
        padding: Units added on each side.
        dilation: Units of the layer's input between neighbouring kernel taps.
        output_size: Side length of the output, in units.
        jump: Input pixels between neighbouring outputs: the product of the strides so far.
        receptive_field: Input pixels from the first to the last one that a unit sees, padding
            included: it may exceed the image.
        center: Centre of the first unit's field, in input pixels; 0.0 is the middle of the first
            pixel. Unit ``i`` is centred at ``center + i * jump``.
        unused: Units at the end of the padded input that no window reaches: what rounding down drops. The quotient
            that is rounded is ``output_size + unused / stride``.
    """

    kernel_size: int
    stride: int
    padding: int
    dilation: int
    output_size: int
    jump: int
    receptive_field: int
    center: float
    unused: int


def output_size(input_size: int, kernel_size: int, stride: int = 1, padding: int = 0, dilation: int = 1) -> int:
    """Side length, in pixels, after a convolution or pooling (floor rounding).

    Args:
        input_size: Side length in pixels, >= 1.
        kernel_size: Side length of the kernel in pixels, >= 1.
        stride: Pixels between neighbouring outputs, >= 1.
        padding: Pixels added on each side, >= 0.
        dilation: Pixels between neighbouring kernel taps, >= 1.

    Raises:
        ValueError: The dilated kernel is larger than the padded input, or an argument is not an
            integer in its range.

    Source: Dumoulin & Visin 2016, arXiv:1603.07285.

    >>> output_size(32, kernel_size=3, stride=2, padding=1)
    16
    """
    input_size = _integer("input_size", input_size, minimum=1)
    kernel_size, stride, padding, dilation = _checked_layer((kernel_size, stride, padding, dilation))
    span = dilation * (kernel_size - 1) + 1
    padded = input_size + 2 * padding
    if span > padded:
        raise ValueError(
            f"kernel_size={kernel_size} with dilation={dilation} spans {span} pixels: expected at most the "
            f"padded input of {padded} (input_size={input_size}, padding={padding})"
        )
    return (padded - span) // stride + 1


def grown_field(field: int, jump: int, *, kernel_size: int, stride: int, dilation: int = 1) -> tuple[int, int]:
    """Receptive field and jump, in input pixels, after one more layer.

    Args:
        field: Receptive field of the layer's input, in input pixels.
        jump: Input pixels between neighbouring units of the layer's input.
        kernel_size: Side length of the kernel.
        stride: Step of the kernel.
        dilation: Distance between neighbouring kernel taps.

    >>> grown_field(4, 2, kernel_size=3, stride=1)
    (8, 2)
    """
    return field + (kernel_size - 1) * dilation * jump, jump * stride


def trace_chain(layers: Sequence[Sequence[int]], input_size: int) -> list[LayerStep]:
    """Size, jump, receptive field and centre after each layer, in order.

    Args:
        layers: Each ``(kernel_size, stride, padding)`` or ``(kernel_size, stride, padding, dilation)``.
        input_size: Side length of the image in pixels, >= 1.

    Raises:
        ValueError: A layer leaves no pixel or is malformed; the message names the layer, counted
            from 1, and its numbers.

    >>> [(step.output_size, step.receptive_field) for step in trace_chain([(3, 1, 1), (2, 2, 0)], 32)]
    [(32, 3), (16, 4)]
    """
    size = _integer("input_size", input_size, minimum=1)
    field, jump, center = 1, 1, 0.0
    steps = []
    for number, (kernel_size, stride, padding, dilation) in _numbered(layers):
        padded = size + 2 * padding
        try:
            size = output_size(size, kernel_size, stride, padding, dilation)
        except ValueError as error:
            given = f"kernel_size={kernel_size}, stride={stride}, padding={padding}, dilation={dilation}"
            raise ValueError(f"layer {number} ({given}) leaves no pixel: {error}") from error
        # The kernel's middle tap, counted from the first padded unit, in jumps of the layer's input.
        center += ((kernel_size - 1) * dilation / 2 - padding) * jump
        field, jump = grown_field(field, jump, kernel_size=kernel_size, stride=stride, dilation=dilation)
        unused = (padded - dilation * (kernel_size - 1) - 1) % stride
        steps.append(LayerStep(kernel_size, stride, padding, dilation, size, jump, field, center, unused))
    return steps


def conv_params(kernel_size: int, in_channels: int, out_channels: int) -> int:
    """Weights and biases of a square convolution.

    >>> conv_params(3, 32, 64) + conv_params(3, 64, 64), conv_params(5, 32, 64)  # the same field, and more
    (55424, 51264)
    """
    return kernel_size**2 * in_channels * out_channels + out_channels


def receptive_field(layers: Sequence[Sequence[int]]) -> int:
    """Side length, in input pixels, of what one unit after the last layer sees; 1 for no layers.

    Args:
        layers: As for `trace_chain`; no input size is needed, the field does not depend on it.

    Raises:
        ValueError: A layer is malformed; the message names it, counted from 1.

    >>> receptive_field([(3, 1, 1)] * 5)
    11
    """
    field, jump = 1, 1
    for _, (kernel_size, stride, _, dilation) in _numbered(layers):
        field, jump = grown_field(field, jump, kernel_size=kernel_size, stride=stride, dilation=dilation)
    return field


def _numbered(layers: Sequence[Sequence[int]]) -> Iterator[tuple[int, tuple[int, int, int, int]]]:
    for number, layer in enumerate(layers, start=1):
        try:
            checked = _checked_layer(layer)
        except ValueError as error:
            raise ValueError(f"layer {number}: {error}") from error
        yield number, checked


def _checked_layer(layer: object) -> tuple[int, int, int, int]:
    if isinstance(layer, str) or not isinstance(layer, Sequence) or len(layer) not in (3, 4):
        raise ValueError(f"expected (kernel_size, stride, padding) and perhaps dilation, got {layer!r}")
    kernel_size, stride, padding, dilation = layer if len(layer) == 4 else (*layer, 1)
    return (
        _integer("kernel_size", kernel_size, minimum=1),
        _integer("stride", stride, minimum=1),
        _integer("padding", padding, minimum=0),
        _integer("dilation", dilation, minimum=1),
    )


def _integer(name: str, value: int, *, minimum: int) -> int:
    try:
        # operator.index also takes NumPy integers, and refuses 3.0 and "3"; True is a slip, not a 1.
        number = operator.index(value) if not isinstance(value, bool) else None
    except TypeError:
        number = None
    if number is None or number < minimum:
        raise ValueError(f"{name}: expected an integer >= {minimum}, got {value!r}")
    return number
