"""``python scripts/dev/architecture_tree.py``: the tree of docs/architecture.md, a file a line with what it does."""

from __future__ import annotations

import ast
import re
import sys
from collections.abc import Iterator
from pathlib import Path

from vision_baselines.config.compose import project_root

_WIDTH = 118
_START, _END = "<!-- tree -->\n```\n", "```\n<!-- /tree -->"
_FOLDERS = ("conf", "scripts", "src/hydra_plugins", "src/vision_baselines")


def main() -> None:
    """Rewrite the tree in docs/architecture.md from what is on the disk."""
    if sys.argv[1:]:
        sys.exit(f"error: architecture_tree.py takes no arguments, not {' '.join(sys.argv[1:])}")
    page = Path(project_root()) / "docs" / "architecture.md"
    text = page.read_text(encoding="utf-8")
    before, _, rest = text.partition(_START)
    _, _, after = rest.partition(_END)
    page.write_text(before + _START + drawn(Path(project_root())) + _END + after, encoding="utf-8")


def drawn(root: Path) -> str:
    """The tree as text, a line a file."""
    lines = []
    for folder in _FOLDERS:
        lines.append(f"{folder}/")
        lines += _branches(root / folder, "")
    return "\n".join(lines) + "\n"


def _branches(folder: Path, indent: str) -> Iterator[str]:
    entries = [path for path in sorted(folder.iterdir(), key=lambda p: (p.is_dir(), p.name)) if _is_shown(path)]
    for entry in entries:
        last = entry == entries[-1]
        branch = f"{indent}{'└── ' if last else '├── '}{entry.name}{'/' if entry.is_dir() else ''}"
        yield _fitted(f"{branch:<40} {_says(entry)}")
        if entry.is_dir():
            yield from _branches(entry, indent + ("    " if last else "│   "))


def _is_shown(path: Path) -> bool:
    if path.is_dir():
        return path.name != "__pycache__" and any(_is_shown(inside) for inside in path.iterdir())
    return path.suffix in (".py", ".yaml") and path.name != "__init__.py"


def _says(path: Path) -> str:
    source = path / "__init__.py" if path.is_dir() else path
    if not source.is_file():
        return ""
    text = source.read_text(encoding="utf-8")
    if source.suffix == ".yaml":
        comments = [line[1:].strip() for line in text.splitlines() if re.match(r"# (?!@package)", line)]
        return comments[0] if comments else ""
    doc = ast.get_docstring(ast.parse(text)) or ""
    return " ".join(doc.split("\n\n")[0].split()).split(". ")[0].rstrip(".").replace("``", "").replace("`", "")


def _fitted(line: str) -> str:
    return line.rstrip() if len(line) <= _WIDTH else line[: _WIDTH - 1].rsplit(" ", 1)[0] + " …"


if __name__ == "__main__":
    main()
