"""Every private name of another library that is used stands in docs/architecture.md, with the reason."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterable
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
SOURCES = sorted((ROOT / "src").rglob("*.py"))
# What the standard library and torch document, though their names begin with an underscore.
DOCUMENTED = {"_fields", "_asdict", "_replace", "_exit", "_missing_", "_value_"}


def is_private(name: str) -> bool:
    return name.startswith("_") and not name.startswith("__")


def own_names(nodes: Iterable[ast.AST]) -> set[str]:
    """Private names that this project defines itself, as functions, classes, variables or attributes."""
    found = set()
    nodes = list(nodes)
    added_to = {node.target for node in nodes if isinstance(node, ast.AugAssign)}  # it is there already
    for node in nodes:
        if node in added_to:
            continue
        if isinstance(node, ast.FunctionDef | ast.ClassDef):
            found.add(node.name)
        elif isinstance(node, ast.Name) and isinstance(node.ctx, ast.Store):
            found.add(node.id)
        elif isinstance(node, ast.Attribute) and isinstance(node.ctx, ast.Store) and is_self(node.value):
            found.add(node.attr)
        elif isinstance(node, ast.AnnAssign) and isinstance(node.target, ast.Name):
            found.add(node.target.id)
    return found


def is_self(node: ast.expr) -> bool:
    return isinstance(node, ast.Name) and node.id in ("self", "cls")


def foreign_private_names() -> dict[str, set[str]]:
    """Private attributes and modules of other libraries, and the files that use them."""
    own, used, found = set(), {}, {}
    for path in SOURCES:
        nodes, names = list(ast.walk(ast.parse(path.read_text(encoding="utf-8")))), set()
        own |= own_names(nodes)
        for node in nodes:
            if isinstance(node, ast.Attribute) and is_private(node.attr):
                names.add(node.attr)
            elif isinstance(node, ast.ImportFrom) and node.module and not node.module.startswith("vision_baselines"):
                names |= {part for part in node.module.split(".") if is_private(part)}
                names |= {alias.name for alias in node.names if is_private(alias.name)}
        used[path.name] = used.get(path.name, set()) | names
    for file, names in used.items():
        for name in names - own - DOCUMENTED:
            found.setdefault(name, set()).add(file)
    return found


def test_every_private_name_is_in_the_table_and_nothing_else_is():
    text = (ROOT / "docs" / "architecture.md").read_text(encoding="utf-8")
    _, _, section = text.partition("## Private names")
    rows = re.findall(r"^\| `([^`]+)` \|", section, flags=re.MULTILINE)
    listed = {row.rsplit(".", 1)[-1] for row in rows}
    used = foreign_private_names()
    assert sorted(used.keys() - listed) == [], {name: used[name] for name in used.keys() - listed}
    assert sorted(listed - used.keys()) == []


def test_a_private_name_is_found_when_one_is_used(tmp_path, monkeypatch):
    odd = tmp_path / "odd.py"
    odd.write_text("from hydra._internal import x\nlogger._odd_name()\nself._own = 1\nother._own\n")
    monkeypatch.setitem(globals(), "SOURCES", [odd])
    assert set(foreign_private_names()) == {"_internal", "_odd_name"}
