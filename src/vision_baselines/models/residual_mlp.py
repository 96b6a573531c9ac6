"""A deep multilayer perceptron whose blocks add their input to their output, or do not: what the skip is good for.

Without the skips it is the same layers with the same weights in a plain chain. Source of the block: He et al. 2016,
arXiv:1512.03385, figure 2, with linear layers for convolutions.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Literal, get_args

from torch import Tensor, nn

from vision_baselines.models.arguments import checked_image_shape, one_of, whole_number

Norm = Literal["batch", "layer", "none"]


class ResidualBlock(nn.Module):
    """``relu(x + norm(Linear(relu(norm(Linear(x))))))``; without the skip the ``x +`` is left out.

    Args:
        features: Numbers in, and out.
        skip: Whether the input is added.
        norm: ``batch``, ``layer`` or ``none``.
    """

    def __init__(self, features: int, *, skip: bool = True, norm: Norm = "batch") -> None:
        super().__init__()
        self.skip = skip
        self.layers = nn.Sequential(*_linear(features, features, norm), nn.ReLU(), *_linear(features, features, norm))

    def forward(self, features: Tensor) -> Tensor:
        """Features (N, features) for features (N, features)."""
        change: Tensor = self.layers(features)
        return (features + change if self.skip else change).relu()


class ResidualMLP(nn.Module):
    """``Flatten → Linear → norm → ReLU``, then `blocks`, each a `ResidualBlock`, then ``Linear``.

    With the defaults and images of 1×28×28 it has 368,138 parameters for 10 classes.

    Args:
        image_shape: (channels, height, width) of one image, in pixels.
        num_classes: Number of logits.
        hidden_features: Width of every block.
        num_blocks: Number of blocks, of two linear layers each.
        skip: Whether each block adds its input to its output.
        norm: After each linear layer but the last: ``batch``, ``layer`` (Ba et al. 2016, arXiv:1607.06450) or
            ``none``.

    Raises:
        ValueError: An argument is out of range.
    """

    def __init__(
        self,
        image_shape: Sequence[int],
        num_classes: int,
        *,
        hidden_features: int = 128,
        num_blocks: int = 8,
        skip: bool = True,
        norm: Norm = "batch",
    ) -> None:
        super().__init__()
        in_features = math.prod(checked_image_shape(image_shape))
        whole_number("hidden_features", hidden_features)
        if not isinstance(skip, bool):
            raise ValueError(f"model.skip is {skip!r}; expected true or false")
        one_of("norm", norm, get_args(Norm))
        self.stem = nn.Sequential(nn.Flatten(), *_linear(in_features, hidden_features, norm), nn.ReLU())
        blocks = range(whole_number("num_blocks", num_blocks))
        self.blocks = nn.Sequential(*(ResidualBlock(hidden_features, skip=skip, norm=norm) for _ in blocks))
        self.head = nn.Linear(hidden_features, num_classes)

    def forward(self, images: Tensor) -> Tensor:
        """Logits (N, num_classes) for images (N, C, H, W)."""
        logits: Tensor = self.head(self.blocks(self.stem(images)))
        return logits


def _linear(in_features: int, out_features: int, norm: Norm) -> list[nn.Module]:
    """A linear layer and its normalisation. The layer has a bias only without one: normalising takes a bias out."""
    if norm == "none":
        return [nn.Linear(in_features, out_features)]
    normalise = nn.BatchNorm1d if norm == "batch" else nn.LayerNorm
    return [nn.Linear(in_features, out_features, bias=False), normalise(out_features)]
