"""How big a net is, in one pass: its layers, their totals, and how far its last feature map sees.

Everyone who reports a size (the record of a run, TensorBoard, `inspect`) takes it from here, so that no two of
them disagree. The counting itself is `layer_trace`'s.
"""

from collections.abc import Sequence
from dataclasses import dataclass

from torch import nn

from vision_baselines.analysis.layer_trace import LayerInfo, num_parameters, trace_net


@dataclass(frozen=True)
class NetSize:
    """A net's layers and totals, for one image.

    Attributes:
        layers: One row per call of a layer, in order.
        num_params: Parameters, shared ones once.
        num_params_trainable: Those of them that require a gradient.
        flops: Operations of a forward pass by torch's count, two per multiply-add.
        multiply_adds: ``flops // 2``.
        last_map: The last feature map, as `trace_net` describes it; None where it is not known.
        image_side: The longer side of the image, in pixels.
    """

    layers: tuple[LayerInfo, ...]
    num_params: int
    num_params_trainable: int
    flops: int
    multiply_adds: int
    last_map: LayerInfo | None
    image_side: int

    @property
    def receptive_field_px(self) -> int | None:
        """Input pixels a unit of the last feature map sees along the longer side; None where that is not known.

        Padding included, so that it may exceed the image; the image's side where every unit sees all of it.
        """
        if self.last_map is None:
            return None
        return self.image_side if self.last_map.whole_image else self.last_map.receptive_field


def net_size(net: nn.Module, image_shape: Sequence[int]) -> NetSize:
    """Trace the net once on one ``(C, H, W)`` image and add up its layers.

    Raises:
        ValueError: As `trace_layers`.

    >>> size = net_size(nn.Conv2d(3, 16, kernel_size=3, padding=1), (3, 32, 32))
    >>> size.num_params, size.multiply_adds, size.receptive_field_px
    (448, 442368, 3)
    """
    layers, last_map = trace_net(net, image_shape)
    num_params, num_params_trainable = num_parameters(net)
    flops = sum(layer.flops for layer in layers)
    return NetSize(
        layers=tuple(layers),
        num_params=num_params,
        num_params_trainable=num_params_trainable,
        flops=flops,
        multiply_adds=flops // 2,
        last_map=last_map,
        image_side=max(image_shape[1:]),
    )
