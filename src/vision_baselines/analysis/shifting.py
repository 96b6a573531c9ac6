"""What weight sharing does: a picture that is shifted gives the same response, shifted.

That is exact where both windows see nothing but the picture, and where the shift is a multiple of the stride;
nearer to the border the zeros that came in from outside answer too.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from vision_baselines.analysis.convolution import conv2d


@dataclass(frozen=True)
class ShiftedResponse:
    """A response beside that to the shifted picture.

    Attributes:
        steps: By how many outputs the response moves, down and right; None where the stride does not divide the shift.
        compared: Outputs whose window lies inside what both pictures share.
        max_difference: The largest difference between them; 0.0 where none is compared.
    """

    steps: tuple[int, int] | None
    compared: int
    max_difference: float


def shifted(image: NDArray[Any], down: int, right: int) -> NDArray[Any]:
    """The image ``(..., H, W)`` moved by whole pixels, with zeros where nothing came from.

    >>> shifted(np.array([[1, 2], [3, 4]]), 1, 0)
    array([[0, 0],
           [1, 2]])
    """
    moved = np.zeros_like(image)
    height, width = image.shape[-2:]
    to, back = (_overlap(height, down), _overlap(width, right)), (_overlap(height, -down), _overlap(width, -right))
    moved[..., slice(*to[0]), slice(*to[1])] = image[..., slice(*back[0]), slice(*back[1])]
    return moved


def shifted_response(
    image: NDArray[Any], kernels: NDArray[Any], *, down: int, right: int, stride: int = 1, padding: int = 0
) -> ShiftedResponse:
    """How far the response to the shifted image is from the shifted response; arguments as `conv2d`.

    Raises:
        ValueError: As `conv2d`.
    """
    before = conv2d(image, kernels, stride, padding)
    after = conv2d(shifted(image, down, right), kernels, stride, padding)
    if down % stride or right % stride:
        return ShiftedResponse(None, 0, 0.0)
    steps = (down // stride, right // stride)
    rows, columns = (
        [
            index
            for index in range(after.shape[axis])
            if low <= index * stride - padding and index * stride - padding + kernels.shape[axis] <= high
        ]
        for axis, (low, high) in ((-2, _overlap(image.shape[-2], down)), (-1, _overlap(image.shape[-1], right)))
    )
    if not rows or not columns:
        return ShiftedResponse(steps, 0, 0.0)
    new = after[..., rows[0] : rows[-1] + 1, columns[0] : columns[-1] + 1]
    old_rows, old_columns = rows[0] - steps[0], columns[0] - steps[1]
    old = before[..., old_rows : old_rows + len(rows), old_columns : old_columns + len(columns)]
    return ShiftedResponse(steps, len(rows) * len(columns), float(np.abs(new - old).max()))


def _overlap(size: int, shift: int) -> tuple[int, int]:
    """First and last-but-one index of the pixels that came from the image.

    >>> _overlap(8, 3), _overlap(8, -3), _overlap(8, 9)
    ((3, 8), (0, 5), (8, 8))
    """
    return min(size, max(0, shift)), max(0, min(size, size + shift))
