"""The rooms of the house keep their walls."""

from __future__ import annotations

import ast
import graphlib
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
PACKAGE = ROOT / "src" / "vision_baselines"
MODULES = sorted(PACKAGE.rglob("*.py"))


def test_the_import_contracts_hold(environment):
    pytest.importorskip("importlinter")
    code = "import sys; from importlinter.cli import lint_imports_command as main; main(['--no-cache'])"
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, env=environment, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout[-3000:] + done.stderr[-2000:]
    assert "0 broken" in done.stdout


def test_a_new_room_has_to_be_given_its_floor(root):
    contracts = tomllib.loads((root / "pyproject.toml").read_text())["tool"]["importlinter"]["contracts"]
    [layers] = [contract for contract in contracts if contract["type"] == "layers"]
    assert layers["exhaustive"] is True
    assert set(layers["exhaustive_ignores"]) <= {"__main__"}


@pytest.mark.parametrize(
    "line", ["import lightning", "import lightning.pytorch as pl", "from lightning import Trainer"]
)
def test_ruff_refuses_the_other_lightning(line):
    pytest.importorskip("ruff")
    command = [sys.executable, "-m", "ruff", "check", "--no-cache", "--output-format=concise", "--stdin-filename"]
    done = subprocess.run(
        [*command, "src/vision_baselines/x.py", "-"], cwd=ROOT, input=f"{line}\n", capture_output=True, text=True
    )
    assert "TID251" in done.stdout
    assert "Use pytorch_lightning" in done.stdout


@pytest.mark.slow
@pytest.mark.ci
def test_no_module_imports_the_other_lightning():
    found = [
        path
        for path in [*MODULES, *(ROOT / "scripts").glob("*.py"), *(ROOT / "tests").rglob("*.py")]
        for node in ast.walk(ast.parse(path.read_text()))
        if (isinstance(node, ast.Import) and any(alias.name.split(".")[0] == "lightning" for alias in node.names))
        or (isinstance(node, ast.ImportFrom) and not node.level and (node.module or "").split(".")[0] == "lightning")
    ]
    assert found == []


def test_no_room_is_named_for_nothing_in_particular():
    vague = {"utils", "util", "helpers", "helper", "common", "misc", "tools"}
    parts = {part.removesuffix(".py") for path in MODULES for part in path.relative_to(PACKAGE).parts}
    assert parts & vague == set()


@pytest.mark.parametrize(
    "path", [p for p in MODULES if p.name == "__init__.py" and p.parent != PACKAGE], ids=lambda p: p.parent.name
)
def test_an_init_file_holds_no_logic(path):
    kinds = {type(node) for node in ast.walk(ast.parse(path.read_text()))}
    logic = {
        ast.FunctionDef,
        ast.AsyncFunctionDef,
        ast.ClassDef,
        ast.If,
        ast.For,
        ast.While,
        ast.Try,
        ast.With,
        ast.Lambda,
    }
    assert kinds & logic == set()


@pytest.mark.parametrize("path", sorted((ROOT / "scripts").glob("*.py")), ids=lambda p: p.name)
def test_a_script_is_a_door_of_at_most_thirty_lines(path):
    assert len(path.read_text().splitlines()) <= 30
    assert ast.get_docstring(ast.parse(path.read_text()))


def test_every_module_says_what_it_is():
    assert [str(p.relative_to(PACKAGE)) for p in MODULES if not ast.get_docstring(ast.parse(p.read_text()))] == []


def test_the_lightning_releases_that_were_compromised_cannot_be_installed(root):
    from packaging.requirements import Requirement

    texts = tomllib.loads((root / "pyproject.toml").read_text())["project"]["dependencies"]
    [lightning] = [r for r in map(Requirement, texts) if r.name == "pytorch-lightning"]
    assert not lightning.specifier.contains("2.6.2")
    assert not lightning.specifier.contains("2.6.3")


def imported_by(path: Path) -> set[str]:
    """Modules of this package that a module imports, also inside functions; not what is for type checkers only."""
    found: set[str] = set()

    def visit(node: ast.AST) -> None:
        if isinstance(node, ast.If) and ast.unparse(node.test) == "TYPE_CHECKING":
            return
        if isinstance(node, ast.ImportFrom) and node.module and node.module.startswith("vision_baselines"):
            found.update((node.module, *(f"{node.module}.{alias.name}" for alias in node.names)))
        for child in ast.iter_child_nodes(node):
            visit(child)

    visit(ast.parse(path.read_text(encoding="utf-8")))
    return found


def test_no_module_of_a_package_imports_in_a_circle():
    names = {".".join(("vision_baselines", *path.relative_to(PACKAGE).with_suffix("").parts)): path for path in MODULES}
    graph = {name: imported_by(path) & names.keys() for name, path in names.items() if not name.endswith("__init__")}
    tuple(graphlib.TopologicalSorter(graph).static_order())  # raises CycleError, which names the circle
