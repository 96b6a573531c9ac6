"""A fully connected net as large as another net: a comparison of kinds should not be one of sizes."""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable, Sequence
from typing import Final

import torch
from torch import Tensor, nn

from vision_baselines.analysis.layer_trace import num_parameters
from vision_baselines.models.arguments import checked_image_shape, whole_numbers
from vision_baselines.models.fc import FC
from vision_baselines.seeding import default_generators_kept

TOLERANCE: Final = 0.02
"""How far the two counts may lie apart, as a part of the other net's."""


class MatchedFC(nn.Module):
    """An `FC` with the number of parameters of another net, to within 2%.

    The other net is only counted: it has no memory and draws no random number, so the weights are those of an `FC`
    of the same widths and seed.

    Args:
        image_shape: (channels, height, width) of one image, in pixels.
        num_classes: Number of logits.
        match: Makes the other net.
        shape: Widths of the hidden layers in relation to each other.
        dropout: Probability of zeroing a hidden feature in training, in [0, 1].

    Raises:
        ValueError: An argument is out of range, or no widths come within 2% of the other net.
    """

    def __init__(
        self,
        image_shape: Sequence[int],
        num_classes: int,
        *,
        match: Callable[[], nn.Module],
        shape: Sequence[int] = (2, 1),
        dropout: float = 0.5,
    ) -> None:
        super().__init__()
        with default_generators_kept(), torch.device("meta"):
            target, _ = num_parameters(match())
        in_features = math.prod(checked_image_shape(image_shape))
        widths = matched_widths(target, in_features, num_classes, shape=shape)
        self.fc = FC(image_shape, num_classes, hidden_features=widths, dropout=dropout)

    def forward(self, images: Tensor) -> Tensor:
        """Logits (N, num_classes) for images (N, C, H, W)."""
        logits: Tensor = self.fc(images)
        return logits


def matched_widths(target: int, in_features: int, num_classes: int, *, shape: Sequence[int] = (2, 1)) -> list[int]:
    """Widths of the hidden layers that give a fully connected net a number of parameters, to within 2%.

    They have the ratios of `shape`, rounded. Where the first layer is so narrow that one unit of it is more than the
    2%, the last layer's width, which counts in smaller steps, makes up the difference.

    Args:
        target: Parameters, weights and biases, that the net should have.
        in_features: Numbers in.
        num_classes: Numbers out.
        shape: Widths in relation to each other.

    Raises:
        ValueError: No widths come within 2%; or `shape` is no list of whole numbers of at least 1.

    >>> matched_widths(421_834, 784, 10)
    [421, 210]
    """
    ratios = whole_numbers("shape", shape, at_least=1)

    def widths(first: int) -> list[int]:
        return [max(1, round(first * ratio / ratios[0])) for ratio in ratios]

    def count(hidden: Sequence[int]) -> int:
        sizes = [in_features, *hidden, num_classes]
        return sum((before + 1) * after for before, after in itertools.pairwise(sizes))

    below, above = 1, 2
    while count(widths(above)) < target:
        below, above = above, 2 * above
    while above - below > 1:
        middle = (below + above) // 2
        below, above = (middle, above) if count(widths(middle)) < target else (below, middle)
    candidates = sorted((widths(below), widths(above)), key=lambda hidden: abs(count(hidden) - target))
    if len(ratios) > 1:
        candidates += [_refined(hidden, target, count) for hidden in candidates]
    for hidden in candidates:
        if abs(count(hidden) - target) <= TOLERANCE * target:
            return hidden
    nearest = min(candidates, key=lambda hidden: abs(count(hidden) - target))
    raise ValueError(
        f"model.match has {target:,} parameters; expected a number that a fully connected net of model.shape "
        f"{ratios} on {in_features:,} inputs comes within {TOLERANCE:.0%} of: the nearest, with hidden layers of "
        f"{nearest}, has {count(nearest):,}"
    )


def _refined(hidden: Sequence[int], target: int, count: Callable[[Sequence[int]], int]) -> list[int]:
    """The same but for the last width, which brings the count as near to the target as it can."""
    *rest, last = hidden
    step = count([*rest, last + 1]) - count(hidden)
    return [*rest, max(1, last + round((target - count(hidden)) / step))]
