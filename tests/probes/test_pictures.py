"""Pictures that probes draw: in the run's folder, in its record, with the loggers, and written by evaluate."""

from __future__ import annotations

import io

import numpy as np
import pytest
from PIL import Image

from vision_baselines.cli.evaluate import main
from vision_baselines.errors import ConfigError
from vision_baselines.probes.probe import Probe
from vision_baselines.runs.files import clear, write_pictures
from vision_baselines.training import build


def png(grey: int) -> bytes:
    buffer = io.BytesIO()
    Image.fromarray(np.full((2, 3, 3), grey, dtype=np.uint8)).save(buffer, format="PNG")
    return buffer.getvalue()


class Draws(Probe):
    """Draws a picture for each name."""

    def __init__(self, *names: str) -> None:
        super().__init__()
        self.names = names

    def on_test_epoch_end(self, trainer, pl_module):
        for index, name in enumerate(self.names):
            self.add_picture(trainer, name, png(index))


@pytest.fixture
def draws(monkeypatch):
    """``draws(*names)``: every run and every test draws these, and a finished run is asked for them anew."""

    def use(*names):
        monkeypatch.setattr(build, "probes", lambda cfg: [Draws(*names)])

    return use


@pytest.mark.slow
@pytest.mark.ci
def test_a_run_leaves_them_in_its_folder_its_record_and_tensorboard_and_a_rerun_removes_them(
    train_tiny, draws, events, tmp_path
):
    draws("mine/a=1", "mine/b")
    record = train_tiny(tmp_path / "run", "logger=tensorboard", "trainer.max_epochs=1")
    folder = tmp_path / "run"
    assert {"mine/a=1.png", "mine/b.png"} <= set(record.files)
    assert (folder / "mine/b.png").read_bytes() == png(1)
    assert {"mine/a=1", "mine/b"} <= set(events(folder).Tags()["images"])

    (folder / "mine" / "own.png").write_bytes(b"somebody's")
    clear(folder, record)
    assert [path.name for path in (folder / "mine").iterdir()] == ["own.png"]


@pytest.mark.slow
@pytest.mark.ci
def test_a_finished_run_that_is_probed_loses_what_the_same_probe_drew_before(train_tiny, draws, tmp_path):
    train = ["trainer.max_epochs=1", "probe=edges"]
    draws("mine/a", "other/b")
    train_tiny(tmp_path / "run", *train)
    draws("mine/c")
    record = train_tiny(tmp_path / "run", *train, "+probe.edges.again=1")

    found = {str(path.relative_to(tmp_path / "run")) for path in (tmp_path / "run").rglob("*.png")}
    assert found == {"mine/c.png", "other/b.png"} == {name for name in record.files if name.endswith(".png")}


@pytest.mark.slow
@pytest.mark.ci
def test_evaluate_writes_them_apart_from_the_run_s_own_and_says_where(train_tiny, draws, tmp_path, capsys):
    train_tiny(tmp_path / "run", "trainer.max_epochs=1")
    before = {path: path.read_bytes() for path in (tmp_path / "run").rglob("*") if path.is_file()}
    draws("mine/a")
    for words, folder in (((), tmp_path / "run/evaluated"), (("--pictures", str(tmp_path / "x")), tmp_path / "x")):
        with pytest.raises(SystemExit) as ended:
            main([str(tmp_path / "run"), *words])
        assert ended.value.code == 0
        assert f"picture: {folder / 'mine/a.png'}\n" in capsys.readouterr().out
        assert (folder / "mine/a.png").read_bytes() == png(0)
    assert before.items() <= {p: p.read_bytes() for p in (tmp_path / "run").rglob("*") if p.is_file()}.items()

    (tmp_path / "file").touch()
    with pytest.raises(SystemExit) as ended:
        main([str(tmp_path / "run"), "--pictures", str(tmp_path / "file")])
    assert (ended.value.code, capsys.readouterr().err.count("\n")) == (5, 1)


@pytest.mark.slow
@pytest.mark.ci
@pytest.mark.parametrize("name", ["a.png", "../a/b.png", "a/../b.png", "/a/b.png", "a/b/c.png", "a/b.svg", ".a/b.png"])
def test_a_name_that_leads_elsewhere_is_refused(tmp_path, name):
    with pytest.raises(ConfigError, match="expected probe/name"):
        write_pictures(tmp_path / "run", {name: b""})
    assert list(tmp_path.rglob("*")) == []


@pytest.mark.slow
@pytest.mark.ci
def test_a_folder_that_is_a_link_is_refused(tmp_path):
    (tmp_path / "elsewhere").mkdir()
    (tmp_path / "mine").symlink_to(tmp_path / "elsewhere")
    with pytest.raises(ConfigError, match="expected probe/name"):
        write_pictures(tmp_path, {"mine/a.png": b""})
