"""The classes that a config names."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any


def targets(node: Any, prefix: str = "") -> Iterator[tuple[str, str]]:
    """Every ``_target_`` at or below a node of plain data, with the dotted key of what it makes.

    >>> list(targets({"model": {"_target_": "a.B", "layers": [{"_target_": "c.D"}]}}))
    [('model', 'a.B'), ('model.layers[0]', 'c.D')]
    """
    if isinstance(node, Mapping):
        for key, value in node.items():
            if key == "_target_":
                yield prefix, str(value)
            else:
                yield from targets(value, f"{prefix}.{key}" if prefix else str(key))
    elif isinstance(node, list | tuple):
        for index, value in enumerate(node):
            yield from targets(value, f"{prefix}[{index}]")
