"""How big a net is, in one pass: its layers, their totals, and how far its last convolution sees.

Everyone who reports a size (the record of a run, TensorBoard, `inspect`) takes it from here, so that no two of
them disagree. The counting itself is `layer_trace`'s.
"""

from collections.abc import Sequence
from dataclasses import dataclass

from torch import nn

from vision_baselines.analysis.layer_trace import LayerInfo, last_convolution, num_parameters, trace_layers


@dataclass(frozen=True)
class NetSize:
    """A net's layers and totals, for one image.

    Attributes:
        layers: One row per call of a layer, in order.
        num_params: Parameters, shared ones once.
        num_params_trainable: Those of them that require a gradient.
        flops: Operations of a forward pass by torch's count, two per multiply-add.
        multiply_adds: ``flops // 2``.
        last_conv: The row of the last called `nn.Conv2d`; None without one.
    """

    layers: tuple[LayerInfo, ...]
    num_params: int
    num_params_trainable: int
    flops: int
    multiply_adds: int
    last_conv: LayerInfo | None

    @property
    def receptive_field_px(self) -> int | None:
        """Input pixels a unit of the last convolution sees; None where that is not a number."""
        return self.last_conv.receptive_field if self.last_conv else None


def net_size(net: nn.Module, image_shape: Sequence[int]) -> NetSize:
    """Trace the net once on one ``(C, H, W)`` image and add up its layers.

    Raises:
        ValueError: As `trace_layers`.

    >>> size = net_size(nn.Conv2d(3, 16, kernel_size=3, padding=1), (3, 32, 32))
    >>> size.num_params, size.multiply_adds, size.receptive_field_px
    (448, 442368, 3)
    """
    layers = trace_layers(net, image_shape)
    num_params, num_params_trainable = num_parameters(net)
    flops = sum(layer.flops for layer in layers)
    return NetSize(
        layers=tuple(layers),
        num_params=num_params,
        num_params_trainable=num_params_trainable,
        flops=flops,
        multiply_adds=flops // 2,
        last_conv=last_convolution(net, layers),
    )
