"""Look into a net without training it: its layers, and what it costs beside its fully connected rivals.

Nothing is downloaded: the facts about the data stand in its config. Printing and drawing are left to `theory`.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

import torch
from omegaconf import DictConfig, ListConfig, OmegaConf
from torch import nn

from vision_baselines.analysis.dense_equivalent import DenseEquivalent, dense_equivalent
from vision_baselines.analysis.influence import Box, influence, nonzero_box
from vision_baselines.analysis.layer_trace import LayerInfo
from vision_baselines.analysis.net_size import NetSize, net_size
from vision_baselines.config.checks import checked_config
from vision_baselines.config.compose import conf_dir
from vision_baselines.errors import ConfigError
from vision_baselines.seeding import default_generators_kept
from vision_baselines.training import build

BASELINE: Final = "fc"
_LARGER_BY_PX: Final = 32
"""More than one output pixel of every net that is not deeper than five halvings: one that counts pixels notices."""


@dataclass(frozen=True)
class OtherSize:
    """Whether the net takes larger images than the data's, tried with one.

    Attributes:
        image_shape: ``(C, H, W)`` of that image.
        output_shape: Of the last layer, without the batch axis; None where the net does not take it.
        reason: Why it does not.
    """

    image_shape: tuple[int, ...]
    output_shape: tuple[int, ...] | None
    reason: str | None


@dataclass(frozen=True)
class Inspection:
    """What there is to know about a net before it is trained.

    Attributes:
        net: The net, weights drawn from the config's seed.
        image_shape: ``(C, H, W)`` of one image.
        size: Its layers and totals.
        measured_field: The pixels that move a central unit of the last feature map; None where no layer gives it.
        against: Layers and totals of the nets to compare with, by the name of their config, for the same data.
        other_size: Whether it takes larger images.
        first_conv: Name of the first convolution whose dense equivalent is known; None without one.
        dense: What that convolution would cost as a dense layer.
    """

    net: nn.Module
    image_shape: tuple[int, ...]
    size: NetSize
    measured_field: Box | None
    against: Mapping[str, NetSize]
    other_size: OtherSize
    first_conv: str | None
    dense: DenseEquivalent | None


def inspect_model(cfg: DictConfig, against: Mapping[str, DictConfig] | None = None) -> Inspection:
    """Build the net of a config, trace it, and count what its fully connected rivals would cost.

    Args:
        cfg: A run's config.
        against: Configs of the nets to compare with, as in ``conf/model``, by name; None takes that of ``fc``.

    Raises:
        ConfigError: The net cannot be built, or cannot take an image of the data's shape.
    """
    checked_config(cfg)
    image_shape = _image_shape(cfg)
    with default_generators_kept():
        torch.manual_seed(cfg.seed)
        net = build.net(cfg)
    try:
        size = net_size(net, image_shape)
        nets = {BASELINE: OmegaConf.load(conf_dir() / f"model/{BASELINE}.yaml")} if against is None else against
        sizes = {name: net_size(_counted_net(cfg, node), image_shape) for name, node in nets.items()}
        last_map = size.last_map.name if size.last_map else ""
        measured = measured_field(net, image_shape, last_map) if last_map else None
    except ValueError as error:
        raise ConfigError(f"model cannot be inspected: {error}") from error
    first_conv, dense = _first_convolution(net, size.layers, image_shape)
    return Inspection(net, image_shape, size, measured, sizes, _other_size(net, image_shape), first_conv, dense)


def measured_field(net: nn.Module, image_shape: tuple[int, ...], layer: str) -> Box | None:
    """The pixels that a central unit of the layer depends on, by backpropagation."""
    return nonzero_box(influence(net, image_shape, layer))


def _image_shape(cfg: DictConfig) -> tuple[int, ...]:
    shape = cfg.data.image_shape
    sides = list(shape) if isinstance(shape, ListConfig) else []
    if len(sides) != 3 or not all(type(side) is int and side >= 1 for side in sides):
        raise ConfigError(f"data.image_shape is {shape}; expected [channels, height, width], whole numbers >= 1")
    return tuple(sides)


def _counted_net(cfg: DictConfig, model: DictConfig | ListConfig) -> nn.Module:
    parts = {"data": cfg.data, "model": model, "trusted_packages": cfg.get("trusted_packages")}
    with torch.device("meta"):  # It is only counted: 77 million weights at 3×224×224 need not exist.
        return build.net(OmegaConf.create(parts))


def _other_size(net: nn.Module, image_shape: tuple[int, ...]) -> OtherSize:
    channels, height, width = image_shape
    larger = (channels, height + _LARGER_BY_PX, width + _LARGER_BY_PX)
    try:
        layers = net_size(net, larger).layers
    except ValueError as error:
        return OtherSize(larger, None, str(error).partition(", in ")[2] or str(error))
    shapes = [layer.output_shape for layer in layers if layer.output_shape is not None]
    return OtherSize(larger, shapes[-1] if shapes else (), None)


def _first_convolution(
    net: nn.Module, layers: tuple[LayerInfo, ...], image_shape: tuple[int, ...]
) -> tuple[str | None, DenseEquivalent | None]:
    modules = dict(net.named_modules())
    for row in layers:
        module = modules[row.name]
        if isinstance(module, nn.Conv2d) and row.output_shape is not None:
            try:
                dense = dense_equivalent(module, image_shape)
            except ValueError:
                return None, None
            # A net that crops or pools first gives its convolution another image than the data's.
            return (row.name, dense) if dense.output_shape == row.output_shape else (None, None)
    return None, None
