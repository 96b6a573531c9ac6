"""Look into a net without training it: its layers, and what it costs beside its fully connected rivals.

Nothing is downloaded: the facts about the data stand in its config. Printing and drawing are left to `theory`.
"""

from __future__ import annotations

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
from vision_baselines.training import build

BASELINE: Final = "fc"


@dataclass(frozen=True)
class Inspection:
    """What there is to know about a net before it is trained.

    Attributes:
        net: The net, weights drawn from the config's seed.
        image_shape: ``(C, H, W)`` of one image.
        size: Its layers and totals.
        measured_field: The pixels that move a central unit of the last feature map; None where no layer gives it.
        baseline: Layers and totals of ``conf/model/fc.yaml`` for the same data.
        first_conv: Name of the first convolution whose dense equivalent is known; None without one.
        dense: What that convolution would cost as a dense layer.
    """

    net: nn.Module
    image_shape: tuple[int, ...]
    size: NetSize
    measured_field: Box | None
    baseline: NetSize
    first_conv: str | None
    dense: DenseEquivalent | None


def inspect_model(cfg: DictConfig) -> Inspection:
    """Build the net of a config, trace it, and count what its fully connected rivals would cost.

    Raises:
        ConfigError: The net cannot be built, or cannot take an image of the data's shape.
    """
    checked_config(cfg)
    image_shape = _image_shape(cfg)
    with torch.random.fork_rng([]):
        torch.manual_seed(cfg.seed)
        net = build.net(cfg)
    try:
        size = net_size(net, image_shape)
        baseline = net_size(_baseline(cfg), image_shape)
        last_map = size.last_map.name if size.last_map else ""
        measured = measured_field(net, image_shape, last_map) if last_map else None
    except ValueError as error:
        raise ConfigError(f"model cannot be inspected: {error}") from error
    first_conv, dense = _first_convolution(net, size.layers, image_shape)
    return Inspection(net, image_shape, size, measured, baseline, first_conv, dense)


def measured_field(net: nn.Module, image_shape: tuple[int, ...], layer: str) -> Box | None:
    """The pixels that a central unit of the layer depends on, by backpropagation."""
    return nonzero_box(influence(net, image_shape, layer))


def _image_shape(cfg: DictConfig) -> tuple[int, ...]:
    shape = cfg.data.image_shape
    sides = list(shape) if isinstance(shape, ListConfig) else []
    if len(sides) != 3 or not all(type(side) is int and side >= 1 for side in sides):
        raise ConfigError(f"data.image_shape is {shape}; expected [channels, height, width], whole numbers >= 1")
    return tuple(sides)


def _baseline(cfg: DictConfig) -> nn.Module:
    with_baseline = OmegaConf.create({"data": cfg.data, "model": OmegaConf.load(conf_dir() / f"model/{BASELINE}.yaml")})
    with torch.device("meta"):  # It is only counted: 77 million weights at 3×224×224 need not exist.
        return build.net(with_baseline)


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
