"""The API is tried in an empty folder, as a notebook would use it."""

from __future__ import annotations

from pathlib import Path

import pytest


@pytest.fixture(scope="session")
def empty_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("api")


@pytest.fixture
def there(empty_folder: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Outputs go below an empty folder; runs of one name are shared by the tests of this folder."""
    monkeypatch.chdir(empty_folder)
    monkeypatch.setattr("vision_baselines.config.compose.project_root", lambda: str(empty_folder))
    return empty_folder
