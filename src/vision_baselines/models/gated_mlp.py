"""A multilayer perceptron with gates: each hidden layer's output times a learned, input-dependent number in (0, 1).

A plain ReLU layer multiplies its input by weights only; here two functions of the input are multiplied with each
other, so that one layer can already bend a boundary. Source of gates on layers: Dauphin et al. 2017,
arXiv:1612.08083, whose gated linear units have no ReLU.
"""

from __future__ import annotations

from collections.abc import Sequence

from torch import Tensor, nn

from vision_baselines.models.arguments import whole_numbers
from vision_baselines.models.dropout import Dropout
from vision_baselines.models.fc import perceptron


class GatedLayer(nn.Module):
    """``relu(linear(x)) · sigmoid(gate(x))``, feature by feature.

    Args:
        in_features: Numbers in.
        out_features: Numbers out.
    """

    def __init__(self, in_features: int, out_features: int) -> None:
        super().__init__()
        self.linear = nn.Linear(in_features, out_features)
        self.gate = nn.Linear(in_features, out_features)

    def forward(self, features: Tensor) -> Tensor:
        """Gated features (N, out_features) for features (N, in_features)."""
        gated: Tensor = self.linear(features).relu() * self.gate(features).sigmoid()
        return gated


class GatedMLP(nn.Module):
    """``Flatten``, then `GatedLayer` and ``Dropout`` for each hidden layer, then ``Linear``.

    With the defaults it has 8,834 parameters for images of 2×1×1 and 2 classes, about twice those of the same net
    without gates.

    Args:
        image_shape: (channels, height, width) of one image, in pixels; a point in the plane is 2×1×1.
        num_classes: Number of logits.
        hidden_features: Width of each hidden layer.
        dropout: Probability of zeroing a hidden feature in training, in [0, 1].
        gates: Whether the hidden layers have gates; without them each is ``Linear → ReLU``.

    Raises:
        ValueError: An argument is out of range.
    """

    def __init__(
        self,
        image_shape: Sequence[int],
        num_classes: int,
        *,
        hidden_features: Sequence[int] = (64, 64),
        dropout: float = 0.0,
        gates: bool = True,
    ) -> None:
        super().__init__()
        widths = whole_numbers("hidden_features", hidden_features, at_least=1)

        if not isinstance(gates, bool):
            raise ValueError(f"model.gates is {gates!r}; expected true or false")

        def hidden(in_features: int, out_features: int) -> list[nn.Module]:
            layer = GatedLayer if gates else _ungated
            return [layer(in_features, out_features), Dropout(dropout)]

        self.layers = perceptron(image_shape, num_classes, widths, hidden)

    def forward(self, images: Tensor) -> Tensor:
        """Logits (N, num_classes) for images (N, C, H, W)."""
        logits: Tensor = self.layers(images)
        return logits


def _ungated(in_features: int, out_features: int) -> nn.Sequential:
    return nn.Sequential(nn.Linear(in_features, out_features), nn.ReLU())
