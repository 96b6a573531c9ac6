"""What the docstring of a class says of one of its arguments, read from its source: nothing is imported for it."""

from __future__ import annotations

import ast
import functools
import re

from vision_baselines.config.argument_types import argument_words
from vision_baselines.runs.targets import class_definitions

_SECTION = re.compile(r"^(Args|Attributes):\n((?:[ \t]+.*\n?|\n)+)", re.MULTILINE)
_ARGUMENT = re.compile(r"^    (\w+)(?: \([^)]*\))?: (.+(?:\n {5,}.*)*)", re.MULTILINE)


def argument_text(target: str, name: str) -> str:
    """The description of an argument of one of this project's classes; empty where its docstring has none.

    Args:
        target: A class, such as ``vision_baselines.models.cnn.CNN``.
        name: The argument's.

    >>> argument_text("vision_baselines.models.cnn.CNN", "num_classes")
    'Number of logits.'
    """
    return _arguments(target).get(name, "") if target.startswith("vision_baselines.") else ""


def argument_kind(target: str, name: str) -> str:
    """What an argument takes, in words; empty where the signature of its class does not state it plainly.

    >>> argument_kind("vision_baselines.models.cnn.CNN", "kernel_size")
    'a whole number'
    """
    return argument_words(target).get(name, "") if target.startswith("vision_baselines.") else ""


@functools.cache
def _arguments(target: str) -> dict[str, str]:
    module, _, wanted = target.rpartition(".")
    found: dict[str, dict[str, str]] = {}
    for node in class_definitions(module):
        found[node.name] = {}
        for base in node.bases:
            found[node.name] |= found.get(ast.unparse(base), {})
        for text in (ast.get_docstring(node), *(ast.get_docstring(f) for f in node.body if _is_init(f))):
            for section in _SECTION.finditer((text or "") + "\n"):
                found[node.name] |= {m[1]: " ".join(m[2].split()) for m in _ARGUMENT.finditer(section[2])}
    return found.get(wanted, {})


def _is_init(node: ast.stmt) -> bool:
    return isinstance(node, ast.FunctionDef) and node.name == "__init__"
