"""No package but `tasks` names a metric."""

from __future__ import annotations

import ast
import re
from pathlib import Path

import pytest

PACKAGE = Path(__file__).resolve().parents[2] / "src" / "vision_baselines"
MODULES = [path for path in sorted(PACKAGE.rglob("*.py")) if path.relative_to(PACKAGE).parts[0] != "tasks"]
METRIC = re.compile(r"(train|val|test|hparams|shift)/(?!loss\b|loss_step\b|parameters\b)\w+|test_acc\b")


def texts(nodes):
    """Every string that is not a docstring, parts of f-strings too."""
    docstrings = {
        id(node.body[0].value)
        for node in nodes
        if isinstance(node, ast.Module | ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef)
        and node.body
        and isinstance(node.body[0], ast.Expr)
    }
    return [
        node.value
        for node in nodes
        if isinstance(node, ast.Constant) and isinstance(node.value, str) and id(node) not in docstrings
    ]


@pytest.mark.parametrize("path", MODULES, ids=lambda path: path.relative_to(PACKAGE).as_posix())
def test_no_other_module_names_a_metric(path):
    nodes = list(ast.walk(ast.parse(path.read_text())))
    assert [text for text in texts(nodes) if METRIC.search(text)] == []
    named = {alias.name for node in nodes if isinstance(node, ast.ImportFrom) for alias in node.names}
    assert not {name for name in named if name.startswith("Multiclass")}


@pytest.mark.parametrize("text", ["test/acc", "val/f1", "hparams/test_acc"])
def test_a_named_metric_would_be_found(text):
    assert METRIC.search(text)
