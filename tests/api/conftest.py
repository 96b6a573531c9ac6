"""The API is tried in an empty folder, as a notebook would use it."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from vision_baselines.config.compose import register_resolvers


@pytest.fixture(scope="session")
def empty_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("api")


@pytest.fixture
def there(empty_folder: Path) -> Iterator[Path]:
    """Outputs go below an empty folder; runs of one name are shared by the tests of this folder."""
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(empty_folder)
        patch.setattr("vision_baselines.config.compose.project_root", lambda: str(empty_folder))
        yield empty_folder
    register_resolvers()  # the configs' own resolver again
