"""The optimizer of a net: one of torch's, or several in one where groups of parameters have their own, or lookahead."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from torch.nn import Parameter
from torch.optim import Optimizer

from vision_baselines.errors import ConfigError
from vision_baselines.optim.groups import Group
from vision_baselines.optim.joint import Joint, Lookahead


def optimizer_of(
    parameters: Mapping[str, Parameter],
    make: Callable[..., Optimizer],
    groups: Sequence[Group],
    lookahead: Mapping[str, Any] | None = None,
) -> Optimizer:
    """An optimizer of all parameters.

    Args:
        parameters: By name.
        make: The run's optimizer, from parameters or groups of them.
        groups: Every parameter is in one of them.
        lookahead: Arguments of `Lookahead` around it; None for none.

    Raises:
        ConfigError: A group has a setting that its optimizer does not have.
    """
    made: list[Optimizer] = []
    shared = [group for group in groups if group.optimizer is None]
    if shared == list(groups) and len(groups) == 1 and not groups[0].name:
        made.append(make(iter(parameters.values())))
    elif shared:
        made.append(make([_as_torch_takes_it(group, parameters) for group in shared]))
        _check_options(shared, made[0])
    for group in groups:
        if group.optimizer is not None:
            made.append(group.optimizer([_as_torch_takes_it(group, parameters)]))
    optimizer = made[0] if len(made) == 1 else Joint(made)
    return optimizer if lookahead is None else Lookahead(optimizer, **_checked(lookahead))


def _as_torch_takes_it(group: Group, parameters: Mapping[str, Parameter]) -> dict[str, Any]:
    # the name is the one of the rate's curve; torch keeps it in the state_dict
    return {"params": [parameters[name] for name in group.names], "name": group.name or "rest", **group.options}


def _check_options(groups: Sequence[Group], optimizer: Optimizer) -> None:
    """Refuse settings that the optimizer never reads; torch keeps them and says nothing."""
    for group in groups:
        for option in group.options:
            if option not in optimizer.defaults:
                known = ", ".join(
                    name for name in ("lr", "weight_decay", "momentum", "betas") if name in optimizer.defaults
                )
                raise ConfigError(
                    f"parameter_groups.{group.name}.{option} is no setting of {type(optimizer).__name__}; "
                    f"expected {known} or another of its own"
                )


def _checked(lookahead: Mapping[str, Any]) -> dict[str, Any]:
    if unknown := set(lookahead) - {"every", "share"}:
        raise ConfigError(
            f"classifier.lookahead.{min(unknown)} is not known; expected {{every: 5, share: 0.5}} or null"
        )
    return dict(lookahead)
