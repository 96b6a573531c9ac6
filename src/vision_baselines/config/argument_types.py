"""Arguments compared with the signatures of the classes that a config names, before one is built.

YAML and Hydra read ``no`` and ``maybe`` as text, and every text but the empty one counts as true in Python: an argument
that was meant to be switched off would be on. Only what a signature states plainly is held against it; what else a
class refuses, it says itself.
"""

from __future__ import annotations

import inspect
import re
from collections.abc import Iterator, Mapping
from typing import Any

from hydra.utils import get_object

from vision_baselines.errors import ConfigError

_KINDS = {"bool": "true or false", "int": "a whole number", "float": "a number", "str": "text"}
_LISTS = {"Sequence[int]": "a list of whole numbers", "Sequence[float]": "a list of numbers", "Sequence[str]": "a list"}
_UNION = re.compile(r"(?:typing\.)?(?:Optional|Union)\[(.*)\]")
# `classifier` repeats what stands under a key of its own, which is the one to change.
_OWN_KEY = {
    "classifier.net": "model",
    "classifier.optimizer": "optimizer",
    "classifier.scheduler": "scheduler.schedule",
    "classifier.task": "task",
}


def check_argument_types(node: Any, key: str) -> None:
    """Compare the arguments of every class at or below a node with its signature.

    The classes are imported; their names have been checked.

    Args:
        node: Plain data.
        key: Its dotted key.

    Raises:
        ConfigError: The key, what it is and what was expected.
    """
    for place, value, kinds in _arguments(node, key):
        if not any(_fits(value, kind) for kind in kinds):
            for copy, own in _OWN_KEY.items():
                place = re.sub(rf"^{copy}(?=\.)", own, place)
            words = {_KINDS.get(kind) or _LISTS.get(kind, kind): None for kind in sorted(kinds - {"None"})}
            raise ConfigError(f"{place} is {value!r}; expected {' or '.join([*words, *['null'] * ('None' in kinds)])}")


def _fits(value: Any, kind: str) -> bool:
    """Whether a value is of a kind that a signature names; one that is not known here takes all but null."""
    if kind == "None" or value is None:
        return value is None and kind == "None"
    if kind in _LISTS:
        element = kind.removeprefix("Sequence[").removesuffix("]")
        return isinstance(value, list) and all(_fits(part, element) for part in value)
    if kind not in _KINDS:
        return True
    types = {"bool": bool, "int": int, "float": int | float, "str": str}[kind]
    return isinstance(value, types) and (kind == "bool" or not isinstance(value, bool))


def _arguments(node: Any, key: str) -> Iterator[tuple[str, Any, frozenset[str]]]:
    """Dotted key and value of each argument, and the types that its signature names."""
    if isinstance(node, Mapping):
        kinds = _signature(str(node["_target_"])) if "_target_" in node else {}
        for name, value in node.items():
            if name in kinds:
                yield f"{key}.{name}", value, kinds[name]
            yield from _arguments(value, f"{key}.{name}")
    elif isinstance(node, list):
        for index, value in enumerate(node):
            yield from _arguments(value, f"{key}[{index}]")


def _signature(target: str) -> dict[str, frozenset[str]]:
    """The types of each parameter of a class or function, as far as its signature states them.

    >>> sorted(_signature("torch.optim.AdamW")["foreach"])
    ['None', 'bool']
    """
    try:
        parameters = inspect.signature(get_object(target)).parameters.values()
    except (ImportError, AttributeError, ValueError, TypeError):
        return {}  # whoever instantiates it says better what is wrong with it
    return {parameter.name: kinds for parameter in parameters if (kinds := _kinds(parameter))}


def _kinds(parameter: inspect.Parameter) -> frozenset[str]:
    annotation = parameter.annotation
    if parameter.kind is parameter.VAR_KEYWORD:
        return frozenset()
    if annotation is parameter.empty:
        return frozenset({"bool"} if isinstance(parameter.default, bool) else ())
    text = annotation.__name__ if isinstance(annotation, type) else str(annotation)
    optional = "Optional[" in text or parameter.default is None
    if (union := _UNION.fullmatch(text)) is not None:
        text = union[1].replace(", ", " | ")
    kinds = {"None" if part.strip() == "NoneType" else part.strip() for part in text.split("|")}
    if "Any" in text or "object" in kinds or "T" in kinds:
        return frozenset()
    return frozenset(kinds | ({"None"} if optional else set()))
