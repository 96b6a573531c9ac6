"""What commands import, by counts: a newcomer among a run's modules shows at once, and light commands stay light."""

from __future__ import annotations

import ast
import json
import sys
from collections import Counter
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

import pytest

from vision_baselines.cli import VERBS, start

ROOT = Path(__file__).resolve().parents[1]

# A whole run in a process that has imported torch and Lightning; what it imports beyond them is its own doing.
RUN = """
import atexit, json, sys
import vision_baselines, torch, pytorch_lightning
before = set(sys.modules)
place = sys.argv.pop(1)
atexit.register(lambda: open(place, "w").write(json.dumps(sorted(set(sys.modules) - before))))
from vision_baselines.cli.start import main
main("vision_baselines.cli.train")
"""

# The most modules of each package, beyond those of `import torch, pytorch_lightning`: a third more than it takes.
PACKAGES = {
    "vision_baselines": 300,
    "hydra_plugins": 15,
    "hydra": 90,
    "omegaconf": 30,
    "antlr4": 65,
    "pydantic": 55,
    "pydantic_core": 5,
    "annotated_types": 1,
    "typing_inspection": 5,
    "attr": 20,
    "tensorboard": 160,
    "google": 50,
    "absl": 15,
    "torch": 20,
    "jinja2": 26,
    "markupsafe": 3,
    "matplotlib": 5,
    "PIL": 12,
    "fsspec": 2,
}

# A command, and what it must not import; in this order, for they run in one process.
HEAVY = ("torch", "pytorch_lightning", "sklearn", "pandas", "matplotlib", "jinja2", "tensorboard", "optuna", "scipy")
LIGHT = {
    "status": HEAVY,
    "clean": tuple(name for name in HEAVY if name != "scipy"),
    "receipt": tuple(name for name in HEAVY if name != "scipy"),
    "compare": ("torch", "pytorch_lightning", "sklearn", "optuna"),
}
COMMANDS = """
import contextlib, importlib, json, os, sys
found = {}
for verb, arguments in json.loads(sys.argv[1]):
    module = importlib.import_module(f"vision_baselines.cli.{verb}")
    sys.argv = [f"{verb}.py", *arguments]
    with contextlib.redirect_stdout(open(os.devnull, "w")):
        try:
            module.main()
        except SystemExit as end:
            assert not end.code, (verb, end.code)
    found[verb] = sorted({name.partition(".")[0] for name in sys.modules})
print(json.dumps(found))
"""


def too_many(modules: Iterable[str], bounds: dict[str, int]) -> list[str]:
    """What is not in the list, and what there is more of than it allows."""
    counts = Counter(name.partition(".")[0] for name in modules)
    found = []
    for package, count in sorted(counts.items()):
        if package in sys.stdlib_module_names or package.startswith("_"):
            continue
        if count > bounds.get(package, 0):
            found.append(f"{package}: {count} modules; expected {bounds.get(package, 'none')}")
    return found


def test_a_newcomer_and_a_package_that_grew_are_named():
    modules = ["json", "scipy", "scipy.signal", "hydra", "hydra.main", "_hidden"]
    assert too_many(modules, {"hydra": 2}) == ["scipy: 2 modules; expected none"]
    assert too_many(modules, {"hydra": 1, "scipy": 2}) == ["hydra: 2 modules; expected 1"]


@pytest.mark.slow
@pytest.mark.ci
def test_a_run_imports_only_what_is_known(python: Callable[..., Any], tmp_path: Path):
    place = tmp_path / "modules.json"
    words = ["model=fc", "trainer.max_epochs=1", f"paths.output_dir={tmp_path / 'outputs'}"]
    done = python("-c", RUN, str(place), *words, cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    assert too_many(json.loads(place.read_text()), PACKAGES) == []


def test_a_command_is_loaded_without_what_takes_time(python: Callable[..., Any]):
    code = f"import json, sys; import {', '.join(VERBS.values())}; print(json.dumps(sorted(sys.modules)))"
    done = python("-c", code)
    assert done.returncode == 0, done.stderr
    assert {name for name in json.loads(done.stdout) if name in HEAVY} == set()


def test_a_command_says_that_it_has_begun_before_it_imports_anything(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
):
    said: list[str] = []

    class Verb:
        main = staticmethod(lambda: None)

    monkeypatch.setattr(sys, "argv", ["x.py", "outputs"])
    monkeypatch.setattr(start.importlib, "import_module", lambda name: said.append(capsys.readouterr().err) or Verb)
    for name in [*VERBS.values(), "benchmark.command", "stress.command"]:
        with pytest.raises(SystemExit):
            start.main(name)
    answers = dict(zip([*VERBS, "benchmark", "stress"], said, strict=True))
    assert {verb for verb, words in answers.items() if words != "loading …\n"} == {"status"}


@pytest.mark.parametrize("script", sorted((ROOT / "scripts").glob("*.py")), ids=lambda path: path.stem)
def test_a_script_starts_where_that_is_said(script: Path):
    tree = ast.parse(script.read_text(encoding="utf-8"))
    froms = {node.module: [name.name for name in node.names] for node in tree.body if isinstance(node, ast.ImportFrom)}
    assert froms.pop("pathlib", ["Path"]) == ["Path"]
    assert froms == {"vision_baselines.cli.start": ["main"]}
    assert {name.name for node in tree.body if isinstance(node, ast.Import) for name in node.names} <= {"sys"}


def test_nothing_but_the_standard_library_is_imported_before_that(python: Callable[..., Any]):
    code = "import sys; before = set(sys.modules); import vision_baselines.cli.start; print(*set(sys.modules) - before)"
    done = python("-c", code)
    assert done.returncode == 0, done.stderr
    own = [name for name in done.stdout.split() if name.startswith("vision_baselines")]
    assert too_many(done.stdout.split(), {"vision_baselines": 6}) == [], own


def test_what_is_imported_is_kept_from_the_collector_and_what_a_run_left_is_not(python: Callable[..., Any]):
    code = """
import gc, sys, weakref
from vision_baselines.importing import without_collector
with without_collector():
    assert not gc.isenabled()
    import xml.dom.minidom
    imported = gc.get_freeze_count()
frozen = gc.get_freeze_count()
assert gc.isenabled() and frozen > imported
class Left: pass
left = Left()
left.itself, found = left, weakref.ref(left)
del left
with without_collector():
    import xml.dom.minidom
assert gc.get_freeze_count() <= frozen and found() is not None
gc.collect()
assert found() is None
gc.disable()
with without_collector():
    pass
assert not gc.isenabled()
"""
    done = python("-c", code)
    assert done.returncode == 0, done.stderr


@pytest.mark.slow
@pytest.mark.ci
def test_commands_that_read_records_import_no_more_than_they_need(
    python: Callable[..., Any], tmp_path: Path, train_tiny: Callable[..., Any]
):
    folder = tmp_path / "outputs" / "sweep"
    train_tiny(folder / "one", "trainer.max_epochs=1")
    arguments = {verb: [str(folder)] for verb in LIGHT} | {"receipt": [str(folder), "--out", str(tmp_path / "r.json")]}
    done = python("-c", COMMANDS, json.dumps(list(arguments.items())), cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    found = json.loads(done.stdout.splitlines()[-1])
    assert {verb: set(found[verb]) & set(LIGHT[verb]) for verb in LIGHT} == {verb: set() for verb in LIGHT}
