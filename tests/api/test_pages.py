"""What README and the how-to pages show of Python runs as it stands, in a folder that is not the checkout."""

from __future__ import annotations

import re
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from vision_baselines.config.compose import register_resolvers

ROOT = Path(__file__).resolve().parents[2]
PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md")), *sorted((ROOT / "docs" / "howto").glob("*.md"))]
SNIPPETS = {
    path.relative_to(ROOT).as_posix(): body
    for path in PAGES
    for body in re.findall(r"^```python\n(.*?)^```", path.read_text(encoding="utf-8"), re.MULTILINE | re.DOTALL)
    if "vb.train(" in body
}


def test_the_readme_and_the_page_of_notebooks_show_how_a_run_is_trained():
    assert {"README.md", "docs/howto/notebooks.md"} <= set(SNIPPETS)


@pytest.mark.slow
@pytest.mark.ci
@pytest.mark.parametrize("page", SNIPPETS)
def test_a_snippet_runs_in_another_folder_than_the_checkout(page, tmp_path, monkeypatch):
    elsewhere, pictures = tmp_path / "elsewhere", tmp_path / "elsewhere" / "pictures"
    pictures.mkdir(parents=True)
    for file in (elsewhere / "digit.png", pictures / "one.png"):
        Image.fromarray(np.zeros((16, 16), np.uint8)).save(file)
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(elsewhere)
        patch.setattr("vision_baselines.config.compose.project_root", lambda: str(tmp_path / "checkout"))
        exec(compile(SNIPPETS[page], page, "exec"), {})
    register_resolvers()  # the configs' own resolver again
    assert list((tmp_path / "checkout" / "outputs" / "first").glob("*/run.json"))
    assert not (elsewhere / "outputs").exists()
