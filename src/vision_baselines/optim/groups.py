"""Parameters in groups with settings of their own: matched by the kind of layer, the name or the number of dimensions.

Each parameter is in exactly one group, the first that matches it; what no group matches keeps the optimizer's settings.
"""

from __future__ import annotations

import fnmatch
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from torch import nn

from vision_baselines.errors import ConfigError

_DIMENSIONS = re.compile(r"(\d)d")
_WORDS = "norm, bias, first, last, 1d, 2d or 4d, or a pattern of names such as net.blocks.0.*"
_OWN = ("match", "except", "optimizer")


@dataclass(frozen=True)
class Group:
    """Some parameters of a net, by name, and how they are trained.

    Attributes:
        name: The key in the config; empty for what no group matches.
        names: Of its parameters.
        options: Settings in place of the optimizer's own, such as ``weight_decay``.
        optimizer: Makes an optimizer of their own; None leaves them to the run's.
    """

    name: str
    names: tuple[str, ...]
    options: Mapping[str, Any]
    optimizer: Callable[..., Any] | None = None


def assigned(net: nn.Module, groups: Mapping[str, Mapping[str, Any]] | None) -> list[Group]:
    """The trainable parameters of a net, each in one group; those that no group matches come last, if there are any.

    Args:
        net: The net.
        groups: By name: ``match`` and ``except``, lists of ``norm`` (normalisation layers), ``bias``, ``first`` and
            ``last`` (layer with weights), ``1d``, ``2d``, … (dimensions) or patterns of parameters' names;
            ``optimizer``; every other key is a setting of the optimizer.

    Raises:
        ConfigError: A group has no pattern, or one that matches nothing, or nothing is left for it.

    >>> net = nn.Sequential(nn.Linear(2, 3), nn.LayerNorm(3), nn.Linear(3, 1))
    >>> found = assigned(net, {"no decay": {"match": ["norm", "bias"], "weight_decay": 0.0}})
    >>> [(group.name, group.names) for group in found]
    [('no decay', ('0.bias', '1.weight', '1.bias', '2.bias')), ('', ('0.weight', '2.weight'))]
    """
    trainable = {name: parameter for name, parameter in net.named_parameters() if parameter.requires_grad}
    left = dict.fromkeys(trainable)
    found: list[Group] = []
    for name, given in (groups or {}).items():
        key = f"parameter_groups.{name}"
        if not isinstance(given, Mapping):
            raise ConfigError(f"{key} is {given!r}; expected match and settings, such as {{match: [bias], lr: 0.01}}")
        matched = _matched(net, trainable, given.get("match"), f"{key}.match")
        if given.get("except") is not None:
            matched -= _matched(net, trainable, given["except"], f"{key}.except")
        own = tuple(parameter for parameter in left if parameter in matched)
        if not own:
            raise ConfigError(f"{key} is left without a parameter: what it matches is in an earlier group or excepted")
        for parameter in own:
            del left[parameter]
        options = {option: value for option, value in given.items() if option not in _OWN}
        if given.get("optimizer") is not None and options:
            raise ConfigError(
                f"{key} has an optimizer of its own and {', '.join(options)} beside it; "
                f"expected them below {key}.optimizer"
            )
        found.append(Group(str(name), own, options, given.get("optimizer")))
    return [*found, *([Group("", tuple(left), {})] if left else [])]


def _matched(net: nn.Module, trainable: Mapping[str, nn.Parameter], patterns: Any, key: str) -> set[str]:
    listed = isinstance(patterns, Sequence) and not isinstance(patterns, str)
    if not listed or not patterns or not all(isinstance(pattern, str) and pattern for pattern in patterns):
        raise ConfigError(f"{key} is {patterns!r}; expected a list of {_WORDS}")
    found: set[str] = set()
    for pattern in patterns:
        names = _names(net, trainable, pattern)
        if not names:
            example = next(iter(trainable), "")
            raise ConfigError(
                f"{key} has {pattern!r}, which matches no parameter that is trained; expected {_WORDS} "
                f"(the first is {example})"
            )
        found |= names
    return found


def _names(net: nn.Module, trainable: Mapping[str, nn.Parameter], pattern: str) -> set[str]:
    if pattern == "norm":
        below = [name for name, module in net.named_modules() if "Norm" in type(module).__name__]
        return _owned(trainable, below)
    if pattern == "bias":
        return {name for name in trainable if name.rpartition(".")[2] == "bias"}
    if dimensions := _DIMENSIONS.fullmatch(pattern):
        return {name for name, parameter in trainable.items() if parameter.dim() == int(dimensions[1])}
    if pattern in ("first", "last"):
        layers = [name for name, module in net.named_modules() if isinstance(module, nn.Linear | nn.Conv2d)]
        return _owned(trainable, layers[:1] if pattern == "first" else layers[-1:])
    return set(fnmatch.filter(trainable, pattern))


def _owned(trainable: Mapping[str, nn.Parameter], modules: Sequence[str]) -> set[str]:
    return {name for name in trainable if name.rpartition(".")[0] in modules}
