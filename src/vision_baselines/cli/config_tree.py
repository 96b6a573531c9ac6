"""The resolved config of a run as a tree, for ``print_config=true``."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import yaml
from rich.console import Console
from rich.text import Text
from rich.tree import Tree


def config_tree(config: Mapping[str, Any], name: str = "config") -> Tree:
    """A branch for each mapping, a leaf for each value, in the config's order; foreign text is shown as it is."""
    tree = Tree(Text(name), guide_style="dim")
    _grow(tree, config)
    return tree


def tree_text(config: Mapping[str, Any]) -> str:
    """The same as lines of plain text, none of them broken."""
    console = Console(width=10_000, no_color=True, highlight=False, markup=False)
    with console.capture() as captured:
        console.print(config_tree(config))
    return "\n".join(line.rstrip() for line in captured.get().splitlines())


def _grow(tree: Tree, config: Mapping[str, Any]) -> None:
    for key, value in config.items():
        if isinstance(value, Mapping) and value:
            _grow(tree.add(Text(str(key), style="bold")), value)
        else:
            tree.add(Text(f"{key}: {_written(value)}"))


def _written(value: Any) -> str:
    """A value as YAML, on one line."""
    return yaml.safe_dump(value, default_flow_style=True, width=10**6, allow_unicode=True).removesuffix("...\n").strip()
