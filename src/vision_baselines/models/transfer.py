"""Fine-tuning, as far as it concerns the net: which layer is the head, taking over the rest, keeping the rest fixed.

The backbone is everything but the head. Which run the weights come from, and when to freeze, is left to the caller.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from torch import Tensor, nn

_MOST_NAMED: Final = 3
"""Differences that one line names; the rest are counted."""


def head_name(net: nn.Module) -> str:
    """Name of the layer that makes the logits, as in `named_modules`: the last `nn.Linear` or `nn.Conv2d`.

    Last in the order of registration, which is the order of the forward pass in every net here and in torchvision's
    classifiers; so no image is needed to find it.

    Raises:
        ValueError: The net has no such layer.

    >>> head_name(nn.Sequential(nn.Flatten(), nn.Linear(4, 3), nn.ReLU(), nn.Linear(3, 2)))
    '3'
    """
    names: list[str] = [name for name, module in net.named_modules() if isinstance(module, nn.Linear | nn.Conv2d)]
    if not names:
        raise ValueError(f"{type(net).__name__} has no Linear and no Conv2d layer; expected one that makes the logits")
    return names[-1]


def load_backbone(net: nn.Module, state_dict: Mapping[str, Tensor], *, with_head: bool = False) -> tuple[str, ...]:
    """Copy another net's tensors into this one, all but the head's, or all of them.

    Nothing is copied unless everything fits. That two nets have equally many classes does not make them the same
    classes, so the head stays as it was drawn unless the caller says otherwise.

    Args:
        net: The net to fill, in place.
        state_dict: Of the other net.
        with_head: Copy the head too.

    Returns:
        Names of the tensors that were left as they were.

    Raises:
        ValueError: The tensors to copy differ in name or shape; the message names the first few.
    """
    head = head_name(net)
    own = net.state_dict()
    wanted, given = (
        {name: tuple(tensor.shape) for name, tensor in tensors.items() if with_head or not _is_below(name, head)}
        for tensors in (own, state_dict)
    )
    if wanted != given:
        raise ValueError(_difference(given, wanted, "nets" if with_head else f"backbones (all but {head})"))
    net.load_state_dict({name: state_dict[name] for name in wanted}, strict=False)
    return tuple(name for name in own if name not in wanted)


def freeze_backbone(net: nn.Module) -> str:
    """Keep everything but the head as it is, whatever mode the net is put in from now on.

    Parameters of the backbone need no gradient, and its layers run in evaluation mode from the next forward pass on,
    though a trainer calls ``net.train()`` again and again: batch normalisation uses its running statistics and
    leaves them alone, and dropout does nothing. So the backbone is one fixed function of the image, as in linear
    evaluation (He et al. 2020, arXiv:1911.05722, section 4.1).

    Returns:
        The head's name.

    Raises:
        ValueError: The net has no head; see `head_name`.
    """
    head = head_name(net)
    for name, parameter in net.named_parameters():
        parameter.requires_grad = _is_below(name, head)
    for name, module in net.named_modules():
        if name and not _is_below(name, head) and not _is_below(head, name):
            # Rejected: a `train` of its own for this one net, a bound method that copies and pickles badly. A hook of
            # the layer goes with it wherever it goes, and the last word is said just before it runs.
            module.register_forward_pre_hook(_hold_in_evaluation)
    return head


def _hold_in_evaluation(module: nn.Module, _args: object) -> None:
    module.training = False


def _is_below(name: str, ancestor: str) -> bool:
    """Whether a dotted name is, or lies inside, another."""
    return name == ancestor or name.startswith(f"{ancestor}.")


def _difference(given: Mapping[str, tuple[int, ...]], wanted: Mapping[str, tuple[int, ...]], what: str) -> str:
    def shown(shapes: Mapping[str, tuple[int, ...]], name: str) -> str:
        return "×".join(map(str, shapes[name])) or "one number" if name in shapes else "absent"

    differing = [name for name in {**wanted, **given} if given.get(name) != wanted.get(name)]
    named = [f"{name} ({shown(given, name)} there, {shown(wanted, name)} here)" for name in differing[:_MOST_NAMED]]
    rest = f" and {len(differing) - _MOST_NAMED} more" if len(differing) > _MOST_NAMED else ""
    return f"the weights to start from do not fit; expected the same {what}, but these tensors differ: " + (
        ", ".join(named) + rest
    )
