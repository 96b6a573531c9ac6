"""The fully connected baseline: the image as one long vector, with no notion of neighbouring pixels."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence

from torch import Tensor, nn

from vision_baselines.models.arguments import checked_image_shape, whole_numbers
from vision_baselines.models.dropout import Dropout


class FC(nn.Module):
    """``Flatten``, then ``Linear → ReLU → Dropout`` for each hidden layer, then ``Linear``.

    With the defaults and images of 1×28×28 it has 535,818 parameters for 10 classes.

    Args:
        image_shape: (channels, height, width) of one image, in pixels.
        num_classes: Number of logits.
        hidden_features: Width of each hidden layer; none gives softmax regression.
        dropout: Probability of zeroing a hidden feature in training, in [0, 1].

    Raises:
        ValueError: An argument is out of range.
    """

    def __init__(
        self,
        image_shape: Sequence[int],
        num_classes: int,
        *,
        hidden_features: Sequence[int] = (512, 256),
        dropout: float = 0.5,
    ) -> None:
        super().__init__()
        widths = whole_numbers("hidden_features", hidden_features, at_least=0)

        def hidden(in_features: int, out_features: int) -> list[nn.Module]:
            return [nn.Linear(in_features, out_features), nn.ReLU(), Dropout(dropout)]

        self.layers = perceptron(image_shape, num_classes, widths, hidden)

    def forward(self, images: Tensor) -> Tensor:
        """Logits (N, num_classes) for images (N, C, H, W)."""
        logits: Tensor = self.layers(images)
        return logits


def perceptron(
    image_shape: Sequence[int],
    num_classes: int,
    widths: Sequence[int],
    hidden: Callable[[int, int], Sequence[nn.Module]],
) -> nn.Sequential:
    """``Flatten``, then what `hidden` makes for each width, then ``Linear``, made in this order.

    Args:
        image_shape: (channels, height, width) of one image, in pixels.
        num_classes: Numbers out.
        widths: Width of each hidden layer.
        hidden: The modules of one hidden layer, from the numbers that come in and go out.

    Raises:
        ValueError: `image_shape` is anything but three whole numbers of at least 1.
    """
    layers: list[nn.Module] = [nn.Flatten()]
    in_features = math.prod(checked_image_shape(image_shape))
    for out_features in widths:
        layers += hidden(in_features, out_features)
        in_features = out_features
    return nn.Sequential(*layers, nn.Linear(in_features, num_classes))
