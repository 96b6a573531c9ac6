"""Layers of S copies of a net as one operation each, every copy with its own weights, statistics and dropout.

Values are laid out by kind: the images that the net is given are a list of S tensors (N, C, H, W); feature maps are
(N, S · C, H, W), so that a convolution is one in S groups and batch normalisation is that of S · C channels; features
are (S, N, F), so that a linear layer is a batched matrix product.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F  # noqa: N812

from vision_baselines.models.dropout import Dropout, bernoulli_noises
from vision_baselines.passes.errors import NotInOnePassError
from vision_baselines.passes.weights import StackedWeights

Value = Tensor | list[Tensor]
Layer = Callable[[Any], Tensor]


class Draws:
    """A generator of each copy for its dropout, seeded anew in each step.

    Args:
        count: Copies.
        device: Where they draw.

    Attributes:
        are_used: Whether any layer draws.
    """

    def __init__(self, count: int, device: torch.device) -> None:
        self.generators = [torch.Generator(device) for _ in range(count)]
        self.are_used = False

    def seed(self, seeds: Sequence[int]) -> None:
        """Begin a step."""
        for generator, seed in zip(self.generators, seeds, strict=True):
            generator.manual_seed(seed)


def as_maps(value: Value) -> Tensor:
    """Feature maps (N, S · C, H, W)."""
    if isinstance(value, list):
        return torch.cat(value, dim=1)
    if value.dim() != 4:
        raise NotInOnePassError("a layer for images comes after one for features")
    return value


def as_features(value: Value, count: int) -> Tensor:
    """Features (S, N, F) of images, maps or features, in the order in which `torch.flatten` has them."""
    if isinstance(value, list):
        return torch.stack([images.flatten(1) for images in value])
    if value.dim() == 3:
        return value
    images, channels, height, width = value.shape
    return value.view(images, count, channels // count, height, width).transpose(0, 1).flatten(2)


def _features(value: Value) -> Tensor:
    if isinstance(value, list) or value.dim() != 3:
        raise NotInOnePassError("a layer for features is given images")
    return value


def elementwise(function: Callable[..., Tensor]) -> Callable[..., Tensor]:
    """A function of each element for every kind of value that a layer makes."""

    def apply(*values: Any) -> Tensor:
        if any(isinstance(value, list) for value in values):
            raise NotInOnePassError("the images are changed before the first layer")
        tensors = [value for value in values if isinstance(value, Tensor)]
        if any(tensor.dim() != tensors[0].dim() for tensor in tensors):
            raise NotInOnePassError("maps and features are put together")
        return function(*values)

    return apply


def layer(module: nn.Module, weights: StackedWeights, draws: Draws) -> Layer:
    """The layer `module` of the first net, for all copies at once.

    Args:
        module: Of the first net.
        weights: Of all copies.
        draws: For dropout.

    Raises:
        NotInOnePassError: There is no batched form of it here.
    """
    if not is_layer(module):
        raise NotInOnePassError(f"layers of the kind {type(module).__name__} have no batched form")
    return _MAKERS[type(module)](module, weights, draws)


def is_layer(module: nn.Module) -> bool:
    """Whether `layer` makes it, which is then not looked into."""
    return type(module) in _MAKERS


def _linear(module: nn.Linear, weights: StackedWeights, draws: Draws) -> Layer:
    weight, bias, count = weights.of(module.weight), weights.of(module.bias), weights.count
    assert weight is not None

    def apply(value: Value) -> Tensor:
        per_copy = weight.view(count, module.out_features, module.in_features).transpose(1, 2)
        features = _features(value)
        if bias is None:
            return torch.bmm(features, per_copy)
        return torch.baddbmm(bias.view(count, 1, -1), features, per_copy)

    return apply


def _conv(module: nn.Conv2d, weights: StackedWeights, draws: Draws) -> Layer:
    if module.padding_mode != "zeros":
        raise NotInOnePassError(f"convolutions with padding_mode={module.padding_mode} have no batched form")
    weight, bias = weights.of(module.weight), weights.of(module.bias)
    assert weight is not None
    groups = module.groups * weights.count
    return lambda value: F.conv2d(as_maps(value), weight, bias, module.stride, module.padding, module.dilation, groups)


def _batch_norm(module: nn.BatchNorm1d | nn.BatchNorm2d, weights: StackedWeights, draws: Draws) -> Layer:
    if module.momentum is None or not module.track_running_stats:
        raise NotInOnePassError("batch normalisation without a momentum or running statistics has no batched form")
    scale, shift = weights.of(module.weight), weights.of(module.bias)
    mean, variance = weights.of(module.running_mean), weights.of(module.running_var)
    count, momentum, eps = weights.count, module.momentum, module.eps
    name = next(name for name, own in weights.nets[0].named_modules() if own is module)
    counters = [net.get_submodule(name).num_batches_tracked for net in weights.nets]

    def normalised(maps: Tensor) -> Tensor:
        if module.training:
            for counter in counters:
                counter.add_(1)  # type: ignore[operator]
        return F.batch_norm(maps, mean, variance, scale, shift, module.training, momentum, eps)

    def of_features(value: Value) -> Tensor:
        features = _features(value)
        columns = normalised(features.transpose(0, 1).flatten(1))
        return columns.view(len(columns), count, -1).transpose(0, 1)

    if isinstance(module, nn.BatchNorm1d):
        return of_features
    return lambda value: normalised(as_maps(value))


def _group_norm(module: nn.GroupNorm, weights: StackedWeights, draws: Draws) -> Layer:
    scale, shift, groups = weights.of(module.weight), weights.of(module.bias), module.num_groups * weights.count
    return lambda value: F.group_norm(as_maps(value), groups, scale, shift, module.eps)


def _layer_norm(module: nn.LayerNorm, weights: StackedWeights, draws: Draws) -> Layer:
    if len(module.normalized_shape) != 1:
        raise NotInOnePassError("layer normalisation over several dimensions has no batched form")
    scale, shift, count = weights.of(module.weight), weights.of(module.bias), weights.count

    def apply(value: Value) -> Tensor:
        normal = F.layer_norm(_features(value), module.normalized_shape, eps=module.eps)
        if scale is not None:
            normal = normal * scale.view(count, 1, -1)
        return normal if shift is None else normal + shift.view(count, 1, -1)

    return apply


def _flatten(module: nn.Flatten, weights: StackedWeights, draws: Draws) -> Layer:
    if module.start_dim != 1 or module.end_dim != -1:
        raise NotInOnePassError("a flattening of some dimensions only has no batched form")
    return lambda value: as_features(value, weights.count)


def _pool(module: nn.Module, weights: StackedWeights, draws: Draws) -> Layer:
    return lambda value: module(as_maps(value))


def _activation(module: nn.Module, weights: StackedWeights, draws: Draws) -> Layer:
    return elementwise(module)


def _dropout(module: nn.Dropout, weights: StackedWeights, draws: Draws) -> Layer:
    if module.inplace:
        raise NotInOnePassError("dropout in place has no batched form")

    def apply(value: Value) -> Tensor:
        features = _features(value)
        if not module.training or module.p == 0:
            return features
        return features * noises(module, features, draws.generators)

    draws.are_used = True
    return apply


def noises(module: nn.Dropout, features: Tensor, generators: Sequence[torch.Generator]) -> Tensor:
    """What the copies' features (S, …) are multiplied by: drawn for each as `module` draws for it alone."""
    shape = features.shape[1:]
    if isinstance(module, Dropout) and (found := module.noises(shape, features, generators)) is not None:
        return found
    return torch.zeros_like(features) if module.p == 1 else bernoulli_noises(1 - module.p, shape, features, generators)


_POOLS = (nn.MaxPool2d, nn.AvgPool2d, nn.AdaptiveAvgPool2d, nn.AdaptiveMaxPool2d)
_ACTIVATIONS = (nn.ReLU, nn.GELU, nn.SiLU, nn.Sigmoid, nn.Tanh, nn.LeakyReLU, nn.ELU, nn.Identity)
_MAKERS: dict[type[nn.Module], Callable[..., Layer]] = {
    nn.Linear: _linear,
    nn.Conv2d: _conv,
    nn.BatchNorm1d: _batch_norm,
    nn.BatchNorm2d: _batch_norm,
    nn.GroupNorm: _group_norm,
    nn.LayerNorm: _layer_norm,
    nn.Flatten: _flatten,
    **dict.fromkeys(_POOLS, _pool),
    **dict.fromkeys(_ACTIVATIONS, _activation),
    nn.Dropout: _dropout,
    Dropout: _dropout,
}
