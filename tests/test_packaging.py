"""The wheel works outside the checkout, and nothing in the repository names a package index."""

from __future__ import annotations

import json
import re
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest


@pytest.fixture(scope="module")
def wheel(root, tmp_path_factory):
    """The wheel, built by hatchling itself."""
    builders = pytest.importorskip("hatchling.builders.wheel")
    for needed in ("README.md", "LICENSE"):
        if not (root / needed).exists():
            pytest.skip(f"{needed} is not written yet, and a wheel needs it")
    [path] = builders.WheelBuilder(str(root)).build(
        directory=str(tmp_path_factory.mktemp("wheel")), versions=["standard"]
    )
    return Path(path)


def test_the_wheel_carries_every_config_file(wheel, root):
    names = set(zipfile.ZipFile(wheel).namelist())
    wanted = {f"vision_baselines/conf/{path.relative_to(root / 'conf')}" for path in (root / "conf").rglob("*.yaml")}
    assert wanted
    assert wanted <= names


def test_the_wheel_carries_every_module_and_hydras_plugin(wheel, root):
    names = set(zipfile.ZipFile(wheel).namelist())
    wanted = {str(path.relative_to(root / "src")) for path in (root / "src").rglob("*.py")}
    assert wanted <= names


def test_the_wheel_carries_the_page_s_template_and_stylesheet(wheel, root):
    names = set(zipfile.ZipFile(wheel).namelist())
    wanted = {
        str(path.relative_to(root / "src"))
        for path in (root / "src").rglob("*.*")
        if path.suffix != ".py" and path.parent.name != "__pycache__"
    }
    assert {"vision_baselines/report/page.html.j2", "vision_baselines/report/page.css"} <= wanted
    assert wanted <= names


def test_the_wheel_carries_no_tests_and_no_outputs(wheel):
    names = zipfile.ZipFile(wheel).namelist()
    assert not [name for name in names if name.startswith(("tests/", "outputs/", "docs/")) or "__pycache__" in name]


@pytest.mark.slow
def test_an_installed_wheel_runs_a_sweep_outside_the_checkout(root, tiny, environment, tmp_path):
    built = subprocess.run(
        [sys.executable, "-m", "build", "--wheel", "--no-isolation", "--outdir", str(tmp_path / "dist"), str(root)],
        capture_output=True,
        text=True,
        env=environment,
    )
    assert built.returncode == 0, built.stdout + built.stderr
    [path] = (tmp_path / "dist").glob("*.whl")
    site = tmp_path / "site"
    pip = [
        sys.executable,
        "-m",
        "pip",
        "install",
        "--quiet",
        "--no-deps",
        "--no-index",
        "--target",
        str(site),
        str(path),
    ]
    subprocess.run(pip, check=True, env=environment, capture_output=True)
    work = tmp_path / "work"
    work.mkdir()
    command = [sys.executable, "-m", "vision_baselines", "train"]
    words = [*tiny, "callbacks.filters=null", "callbacks.parameters=null"]
    done = subprocess.run(
        [*command, "-m", "name=away", "seed=0,1", *words],
        cwd=work,
        env={**environment, "PYTHONPATH": str(site)},
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    records = list((work / "outputs" / "away").glob("*/run.json"))
    assert len(records) == 2
    record = json.loads(records[0].read_text())
    assert record["status"] == "finished"
    assert record["environment"]["git_commit"] is None


def tracked_files(root):
    listed = subprocess.run(["git", "-C", str(root), "ls-files", "-z"], capture_output=True, text=True)
    if listed.returncode:
        pytest.skip("not a git checkout")
    return [root / name for name in listed.stdout.split("\0") if name and (root / name).is_file()]


def test_no_file_names_a_package_index(root):
    # by what such an address or the option that takes one looks like, so that this file names none either
    pattern = re.compile(r"(https?://[^\s\"')>]*/(simple|whl|packages)\b|index-url|find-links)", re.IGNORECASE)
    named = []
    for path in tracked_files(root):
        if path.suffix in {".png", ".npy", ".gz"} or path == Path(__file__):
            continue
        if pattern.search(path.read_text(encoding="utf-8", errors="ignore")):
            named.append(str(path.relative_to(root)))
    assert named == []


def test_the_command_of_the_installed_package_is_the_command_line(root):
    import tomllib

    scripts = tomllib.loads((root / "pyproject.toml").read_text())["project"]["scripts"]
    module, _, function = scripts["vision-baselines"].partition(":")
    __import__(module)
    assert callable(getattr(sys.modules[module], function))


def test_the_lock_pins_every_dependency_with_hashes_and_the_versions_are_within_the_bounds(root):
    import tomllib

    from packaging.requirements import Requirement

    text = (root / "requirements.lock").read_text(encoding="utf-8")
    entries = [entry for entry in re.split(r"\n(?=[A-Za-z])", text) if "==" in entry]
    assert [entry.split()[0] for entry in entries if "--hash=sha256:" not in entry] == []
    pinned = dict(entry.split()[0].split("==") for entry in entries)
    project = tomllib.loads((root / "pyproject.toml").read_text())["project"]
    for text in [*project["dependencies"], *project["optional-dependencies"]["dev"]]:
        wanted = Requirement(text)
        assert wanted.specifier.contains(pinned[wanted.name.lower()]), text
    for text in project["dependencies"]:
        assert any(bound.operator == "<" for bound in Requirement(text).specifier), f"{text} has no upper bound"
    assert {"torch": "2.13.0", "torchvision": "0.28.0"}.items() <= pinned.items()


def test_releases_with_known_holes_are_below_the_floors(root):
    import tomllib

    from packaging.requirements import Requirement

    project = tomllib.loads((root / "pyproject.toml").read_text())["project"]
    bounds = {Requirement(text).name: Requirement(text).specifier for text in project["dependencies"]}
    assert not bounds["pytorch-lightning"].contains("2.6.5")
    assert not bounds["torch"].contains("2.9.1")
