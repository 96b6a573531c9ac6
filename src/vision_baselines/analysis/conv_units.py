"""The units of a net's convolutions: where each looks in the image, and what it answers.

A convolution that is called twice in one pass, as a shared one is, stands here twice. Where a unit looks comes from
`field_tracking`; that the gradient fills these boxes is a test.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from vision_baselines.analysis.field import Field, Span
from vision_baselines.analysis.influence import Box
from vision_baselines.analysis.layer_trace import recorded_calls


@dataclass(frozen=True)
class ConvUnits:
    """The units of one call of a convolution.

    Attributes:
        name: Path of the module in the net, as in `named_modules`.
        call: Which of its calls in a pass, from 0.
        kernel_size: Height and width of its kernels.
        channels: Output channels.
        size: Height and width of its output.
        image_size: Height and width of the image.
        field: What a unit sees; None where that is not defined.
    """

    name: str
    call: int
    kernel_size: tuple[int, int]
    channels: int
    size: tuple[int, int]
    image_size: tuple[int, int]
    field: Field | None

    @property
    def label(self) -> str:
        """Its name, and which call where it is not the first."""
        name = self.name or "the net"
        return f"{name}, call {self.call + 1}" if self.call else name

    @property
    def centre(self) -> tuple[int, int]:
        """Row and column of the central unit, as `influence` takes it."""
        return self.size[0] // 2, self.size[1] // 2

    @property
    def field_size(self) -> tuple[int, int] | None:
        """Height and width that a unit sees, padding included; None where that is not defined or is the whole image."""
        sizes = [span.size for span in self.field.spans] if self.field else [None]
        return None if None in sizes else (sizes[0] or 0, sizes[-1] or 0)

    def box(self, row: int, column: int) -> Box:
        """The input pixels that the unit sees; padding counts, so that it may reach beyond the image.

        Where the field is not defined, and along a side that is seen from end to end, it is the image's own.

        >>> conv_units(nn.Conv2d(1, 2, 3, stride=2, padding=1), (1, 8, 8))[0].box(0, 3)
        Box(top=-1, left=5, height=3, width=3)
        """
        spans = self.field.spans if self.field else (None, None)
        (top, height), (left, width) = (
            _interval(span, index, side)
            for span, index, side in zip(spans, (row, column), self.image_size, strict=True)
        )
        return Box(top, left, height, width)


def conv_units(net: nn.Module, image_shape: Sequence[int]) -> list[ConvUnits]:
    """The convolutions (`nn.Conv2d`) of a net in the order in which they are called, for images ``(C, H, W)``.

    Those whose output is not one map an image, ``(N, C, H, W)`` for N images, are left out.

    Raises:
        ValueError: As `layer_trace.trace_layers`.
    """
    calls: Counter[str] = Counter()
    found = []
    for call in recorded_calls(net, image_shape):
        module, shape = call.module, call.output_shape
        if not isinstance(module, nn.Conv2d) or shape is None:
            continue
        number, calls[call.name] = calls[call.name], calls[call.name] + 1
        if len(shape) == 3:
            kernel_size = (module.kernel_size[0], module.kernel_size[1])
            size, image_size = (shape[1], shape[2]), (image_shape[1], image_shape[2])
            found.append(ConvUnits(call.name, number, kernel_size, shape[0], size, image_size, call.field))
    return found


@contextmanager
def watched(net: nn.Module, units: Sequence[ConvUnits], look: Callable[[int, Tensor], None]) -> Iterator[None]:
    """While active, each pass of the net hands the outputs of convolutions to `look`, as soon as they are there.

    A layer behind may write over them, as an in-place ReLU does, so that `look` must take what it needs at once.

    Args:
        net: The net that `units` belong to.
        units: Convolutions.
        look: Takes the place in `units` and the output, ``(N, C, H, W)``.
    """
    places = {(unit.name, unit.call): place for place, unit in enumerate(units)}
    calls: Counter[str] = Counter()

    def hook(name: str) -> Callable[..., None]:
        def ended(_module: nn.Module, _args: object, output: object) -> None:
            place = places.get((name, calls[name]))
            calls[name] += 1
            if place is not None and isinstance(output, Tensor) and output.ndim == 4:
                look(place, output)

        return ended

    with ExitStack() as stack:
        stack.callback(net.register_forward_pre_hook(lambda *_: calls.clear()).remove)
        for name in {unit.name for unit in units}:
            stack.callback(net.get_submodule(name).register_forward_hook(hook(name)).remove)
        yield


def cut_out(image: Tensor, box: Box) -> tuple[Tensor, Tensor]:
    """The part of an image ``(C, H, W)`` inside a box, and where it is part of the image.

    Returns:
        ``(C, height, width)``, zero outside the image, and bool ``(height, width)``.

    >>> cut_out(torch.ones(1, 4, 4), Box(top=-1, left=0, height=2, width=2))[1]
    tensor([[False, False],
            [ True,  True]])
    """
    patch = image.new_zeros(image.shape[0], box.height, box.width)
    inside = torch.zeros(box.height, box.width, dtype=torch.bool)
    rows = slice(max(box.top, 0), max(min(box.top + box.height, image.shape[1]), 0))
    columns = slice(max(box.left, 0), max(min(box.left + box.width, image.shape[2]), 0))
    there = (slice(rows.start - box.top, rows.stop - box.top), slice(columns.start - box.left, columns.stop - box.left))
    if rows.stop > rows.start and columns.stop > columns.start:
        patch[:, there[0], there[1]] = image[:, rows, columns]
        inside[there] = True
    return patch, inside


def windows(boxes: Sequence[Box], image_size: tuple[int, int]) -> list[Box]:
    """What to show of an image for boxes of one size, all windows of one size.

    Along an axis where a box is longer than the image, the image; elsewhere the box, with what lies outside the image
    in all of them cut off, as much on opposite sides, so that the centre stays the centre.

    >>> windows([Box(-5, -5, 17, 7), Box(-4, -5, 17, 7)], (8, 8))
    [Box(top=0, left=-5, height=8, width=7), Box(top=0, left=-5, height=8, width=7)]
    """
    frames = []
    for first, length, side in (("top", "height", image_size[0]), ("left", "width", image_size[1])):
        spans = [(getattr(box, first), getattr(box, length)) for box in boxes]
        if any(size > side for _, size in spans):
            frames.append([(0, side)] * len(boxes))
            continue
        cut = max(0, min(min(-start, start + size - side) for start, size in spans))
        frames.append([(start + cut, size - 2 * cut) for start, size in spans])
    return [Box(top, left, height, width) for (top, height), (left, width) in zip(*frames, strict=True)]


def _interval(span: Span | None, index: int, side: int) -> tuple[int, int]:
    """First pixel and number of pixels."""
    if span is None or span.low is None or span.size is None:
        return 0, side
    return span.low + index * span.jump, span.size
