"""Nothing is left of a command that was refused where there was nothing before, and nothing else is removed."""

from __future__ import annotations

from pathlib import Path

import pytest

import vision_baselines as vb
from vision_baselines.errors import ConfigError
from vision_baselines.sweep.untouched import _MADE, Before


def hydra_writes(folder: Path) -> None:
    (folder / ".hydra").mkdir(parents=True, exist_ok=True)
    for name in (".hydra/config.yaml", ".hydra/hydra.yaml", ".hydra/overrides.yaml", "train.log", "multirun.yaml"):
        (folder / name).write_text(name)


def contents(folder: Path) -> dict[str, bytes]:
    return {str(path.relative_to(folder)): path.read_bytes() if path.is_file() else b"" for path in folder.rglob("*")}


def test_what_was_not_there_goes_with_the_folders_made_for_it(tmp_path):
    for _ in range(2):
        before = Before.of(tmp_path / "outputs" / "sweep" / "job")
        hydra_writes(before.folder)
        before.restore()
        assert contents(tmp_path) == {}


def test_an_empty_folder_that_was_there_stays(tmp_path):
    (tmp_path / "job").mkdir()
    before = Before.of(tmp_path / "job")
    hydra_writes(before.folder)
    before.restore()
    assert contents(tmp_path) == {"job": b""}


@pytest.mark.parametrize("name", ["run.json", "mine.txt", ".hydra/mine.yaml", "job/train.log", "checkpoints/best.ckpt"])
def test_where_anything_else_lies_everything_stays(tmp_path, name):
    before = Before.of(tmp_path / "job")
    hydra_writes(before.folder)
    (before.folder / name).parent.mkdir(exist_ok=True)
    (before.folder / name).write_text("mine")
    found = contents(tmp_path)
    before.restore()
    assert contents(tmp_path) == found


def test_a_link_among_them_is_never_followed(tmp_path):
    (tmp_path / "else").mkdir()
    hydra_writes(tmp_path / "else" / "x")
    (tmp_path / "job").symlink_to(tmp_path / "else" / "x")
    before = Before.of(tmp_path / "job")
    before.restore()
    assert len(contents(tmp_path / "else")) == 7


def test_what_was_there_of_hydras_files_stays(tmp_path):
    hydra_writes(tmp_path / "job")
    found = contents(tmp_path)
    before = Before.of(tmp_path / "job")
    hydra_writes(before.folder)
    before.restore()
    assert contents(tmp_path) == found


def test_a_run_without_its_device_leaves_nothing_in_a_notebook(tmp_path, monkeypatch):
    import torch

    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 0)
    for word in ("trainer.accelerator=cuda", "data.batch_size=0"):
        with pytest.raises(ConfigError):
            vb.train([word, f"paths.output_dir={tmp_path / 'outputs'}"])
    assert contents(tmp_path) == {}


def test_the_files_that_a_sweep_begins_with_are_known():
    from vision_baselines.comparison.ablation import ABLATION_FILE
    from vision_baselines.comparison.search import SEARCH_FILE
    from vision_baselines.comparison.sequential import SEQUENTIAL_FILE
    from vision_baselines.search.storage import JOURNAL_FILE
    from vision_baselines.search.trials import _LOCK

    assert {ABLATION_FILE, SEARCH_FILE, SEQUENTIAL_FILE, JOURNAL_FILE, _LOCK, f"{_LOCK}.lease"} <= set(_MADE)


def test_of_a_folder_with_runs_only_what_a_refused_sweep_added_goes(tmp_path):
    (tmp_path / "sweep" / "seed=0").mkdir(parents=True)
    (tmp_path / "sweep" / "seed=0" / "run.json").write_text("{}")
    (tmp_path / "sweep" / "multirun.yaml").write_text("before")
    found = contents(tmp_path)
    before = Before.of(tmp_path / "sweep")
    (tmp_path / "sweep" / "search.journal").write_text("{}")
    before.restore()
    assert contents(tmp_path) == found
    (tmp_path / "sweep" / "search.journal").write_text("{}")
    (tmp_path / "sweep" / "seed=1").mkdir()
    (tmp_path / "sweep" / "seed=1" / "run.json").write_text("{}")
    before.restore()
    assert (tmp_path / "sweep" / "search.journal").exists()


SEARCH = ["-m", "model=fc", "hydra/sweeper=search"]


@pytest.mark.slow
@pytest.mark.ci(every=8)
@pytest.mark.parametrize(
    "words",
    [
        [*SEARCH, "optimizer.lr=interval(1e-4,1e-1)", "trainer.accelerator=cuda"],
        [*SEARCH, "trainer.max_epochs=choice(1,0)"],
        ["-m", "hydra/sweeper=until_decided", "seed=auto", "model=fc,linear", "trainer.accelerator=cuda"],
        ["-m", "ablate={dropout: model.dropout=0}", "trainer.accelerator=cuda"],
        ["-m", "data.batch_size=0,-1"],
        ["data.batch_size=0"],
        ["-m", "data.batch_size=0,-1", "hydra/launcher=basic"],
        ["trainer.accelerator=cuda"],
        ["-m", "data.batch_size=0,-1", "hydra/launcher=joblib"],
    ],
)
def test_a_refused_command_leaves_nothing_twice_in_a_row(python, root, tmp_path, words):
    command = [str(root / "scripts" / "train.py"), *words, "name=x"]
    for _ in range(2):
        ended = python(*command, f"paths.output_dir={tmp_path / 'outputs'}", cwd=tmp_path, CUDA_VISIBLE_DEVICES="")
        assert ended.returncode == 2, ended.stderr
        assert contents(tmp_path) == {}
