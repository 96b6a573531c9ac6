"""No option that names a file to write takes a file of a run."""

from pathlib import Path

import pytest

from vision_baselines.cli.arguments import checked_html, checked_png, checked_table, require_writable
from vision_baselines.errors import ConfigError


def test_a_file_of_a_run_is_no_target(tmp_path: Path) -> None:
    (tmp_path / "run.json").write_text("{}")
    (tmp_path / "checkpoints").mkdir()
    for refuse in (
        lambda: checked_table(tmp_path / "run.json", "--json"),
        lambda: checked_png(tmp_path / "filters.png", "--png"),
        lambda: checked_html(tmp_path / "run.html"),
        lambda: require_writable(tmp_path / "checkpoints" / "best.ckpt", "--out"),
    ):
        with pytest.raises(ConfigError, match="a file of a run"):
            refuse()
    assert checked_png(tmp_path / "mine.png") == tmp_path / "mine.png"
