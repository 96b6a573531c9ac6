"""The documentation site: every page can be reached, every config key is described, and Sphinx builds it."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from omegaconf import OmegaConf

pytest.importorskip("sphinx")
pytest.importorskip("docutils")

from documentation import command_pages, config_pages, extension, refusals
from documentation.config_keys import SYNTAX, groups, merged, options

import vision_baselines
from vision_baselines.cli import VERBS
from vision_baselines.config.checks import check_targets
from vision_baselines.config.compose import composed, conf_dir, extra_config_dir
from vision_baselines.config.written_paths import check_written_paths

ROOT = Path(__file__).resolve().parents[2]
DOCS = ROOT / "docs"
MARK = re.compile(r"^<!-- (toctree|made)\b(.*?): (.+?) -->$", re.MULTILINE)


def _marks(page: Path, kind: str) -> list[str]:
    return [words for found, _, words in MARK.findall(page.read_text(encoding="utf-8")) if found == kind]


def test_every_page_is_reached_from_the_start_page():
    reached, waiting = set(), [DOCS / "index.md"]
    while waiting:
        page = waiting.pop()
        reached.add(page)
        for words in _marks(page, "toctree"):
            waiting += {page.parent / f"{name}.md" for name in extension.pages_of(words, page.parent)} - reached
    assert {path for path in DOCS.rglob("*.md") if "_build" not in path.parts} == reached


def test_every_page_that_a_toctree_names_exists():
    for page in DOCS.rglob("*.md"):
        for words in _marks(page, "toctree"):
            named = [word for word in words.split() if "*" not in word]
            assert [name for name in named if not (page.parent / f"{name}.md").is_file()] == [], page


def test_every_group_of_the_config_has_a_page():
    pages = {path.stem: _marks(path, "made") for path in (DOCS / "reference" / "config").glob("*.md")}
    assert all(words == [f"config {name}"] for name, words in pages.items())
    top = {group.split("/")[0] for group in groups()} - {"experiment"}
    assert top | {"train", "comparison"} == set(pages)


@pytest.fixture(scope="module")
def reference():
    pages = [config_pages.group_page(path.stem) for path in (DOCS / "reference" / "config").glob("*.md")]
    return "\n".join(pages)


def _keys(node, prefix=""):
    """The leaves of plain data, as an independent reading of the files."""
    for key, value in node.items():
        name = f"{prefix}.{key}" if prefix else str(key)
        if isinstance(value, dict) and value:
            yield from _keys(value, name)
        else:
            yield name


def test_every_key_of_a_composed_config_is_in_the_reference(reference):
    entries = set(re.findall(r"^::::\{confval\} (\S+)$", reference, re.MULTILINE))
    everything = composed(
        ["probe=all", "scheduler=plateau", "augment=photo", "logger=csv", "parameter_groups=no_decay", "mix=mixup"]
    )
    plain = OmegaConf.to_container(everything, resolve=False)
    wanted = {key for key in _keys(plain) if key.rpartition(".")[2] not in SYNTAX}
    # in a place where another group is put as a whole
    wanted -= {"experiment", "debug", "transfer", "logger", "probe", "callbacks"}
    assert {key for key in wanted if key not in entries} == set()


def test_every_key_of_every_file_is_in_the_reference_with_a_description(reference):
    texts = dict(re.findall(r"^::::\{confval\} (\S+)\n(.*?)^::::$", reference, re.MULTILINE | re.DOTALL))
    for group, found in groups().items():
        if group == "experiment":
            continue
        for name in merged(found):
            described = re.sub(r"^:\w+: .*$", "", texts[name], flags=re.MULTILINE).strip()
            assert len(described) > 3, f"{name} has no comment in conf/{group}/*.yaml"


def test_no_group_of_a_file_is_left_out():
    assert {option.name for option in options()} == {path.stem for path in conf_dir().rglob("*.yaml")}


def test_every_experiment_says_what_it_asks_and_how_it_is_run():
    page = config_pages.experiments_page()
    for path in (conf_dir() / "experiment").glob("*.yaml"):
        assert f"## {path.stem}\n\n```sh\npython scripts/train.py -m experiment={path.stem}" in page


@pytest.mark.parametrize(
    ("yaml", "default", "said"),
    [
        ("a: 1   # what it is", "1", "what it is"),
        ("# above it\n# in two lines\na: 1", "1", ""),  # a file's leading comment is about the file
        ("z: 0\n# above it\n# in two lines\na: 1", "1", "above it in two lines"),
        ("z: 0\n\na: [1, 2]  # a list", "[1, 2]", "a list"),
        ("z: 0\na:  # on the key's line\n  - 1\n  - x", "[1, x]", "on the key's line"),
        ('z: 0\na: "x # y"   # quoted', '"x # y"', "quoted"),
        ("z: 0  # not mine\na: 1", "1", ""),
        ("a: {b: 1}  # in braces", "{b: 1}", "in braces"),
        ("z: 0\na:\n", "", ""),
    ],
)
def test_a_keys_comment_is_found_where_people_write_it(tmp_path, monkeypatch, yaml, default, said):
    from documentation import config_keys

    (tmp_path / "g").mkdir()
    (tmp_path / "g" / "o.yaml").write_text(yaml)
    option = config_keys._option(tmp_path / "g" / "o.yaml", tmp_path)
    [key] = [key for key in option.keys if key.name == "g.a"]
    assert (key.default, key.comment) == (default, said)


def test_every_public_name_is_on_the_page_of_the_api():
    page = (DOCS / "reference" / "api" / "README.md").read_text(encoding="utf-8")
    assert set(re.findall(r"^\.\. auto(?:function|class):: (\w+)$", page, re.MULTILINE)) == set(
        vision_baselines.__all__
    )


def test_what_is_refused_is_said_beside_the_key():
    assert refusals.refusals("trainer.devices") == ["Refused: `-1`, `[0,1]` (a number, the same on every machine)."]
    assert "expected a whole number of at least 1" in " ".join(refusals.refusals("data.batch_size"))


@pytest.mark.slow
@pytest.mark.ci
def test_the_page_of_commands_has_every_verb():
    page = command_pages.commands_page()
    for verb in VERBS:
        assert f"\n## {verb}\n" in f"\n{page}"
        assert verb == "train" or "usage: " in page.split(f"## {verb}\n")[1].split("\n## ")[0]


def _shown(folder: Path) -> dict[str, list[str]]:
    """The config files that the how-to pages show, written below a folder: the options of each group."""
    found: dict[str, list[str]] = {}
    for page in sorted((DOCS / "howto").glob("*.md")):
        text = page.read_text(encoding="utf-8")
        for body in re.findall(r"^```yaml\n(# my_conf/.*?)^```$", text, re.MULTILINE | re.DOTALL):
            file = folder / body.split("\n")[0].removeprefix("# my_conf/")
            file.parent.mkdir(parents=True, exist_ok=True)
            file.write_text(body, encoding="utf-8")
            found.setdefault(file.parent.name, []).append(file.stem)
    return found


def test_every_config_file_that_a_how_to_page_shows_composes_and_names_classes_that_may_be_built(tmp_path):
    shown = _shown(tmp_path)
    assert "server" in shown["logger"]
    assert "two_convs" in shown["model"]
    with extra_config_dir(tmp_path):
        plain = OmegaConf.to_container(
            composed([f"{group}=[{','.join(shown[group])}]" for group in shown]), resolve=False
        )
    check_targets({key: plain[key] for key in ("model", "callbacks", "logger")}, ["my_lab"])
    check_written_paths(plain)
    assert "server" in plain["logger"]
    assert "checkpoints" in plain["callbacks"]


@pytest.mark.slow
def test_sphinx_builds_it_without_a_warning_and_nothing_is_fetched(tmp_path, python):
    done = python("-m", "sphinx", "-W", "--keep-going", "-n", "-q", str(DOCS), str(tmp_path / "html"), cwd=ROOT)
    assert done.returncode == 0, done.stderr[-3000:]
    for page in (tmp_path / "html").rglob("*.html"):
        loaded = re.findall(
            r"<(?:script|img|link|iframe)\b[^>]*?\b(?:src|href)=\"(https?:[^\"]+|//[^\"]+)", page.read_text()
        )
        assert loaded == [], page
