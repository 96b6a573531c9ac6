"""Each notebook in docs/notebooks runs from top to bottom in an empty folder."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

NOTEBOOKS = sorted((Path(__file__).resolve().parents[2] / "docs" / "notebooks").glob("*.ipynb"))
COURSE = sorted((Path(__file__).resolve().parents[2] / "docs" / "course").glob("*.ipynb"))


@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)
def test_a_notebook_is_kept_without_outputs(path):
    nbformat = pytest.importorskip("nbformat")
    cells = [cell for cell in nbformat.read(path, as_version=4).cells if cell.cell_type == "code"]
    assert cells
    assert all(not cell.outputs and cell.execution_count is None for cell in cells)


@pytest.mark.parametrize("path", [*NOTEBOOKS, *COURSE], ids=lambda path: path.stem)
def test_a_notebook_asks_its_runs_where_they_lie(path):
    # of a checkout's notebook in docs/, outputs/ is two folders up
    assert not re.findall(r'vb\.\w+\(\\"outputs/', path.read_text(encoding="utf-8"))


@pytest.mark.slow
@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)
@pytest.mark.filterwarnings("ignore::DeprecationWarning")
def test_a_notebook_runs(path, tmp_path, monkeypatch, environment):
    nbclient, nbformat = pytest.importorskip("nbclient"), pytest.importorskip("nbformat")
    notebook = nbformat.read(path, as_version=4)
    for name, value in {**environment, "JUPYTER_PLATFORM_DIRS": "1", "IPYTHONDIR": str(tmp_path / "ipython")}.items():
        monkeypatch.setenv(name, value)
    # as of a checkout whose notebooks lie in another folder than its outputs
    first = "import vision_baselines.config.compose as c, os; c.project_root = lambda: os.path.abspath('checkout')"
    notebook.cells.insert(0, nbformat.v4.new_code_cell(first))
    where = {"metadata": {"path": str(tmp_path)}}
    client = nbclient.NotebookClient(notebook, timeout=300, kernel_name="python3", resources=where)
    client.execute()
    pictures = [out for cell in notebook.cells for out in cell.get("outputs", []) if "image/png" in out.get("data", {})]
    tables = [out for cell in notebook.cells for out in cell.get("outputs", []) if "text/html" in out.get("data", {})]
    assert len(pictures) >= 3
    assert len(tables) >= 2
    [last] = notebook.cells[-1].outputs
    assert last.text.strip() == "True True"
