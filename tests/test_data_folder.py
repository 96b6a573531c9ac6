"""A run that was given its own folder of data is tested and run again with it, then with the default; it is said."""

from __future__ import annotations

from types import SimpleNamespace

import pytest
from omegaconf import OmegaConf

from vision_baselines.errors import DataError
from vision_baselines.evaluation import data_folder
from vision_baselines.evaluation.data_folder import with_data


@pytest.fixture
def looked(monkeypatch, tmp_path):
    """Folders that are looked into; only one named ``whole`` holds the data."""
    folders = []

    class Module:
        def __init__(self, cfg):
            self.cfg = cfg

        def prepare_data(self):
            assert self.cfg.data.source.download is False
            folders.append(self.cfg.paths.data_dir)
            if not self.cfg.paths.data_dir.endswith("whole"):
                raise DataError("MNIST is not whole")

    monkeypatch.setattr(data_folder, "build", SimpleNamespace(datamodule=Module))
    return folders


def config(**source):
    return OmegaConf.create({"paths": {"data_dir": "/default"}, "data": {"source": {"download": True, **source}}})


def record(*overrides):
    return SimpleNamespace(overrides=list(overrides))


def used(record, *overrides, cfg=None):
    return with_data(cfg or config(), record, overrides, lambda cfg: (cfg.paths.data_dir, cfg.data.source))


def test_the_run_s_own_folder_is_tried_first_and_downloads_as_it_did(looked, tmp_path, caplog):
    folder, source = used(record("seed=0", f"paths.data_dir={tmp_path}/whole"))
    assert (folder, source.download) == (f"{tmp_path}/whole", True)
    assert "taking the data from" in caplog.text


def test_then_the_default_and_nothing_is_written_in_the_other(looked, tmp_path, caplog):
    assert used(record(f"paths.data_dir='{tmp_path}/gone'"))[0] == "/default"
    assert looked == [f"{tmp_path}/gone"]
    assert "MNIST is not whole); trying /default" in caplog.text
    assert not (tmp_path / "gone").exists()


def test_data_that_turn_out_to_be_others_are_looked_for_in_the_default(looked, tmp_path):
    tried = []

    def run(cfg):
        tried.append(cfg.paths.data_dir)
        if len(tried) == 1:
            raise DataError("other data")
        return len(tried)

    assert with_data(config(), record(f"paths.data_dir={tmp_path}/whole"), (), run) == 2
    assert tried == [f"{tmp_path}/whole", "/default"]


@pytest.mark.parametrize(
    ("recorded", "now"),
    [((), ()), (("paths.data_dir=/x/whole",), ("paths.data_dir=/y",)), (("paths.data_dir=/default",), ())],
)
def test_otherwise_nothing_is_looked_for(looked, recorded, now):
    assert used(record(*recorded), *now)[0] == "/default"
    assert used(None)[0] == "/default"
    assert looked == []
