"""What the README and docs/architecture.md say is there is there."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
BRANCH = re.compile(r"^(?P<indent>(?:[│|]\s{1,3}|\s{4}|\s{3})*)(?:[├└+`][─-]{1,2}\s?)(?P<name>\S+)(?P<says>.*)$")


def tree_lines() -> list[str]:
    text = (ROOT / "docs" / "architecture.md").read_text(encoding="utf-8")
    for block in re.findall(r"^```\w*\n(.*?)^```", text, re.MULTILINE | re.DOTALL):
        if re.search(r"[├└]─", block):
            return block.splitlines()
    return []


def paths_of(lines: list[str]) -> dict[str, str]:
    """Every path a drawn tree names, from its root, with what it says of it; a line without a branch is a root."""
    found: dict[str, str] = {}
    root = ""
    parents: list[tuple[int, str]] = []
    for line in lines:
        match = BRANCH.match(line)
        if not match:
            root, parents = f"{line.split()[0].rstrip('/')}/" if line.strip() else root, []
            continue
        depth = len(match["indent"])
        parents = [(at, name) for at, name in parents if at < depth]
        name = match["name"].rstrip("/")
        found[root + "".join(f"{parent}/" for _, parent in parents) + name] = match["says"].strip()
        parents.append((depth, name))
    return found


@pytest.fixture(scope="module")
def tree():
    return paths_of(tree_lines())


def test_a_drawn_tree_is_read_as_paths():
    drawn = ["src/", "├── a/", "│   ├── b.py   what it does", "│   └── c/", "│       └── d.py  deep", "└── e.py  last"]
    assert paths_of([*drawn, "conf/", "└── f.yaml"]) == {
        "src/a": "",
        "src/a/b.py": "what it does",
        "src/a/c": "",
        "src/a/c/d.py": "deep",
        "src/e.py": "last",
        "conf/f.yaml": "",
    }


def test_every_line_of_the_tree_is_on_the_disk(tree):
    assert [name for name in tree if not (ROOT / name).exists()] == []


def test_every_module_in_the_tree_says_what_it_does(tree):
    assert [name for name, says in tree.items() if name.endswith(".py") and not says] == []


def test_every_module_script_and_config_is_in_the_tree(tree):
    files = [
        path.relative_to(ROOT).as_posix()
        for folder, pattern in (("src", "*.py"), ("scripts", "*.py"), ("conf", "*.yaml"))
        for path in sorted((ROOT / folder).rglob(pattern))
        if path.name != "__init__.py"
    ]
    assert [name for name in files if name not in tree] == []


def test_the_first_screen_has_both_commands():
    first_screen = "\n".join((ROOT / "README.md").read_text(encoding="utf-8").splitlines()[:60])
    assert "make demo" in first_screen
    assert "make test" in first_screen


def test_the_readme_is_short():
    assert len((ROOT / "README.md").read_text(encoding="utf-8").splitlines()) <= 160


@pytest.mark.parametrize(
    "page", ["README.md", "CONTRIBUTING.md", *(f"docs/{p.name}" for p in (ROOT / "docs").glob("*.md"))]
)
def test_every_local_link_and_picture_leads_somewhere(page):
    path = ROOT / page
    links = re.findall(r"\]\((?!https?:|#|mailto:)([^)#\s]+)", path.read_text(encoding="utf-8"))
    assert [link for link in links if not (path.parent / link).exists()] == []
