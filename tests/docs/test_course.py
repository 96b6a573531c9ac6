"""docs/course: every page is its notebook run; every notebook runs; every idea of the tutorial is in the index."""

from __future__ import annotations

import importlib
import re
import shlex
from typing import Any

import course
import pytest

import vision_baselines as vb
from vision_baselines.cli import VERBS

nbformat = pytest.importorskip("nbformat")
pytest.importorskip("nbclient")

CHAPTERS = course.chapters()
READ = {path: nbformat.read(path, as_version=4) for path in CHAPTERS}
EXPERIMENTS = (course.COURSE.parent / "experiments.md").read_text(encoding="utf-8")
INDEX = (course.COURSE / "README.md").read_text(encoding="utf-8")


@pytest.mark.parametrize("path", CHAPTERS, ids=lambda path: path.stem)
def test_a_notebook_is_kept_without_outputs_and_ends_with_a_check(path):
    cells = [cell for cell in READ[path].cells if cell.cell_type == "code"]
    assert all(not cell.outputs and cell.execution_count is None for cell in cells)
    assert "assert " in cells[-1].source


@pytest.mark.parametrize("path", CHAPTERS, ids=lambda path: path.stem)
def test_a_chapter_states_a_claim_gives_a_verdict_and_something_to_change(path):
    text = "\n".join(cell.source for cell in READ[path].cells if cell.cell_type == "markdown")
    for part in ("**The claim", "**The verdict.**", "**Change one thing.**"):
        assert part in text


@pytest.mark.parametrize("path", CHAPTERS, ids=lambda path: path.stem)
def test_a_page_has_what_its_notebook_has(path):
    page = path.with_suffix(".md").read_text(encoding="utf-8")
    at = 0
    for cell in READ[path].cells:
        shown = cell.source if cell.cell_type == "markdown" else f"```python\n{cell.source}\n```"
        at = page.find(shown, at)
        assert at >= 0, f"python scripts/dev/course.py {path.stem[:2]} makes the page again; it lacks {shown}"


def test_every_picture_of_the_course_is_on_a_page():
    pages = "".join(path.with_suffix(".md").read_text(encoding="utf-8") for path in CHAPTERS)
    drawn = {path.name for path in (course.COURSE / "pictures").iterdir()}
    assert drawn == set(re.findall(r"\]\(pictures/([^)]+)\)", pages))


def test_every_chapter_is_in_the_index():
    assert [name for path in CHAPTERS if f"({(name := path.stem)}.md)" not in INDEX] == []


def test_every_idea_of_the_tutorial_is_in_the_index():
    numbers = [int(number) for number in re.findall(r"^\| (\d+) \|[^|]+\|[^|]+\|[^|]+\|$", INDEX, re.MULTILINE)]
    assert numbers == list(range(1, 106))


def _masked(page: str) -> list[str]:
    """Lines without what another processor or run may change: digits, signs and the spaces around them."""
    return [re.sub(r"[\s\d.,+−-]+", " ", line).strip() for line in page.splitlines()]


def _by_cost() -> list[Any]:
    """Every chapter; CI runs one, which calls commands, for all of them take more minutes than it has."""
    first = next(path for path in CHAPTERS if path.stem.startswith("05_"))
    return [pytest.param(path, marks=[pytest.mark.ci] if path == first else [], id=path.stem) for path in CHAPTERS]


@pytest.mark.slow
@pytest.mark.parametrize("path", _by_cost())
def test_the_notebooks_run_and_say_what_their_pages_say(path, tmp_path):
    [notebook] = course.executed([path], tmp_path)
    page, pictures = course.page(notebook, path.stem, tmp_path)
    assert _masked(page) == _masked(path.with_suffix(".md").read_text(encoding="utf-8"))
    kept = {file.name for file in (course.COURSE / "pictures").glob(f"{path.stem}_*.png")}
    assert set(pictures) == kept


def _commands() -> list[str]:
    return sorted(set(re.findall(r"\| `(vision-baselines [^`]+)` \|$", INDEX, re.MULTILINE)))


@pytest.mark.slow
@pytest.mark.ci(every=4)
@pytest.mark.parametrize("command", _commands())
def test_every_command_of_the_index_is_one_that_runs(command, tmp_path, monkeypatch, capsys):
    picture = course.ROOT / "docs" / "demo" / "filters.png"
    _, verb, *words = shlex.split(command)
    monkeypatch.chdir(tmp_path)
    if verb in ("train", "inspect", "evaluate"):
        overrides = [word for word in words if "=" in word and not word.startswith("-")]
        axes = [override for override in overrides if "-m" in words and "," in override]
        rest = [override for override in overrides if override not in axes]
        for axis in axes or [""]:
            key, _, choices = axis.partition("=")
            for choice in choices.split(","):
                vb.compose([*rest, f"{key}={choice}"] if axis else rest)
        return
    if "RUN" in words or verb == "reproduce":
        assert verb in VERBS
        return
    words = [str(picture) if word == "FILE" else word for word in words]
    monkeypatch.setattr("sys.argv", [verb, *words])
    with pytest.raises(SystemExit) as ended:
        importlib.import_module(VERBS[verb]).main(words)
    assert ended.value.code == 0, capsys.readouterr().err


@pytest.mark.parametrize("path", CHAPTERS, ids=lambda path: path.stem)
def test_accuracies_of_experiments_are_those_that_were_published(path):
    """In a paragraph that points to them; what the chapter itself prints is its own."""
    page = path.with_suffix(".md").read_text(encoding="utf-8")
    printed = "\n".join(re.findall(r"```.*?```", page, flags=re.DOTALL))
    known = set(re.findall(r"\d+\.\d\d", EXPERIMENTS + printed))
    told = [part for part in re.sub(r"```.*?```", "", page, flags=re.DOTALL).split("\n\n") if "experiments.md" in part]
    assert {figure for part in told for figure in re.findall(r"\d+\.\d\d(?= %)", part)} - known == set()
