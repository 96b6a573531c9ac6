"""Tries a config's optimizer and schedule on one small parameter, before anything is trained.

Lightning builds both after the data is loaded, and a schedule can fail as late as its first step.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Any

import torch
from torch.optim import Optimizer
from torch.optim.lr_scheduler import LRScheduler, ReduceLROnPlateau

from vision_baselines.errors import ConfigError
from vision_baselines.optim.groups import Group, assigned
from vision_baselines.optim.make import optimizer_of

_STEPS = 3


def check_optimizer(
    make_optimizer: Callable[..., Any],
    make_scheduler: Callable[..., Any] | None,
    net: torch.nn.Module,
    groups: Mapping[str, Mapping[str, Any]] | None = None,
    lookahead: Mapping[str, Any] | None = None,
) -> None:
    """Build the optimizer of small parameters and its schedule, and take three steps.

    Args:
        make_optimizer: Parameters to an optimizer.
        make_scheduler: An optimizer to its schedule, if there is one.
        net: There is a small parameter of each number of dimensions, type and layout that its trainable ones have, in
            each group of parameters.
        groups: See `vision_baselines.optim.groups.assigned`.
        lookahead: See `vision_baselines.optim.make.optimizer_of`.

    Raises:
        ConfigError: One of them cannot be built, or cannot do a step as Lightning asks for it.
    """
    trainable = {name: parameter for name, parameter in net.named_parameters() if parameter.requires_grad}
    if not trainable:
        raise ConfigError("model has no parameter that is trained; expected a net with weights")
    small: dict[str, torch.nn.Parameter] = {}
    small_groups: list[Group] = []
    for group in assigned(net, groups):
        alike = {(trainable[name].dim(), trainable[name].dtype, _layout(trainable[name])): name for name in group.names}
        for (dim, dtype, layout), name in alike.items():
            empty = torch.zeros((2,) * dim, dtype=dtype, device="cpu").to(memory_format=layout)
            small[name] = torch.nn.Parameter(empty)
        small_groups.append(replace(group, names=tuple(alike.values())))
    parameters = list(small.values())
    optimizer = _tried("optimizer", optimizer_of, small, make_optimizer, small_groups, lookahead)
    if not isinstance(optimizer, Optimizer):
        raise ConfigError(f"optimizer makes a {type(optimizer).__name__}; expected a torch.optim.Optimizer")
    if not _accepts_closure(optimizer):
        raise ConfigError(
            f"the step of {type(optimizer).__name__} takes no closure, which Lightning hands to it; "
            "choose an optimizer with step(closure=None)"
        )
    calls: list[None] = []

    def closure() -> torch.Tensor:
        calls.append(None)
        for parameter in parameters:
            parameter.grad = torch.ones_like(parameter)
        return torch.zeros(())

    scheduler = None
    if make_scheduler is not None:
        if getattr(make_scheduler, "func", make_scheduler) is torch.optim.lr_scheduler.OneCycleLR:
            _check_one_cycle(optimizer, getattr(make_scheduler, "keywords", {}))
        options: Mapping[str, Any] = {"total_steps": 10} if accepts(make_scheduler, "total_steps") else {}
        scheduler = _tried("scheduler.schedule", make_scheduler, optimizer, **options)
        if not isinstance(scheduler, LRScheduler | ReduceLROnPlateau):
            raise ConfigError(f"scheduler.schedule makes a {type(scheduler).__name__}; expected a torch schedule")
    for _ in range(_STEPS):
        _tried("optimizer", optimizer.step, closure)
        if not calls:
            raise ConfigError(
                f"the step of {type(optimizer).__name__} never calls its closure, in which Lightning computes the loss"
            )
        if scheduler is not None:
            _tried("scheduler.schedule", scheduler.step, *((1.0,) if isinstance(scheduler, ReduceLROnPlateau) else ()))


def _check_one_cycle(optimizer: Optimizer, options: Mapping[str, Any]) -> None:
    rates = {float(group["lr"]) for group in optimizer.param_groups if "lr" in group}
    if len(rates) > 1:
        raise ConfigError(
            "scheduler=one_cycle gives all groups of parameters one rate, and here they have several; "
            "expected another, such as scheduler=triangular, which keeps their ratio"
        )
    moved = [key for key in ("betas", "momentum") if key in optimizer.defaults][:1]
    if options.get("cycle_momentum", True) and not (
        moved and all(moved[0] in group for group in optimizer.param_groups)
    ):
        raise ConfigError(
            "scheduler=one_cycle moves the momentum too, and this optimizer has none that is one for all parameters; "
            "+scheduler.schedule.cycle_momentum=false leaves it as it is"
        )


def _tried(key: str, function: Callable[..., Any], *arguments: Any, **options: Any) -> Any:
    try:
        return function(*arguments, **options)
    except ConfigError:
        raise
    except Exception as error:
        kind = "" if isinstance(error, ValueError | TypeError) else f"{type(error).__name__}: "
        text = " ".join(str(error).split())
        unexpected = (
            text.rpartition("unexpected keyword argument ")[2].strip("'") if "unexpected keyword" in text else ""
        )
        remedy = f"; ~{key}.{unexpected} leaves it out" if unexpected else ""
        if "view size is not compatible" in text:
            remedy = "; +classifier.channels_last=false lays the weights out contiguously"
        raise ConfigError(f"{key} cannot be used: {kind}{text}{remedy}") from error


def _layout(parameter: torch.Tensor) -> torch.memory_format:
    return torch.contiguous_format if parameter.is_contiguous() or parameter.dim() != 4 else torch.channels_last


def accepts(factory: Callable[..., Any], parameter: str) -> bool:
    """Whether what a config names takes a parameter that the config leaves open."""
    function, given = getattr(factory, "func", factory), getattr(factory, "keywords", {})
    return parameter in inspect.signature(function).parameters and parameter not in given


def _accepts_closure(optimizer: Optimizer) -> bool:
    parameters = inspect.signature(optimizer.step).parameters.values()
    return any(p.name == "closure" or p.kind in (p.VAR_POSITIONAL, p.VAR_KEYWORD) for p in parameters)
