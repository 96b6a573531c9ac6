"""Plain configs by dotted keys: the one walker of them, and the one look-up."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any


def walk(node: Any, prefix: str = "", *, into_lists: bool = True) -> Iterator[tuple[str, Any]]:
    """Every node at or below a node of plain data, groups among them, by its dotted key.

    Args:
        node: Mappings, lists and plain values.
        prefix: Key of `node` itself.
        into_lists: Whether the elements of lists are nodes too, as in ``layers[0]``.

    >>> list(walk({"a": {"b": 1}, "c": [2]}, "x"))[2:]
    [('x.a.b', 1), ('x.c', [2]), ('x.c[0]', 2)]
    """
    waiting = [(prefix, node)]  # a stack: a generator inside a generator costs more with every level
    while waiting:
        key, node = waiting.pop()
        yield key, node
        if isinstance(node, dict | Mapping):
            below = [(f"{key}.{name}" if key else str(name), value) for name, value in node.items()]
        elif into_lists and isinstance(node, list | tuple):
            below = [(f"{key}[{index}]", value) for index, value in enumerate(node)]
        else:
            continue
        waiting += below[::-1]


def select(node: Any, key: str, default: Any = None) -> Any:
    """The value at a dotted key, or `default`.

    >>> select({"optimizer": {"lr": 0.1}}, "optimizer.lr"), select({}, "optimizer.lr")
    (0.1, None)
    """
    for part in key.split("."):
        if not isinstance(node, Mapping) or part not in node:
            return default
        node = node[part]
    return node
