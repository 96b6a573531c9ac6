"""What a unit sees of the image, as an interval along each side; `field_rules` says how operations change it."""

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import Final


@dataclass(frozen=True)
class Span:
    """What a unit sees along one side: unit ``i`` sees the input pixels ``low + i * jump`` to ``high + i * jump``.

    Attributes:
        low: First input pixel that unit 0 sees, padding included, so that it may be negative; None for the whole side.
        high: Last input pixel that unit 0 sees; None for the whole side.
        jump: Input pixels between neighbouring units; of no meaning for the whole side.
        dim: The tensor's axis that runs along this side, negative; of no meaning for the whole side.
    """

    low: int | None
    high: int | None
    jump: int
    dim: int

    @property
    def size(self) -> int | None:
        """Input pixels from first to last; None for the whole side."""
        return None if self.low is None or self.high is None else self.high - self.low + 1

    def whole(self) -> "Span":
        """The same side, seen from end to end."""
        return replace(self, low=None, high=None)

    def slid(self, kernel_size: int, stride: int = 1, dilation: int = 1, padding: int = 0) -> "Span":
        """The side after a kernel has slid along it, its first tap `padding` units before the first unit."""
        if self.low is None or self.high is None:
            return self
        start = self.low - padding * self.jump
        reach = (kernel_size - 1) * dilation * self.jump
        return Span(start, self.high - self.low + start + reach, self.jump * stride, self.dim)


@dataclass(frozen=True)
class Field:
    """What a unit sees along height and width.

    Attributes:
        height: Along the image's height.
        width: Along its width.
        pooled_from: The feature map behind it, where only pooling and the layers of a head came since; None where the
            tensor is a feature map itself.
    """

    height: Span
    width: Span
    pooled_from: "Field | None" = field(default=None, compare=False)

    @property
    def spans(self) -> tuple[Span, Span]:
        """Height, then width."""
        return self.height, self.width

    @property
    def is_whole(self) -> bool:
        """Whether both sides are seen from end to end."""
        return self.height.size is None and self.width.size is None

    @property
    def is_vector(self) -> bool:
        """Whether positions are gone: pooled over the whole image or flattened, for a head or a gate."""
        return self.is_whole and self.pooled_from is not None

    @property
    def feature_map(self) -> "Field":
        """The last feature map: this field, or the one before pooling and head."""
        return self.pooled_from or self

    def with_spans(self, spans: Sequence[Span]) -> "Field":
        """The same tensor's field with other spans."""
        return replace(self, height=spans[0], width=spans[1])


PIXEL: Final = Field(Span(0, 0, 1, -2), Span(0, 0, 1, -1))
"""The field of the image itself, ``(N, C, H, W)``."""

WHOLE_IMAGE: Final = Field(Span(None, None, 1, -2), Span(None, None, 1, -1))


def reach(field: Field) -> float:
    """Input pixels along the longer side; infinite where that is the whole side."""
    return max(float("inf") if span.size is None else span.size for span in field.spans)
