"""``python scripts/dev/course.py [CHAPTER ...]``: run the notebooks of docs/course and make their pages from them.

A page is its notebook with what the cells printed and drew. Every chapter begins with an empty namespace, so that none
needs another's names; they share one Python process, which imports torch once, and a folder of runs. nbconvert would
write the pages too, with a template of ours for the pictures' alternative texts and ten more packages to install.
"""

from __future__ import annotations

import argparse
import base64
import os
import re
import sys
import tempfile
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import nbclient
import nbformat

ROOT = Path(__file__).resolve().parents[2]
COURSE = ROOT / "docs" / "course"
_FRESH = """
%reset -f
import os, warnings
import vision_baselines.config.compose as _compose
_compose.project_root = lambda: os.getcwd()
warnings.filterwarnings("ignore")
%matplotlib inline
%config InlineBackend.print_figure_kwargs = {"dpi": 80, "bbox_inches": "tight"}
"""


def chapters(names: Sequence[str] = ()) -> list[Path]:
    """The notebooks in order: all, or those whose names begin with one of `names`.

    Raises:
        SystemExit: A name is no chapter's.
    """
    every = sorted(COURSE.glob("*.ipynb"))
    for name in names:
        if not any(path.name.startswith(name) for path in every):
            sys.exit(f"there is no chapter {name!r}; there are: {', '.join(path.stem for path in every)}")
    return [path for path in every if not names or path.name.startswith(tuple(names))]


def executed(paths: Sequence[Path], folder: Path) -> Iterator[Any]:
    """The notebooks with their outputs, run one after the other in one process and one folder.

    Args:
        paths: Notebooks.
        folder: An empty folder, for what they write; a run that two chapters train is trained once.

    Raises:
        nbclient.exceptions.CellExecutionError: A cell raised.
    """
    environment = {**os.environ, "PATH": f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"}
    environment |= {"COLUMNS": "100", "NO_COLOR": "1", "PYTHONWARNINGS": "ignore"}
    # a student's own settings of Jupyter would change what a page shows
    environment |= {"JUPYTER_PLATFORM_DIRS": "1", "IPYTHONDIR": str(folder / "ipython")}
    whole = nbformat.v4.new_notebook(cells=[])
    where = {"metadata": {"path": folder}}
    client = nbclient.NotebookClient(whole, timeout=600, kernel_name="python3", resources=where)
    with client.setup_kernel(env=environment):
        for path in paths:
            notebook = nbformat.read(path, as_version=4)
            first = len(whole.cells)
            whole.cells += [nbformat.v4.new_code_cell(_FRESH), *notebook.cells]
            for index in range(first, len(whole.cells)):
                client.execute_cell(whole.cells[index], index)
            yield notebook


def page(notebook: Any, name: str, folder: Path | None = None) -> tuple[str, dict[str, bytes]]:
    """A chapter as Markdown, and its pictures by file name.

    Args:
        notebook: With outputs.
        name: The chapter's, such as ``01_dense_layers``.
        folder: What the notebook's folder was; left out of the page.

    Raises:
        ValueError: A picture's cell does not say what the picture shows (``alt`` in its metadata).
    """
    parts = [f"<!-- made from {name}.ipynb by scripts/dev/course.py -->"]
    pictures: dict[str, bytes] = {}
    for cell in notebook.cells:
        if cell.cell_type == "markdown":
            parts.append(cell.source)
            continue
        parts.append(f"```python\n{cell.source}\n```")
        drawn = [output.data["image/png"] for output in cell.outputs if "image/png" in output.get("data", {})]
        said = [output for output in cell.outputs if "image/png" not in output.get("data", {})]
        text = "".join(output.get("text") or output.get("data", {}).get("text/plain", "") for output in said)
        if text.strip():
            parts.append(f"```text\n{_plain(text, folder)}\n```")
        for picture in drawn:
            if not (alt := cell.metadata.get("alt")):
                raise ValueError(f"{name}: a cell draws a picture and does not say what it shows: {cell.source}")
            file = f"{name}_{len(pictures) + 1}.png"
            pictures[file] = base64.b64decode(picture)
            parts.append(f"![{alt}](pictures/{file})")
    return "\n\n".join(parts) + "\n", pictures


def _plain(text: str, folder: Path | None) -> str:
    text = re.sub(r"\x1b\[[0-9;]*m", "", text)
    for place in (folder, ROOT):
        text = text.replace(f"{place}/", "") if place else text
    text = re.sub(r"^loading …\r?\n", "", text, flags=re.MULTILINE)  # which is said to whoever waits
    return "\n".join(line.rstrip() for line in text.strip("\n").splitlines())


def main() -> None:
    """Write the pages of the chapters that are named, or of all."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("chapters", nargs="*", help="beginnings of names, such as 03; all by default")
    paths = chapters(parser.parse_args().chapters)
    (COURSE / "pictures").mkdir(exist_ok=True)
    with tempfile.TemporaryDirectory() as scratch:
        for path, notebook in zip(paths, executed(paths, Path(scratch)), strict=True):
            text, pictures = page(notebook, path.stem, Path(scratch))
            for old in (COURSE / "pictures").glob(f"{path.stem}_*.png"):
                old.unlink()
            for file, content in pictures.items():
                (COURSE / "pictures" / file).write_bytes(content)
            path.with_suffix(".md").write_text(text, encoding="utf-8")
            print(f"docs/course/{path.stem}.md, {len(pictures)} pictures")


if __name__ == "__main__":
    main()
