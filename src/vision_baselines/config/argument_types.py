"""Arguments compared with the signatures of the classes that a config names, before one is built.

The signatures of this project's classes are read from their source, so that every job of a sweep is looked at without
torch; those of others are known once their package is imported.

YAML and Hydra read ``no`` and ``maybe`` as text, and every text but the empty one counts as true in Python: an argument
that was meant to be switched off would be on. Only what a signature states plainly is checked; what else a class
refuses, it says itself.
"""

from __future__ import annotations

import ast
import functools
import inspect
import math
import re
import sys
from collections.abc import Iterator, Mapping
from typing import Any

from vision_baselines.config.restore import COPIES
from vision_baselines.errors import ConfigError
from vision_baselines.runs.dotted import walk
from vision_baselines.runs.targets import class_definitions

_KINDS = {
    "bool": "true or false",
    "int": "a whole number",
    "float": "a number",
    "str": "text",
    "Path": "text",
    "pathlib.Path": "text",
}
# Arguments that may be a part of an epoch, whatever the signature says; by the key in a config.
FRACTIONAL = ("trainer.max_epochs", "scheduler.schedule.T_max", "classifier.scheduler.T_max")
_LISTS = {"Sequence[int]": "a list of whole numbers", "Sequence[float]": "a list of numbers", "Sequence[str]": "a list"}
# What Hydra reads beside the arguments.
_HYDRAS_OWN = {"_partial_": frozenset({"bool"}), "_recursive_": frozenset({"bool"}), "_convert_": frozenset({"str"})}
_SEPARATOR = re.compile(r"\s*\|\s*(?![^\[]*\])")  # not inside brackets
_UNION = re.compile(r"(?:typing\.)?(?:Optional|Union)\[(.*)\]")


def check_argument_types(node: Any, key: str) -> None:
    """Compare the arguments of every class at or below a node with its signature, as far as that is known.

    Args:
        node: Plain data.
        key: Its dotted key; empty for a whole config.

    Raises:
        ConfigError: The key, what it is and what was expected.
    """
    for place, value, kinds in _arguments(node, key):
        if not any(_fits(value, kind) for kind in kinds) and not (place in FRACTIONAL and is_fractional(value)):
            for copy, own in COPIES.items():
                place = re.sub(rf"^{copy}(?=\.)", own, place)
            raise ConfigError(f"{place} is {value!r}; expected {_in_words(kinds)}")


def is_fractional(value: Any) -> bool:
    """Whether a value is a number above 0 that is not whole."""
    return isinstance(value, float) and math.isfinite(value) and value > 0 and value != int(value)


def argument_words(target: str) -> dict[str, str]:
    """What each argument of a class takes, in the words of the errors; only those whose signature states it plainly.

    >>> argument_words("vision_baselines.models.cnn.CNN")["hidden_features"]
    'a whole number or null'
    """
    return {
        name: _in_words(kinds)
        for name, kinds in _signature(target).items()
        if kinds - {"None"} <= _KINDS.keys() | _LISTS.keys()
    }


def _in_words(kinds: frozenset[str]) -> str:
    words = {_KINDS.get(kind) or _LISTS.get(kind, kind): None for kind in sorted(kinds - {"None"})}
    return " or ".join([*words, *["null"] * ("None" in kinds)])


def _fits(value: Any, kind: str) -> bool:
    """Whether a value is of a kind that a signature names; one that is not known here takes all but null."""
    if kind == "None" or value is None:
        return value is None and kind == "None"
    if kind in _LISTS:
        element = kind.removeprefix("Sequence[").removesuffix("]")
        return isinstance(value, list) and all(_fits(part, element) for part in value)
    if kind not in _KINDS:
        return True
    types = {"bool": bool, "int": int, "float": int | float, "str": str, "Path": str, "pathlib.Path": str}[kind]
    return isinstance(value, types) and (kind == "bool" or not isinstance(value, bool))


def _arguments(node: Any, key: str) -> Iterator[tuple[str, Any, frozenset[str]]]:
    """Dotted key and value of each argument, and the types that its signature names."""
    for group, part in walk(node, key):
        if isinstance(part, Mapping) and "_target_" in part:
            kinds = {**_signature(str(part["_target_"])), **_HYDRAS_OWN}
            for name in kinds.keys() & part.keys():
                yield f"{group}.{name}", part[name], kinds[name]


def _signature(target: str) -> Mapping[str, frozenset[str]]:
    """The types of each parameter of a class or function, as far as its signature states them.

    >>> sorted(_signature("vision_baselines.models.cnn.CNN")["hidden_features"])
    ['None', 'int']
    """
    module, _, name = target.rpartition(".")
    if target.startswith("vision_baselines."):
        return _own_signatures(module).get(name, {})
    try:
        parameters = inspect.signature(getattr(sys.modules[module], name)).parameters.values()
    except (KeyError, AttributeError, ValueError, TypeError):
        return {}  # whoever instantiates it says better what is wrong with it
    return {
        parameter.name: kinds
        for parameter in parameters
        if parameter.kind is not parameter.VAR_KEYWORD
        and (kinds := _kinds(_text(parameter.annotation), parameter.default))
    }


@functools.cache
def _own_signatures(module: str) -> dict[str, dict[str, frozenset[str]]]:
    """Types of the arguments of each class in one of this project's modules; nothing is imported."""
    found: dict[str, dict[str, frozenset[str]]] = {}
    for node in class_definitions(module):
        found[node.name] = {}
        for base in node.bases:
            found[node.name] |= found.get(ast.unparse(base), {})
        for part in node.body:
            if isinstance(part, ast.FunctionDef) and part.name == "__init__":
                found[node.name] = _own_signature(part.args)
            elif isinstance(part, ast.AnnAssign) and isinstance(part.target, ast.Name):  # a dataclass's argument
                kinds = _kinds(ast.unparse(part.annotation), _constant(part.value))
                found[node.name] |= {part.target.id: kinds} if kinds else {}
    return found


def _own_signature(arguments: ast.arguments) -> dict[str, frozenset[str]]:
    positional = [*arguments.posonlyargs, *arguments.args]
    defaults = [None] * (len(positional) - len(arguments.defaults)) + list(arguments.defaults)
    pairs = [*zip(positional, defaults, strict=True), *zip(arguments.kwonlyargs, arguments.kw_defaults, strict=True)]
    kinds = {
        argument.arg: _kinds(ast.unparse(argument.annotation) if argument.annotation else "", _constant(default))
        for argument, default in pairs
    }
    return {name: known for name, known in kinds.items() if known}


def _constant(node: ast.expr | None) -> Any:
    return node.value if isinstance(node, ast.Constant) else inspect.Parameter.empty


def _text(annotation: Any) -> str:
    if annotation is inspect.Parameter.empty:
        return ""
    return annotation.__name__ if isinstance(annotation, type) else str(annotation)


def _kinds(text: str, default: Any) -> frozenset[str]:
    """The types that an annotation names; none where it says too little to tell."""
    if not text:
        return frozenset({"bool"} if isinstance(default, bool) else ())
    optional = "Optional[" in text or default is None
    if (union := _UNION.fullmatch(text)) is not None:
        text = re.sub(r",\s*(?![^\[]*\])", " | ", union[1])
    kinds = {"None" if part == "NoneType" else part for part in _SEPARATOR.split(text)}
    if "Any" in text or "object" in kinds or "T" in kinds:
        return frozenset()
    return frozenset(kinds | ({"None"} if optional else set()))
