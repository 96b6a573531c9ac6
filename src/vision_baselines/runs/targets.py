"""The classes that a config names, and those that a module of this project defines; nothing is imported."""

from __future__ import annotations

import ast
import functools
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from vision_baselines.runs.dotted import walk


def targets(node: Any, prefix: str = "") -> Iterator[tuple[str, str]]:
    """Every ``_target_`` at or below a node of plain data, with the dotted key of what it makes.

    >>> list(targets({"model": {"_target_": "a.B", "layers": [{"_target_": "c.D"}]}}))
    [('model', 'a.B'), ('model.layers[0]', 'c.D')]
    """
    for key, part in walk(node, prefix):
        if isinstance(part, Mapping) and "_target_" in part:
            yield key, str(part["_target_"])


@functools.cache
def class_definitions(module: str) -> tuple[ast.ClassDef, ...]:
    """The classes that are defined in one of this project's modules, not those it imports; none if it does not exist.

    >>> [node.name for node in class_definitions("vision_baselines.models.dropout")]
    ['Dropout']
    """
    # not by `find_spec`, which imports the packages on the way
    path = Path(__file__).parents[1].joinpath(*module.split(".")[1:]).with_suffix(".py")
    if not path.is_file():
        return ()
    tree = ast.parse(path.read_text(encoding="utf-8"))
    return tuple(node for node in tree.body if isinstance(node, ast.ClassDef))
