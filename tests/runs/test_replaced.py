"""A finished run that is trained anew keeps its result until the new one is there; what was refused leaves nothing."""

from __future__ import annotations

import json
from contextlib import suppress

import pytest

from vision_baselines.errors import ConfigError
from vision_baselines.runs import replaced
from vision_baselines.runs.files import run_files
from vision_baselines.runs.record import RunRecord, Status, read_record
from vision_baselines.runs.replaced import REPLACED, remove_replaced, replaced_files, set_aside
from vision_baselines.sweep.disk import Kind, look, remove


@pytest.fixture
def run(root, tmp_path):
    """A finished run's folder with some of its files, and one of somebody's own."""
    folder = tmp_path / "sweep" / "seed=0"
    (folder / "checkpoints").mkdir(parents=True)
    raw = json.loads(next((root / "tests" / "runs" / "released").rglob("run.json")).read_text())
    for name in ("config.yaml", "checkpoints/best.ckpt", "predictions.npz", "notes.txt"):
        (folder / name).write_text(name)
    (folder / "run.json").write_text(json.dumps(raw | {"files": []}))
    return folder


def test_what_a_run_left_waits_and_goes_once_it_is_removed(run):
    record = read_record(run)
    before = {name: (run / name).read_bytes() for name in run_files(run, record) if name != "run.json"}
    set_aside(run, record)

    assert {name: (run / REPLACED / name).read_bytes() for name in before} == before
    assert RunRecord.model_validate_json((run / REPLACED / "record.json").read_bytes()).finished
    assert read_record(run).status is Status.FAILED
    assert run_files(run, read_record(run)) == ["run.json"]
    assert [one.files for one in look(run.parent).of(Kind.REPLACED)] == [tuple(replaced_files(run))]
    (run / REPLACED / "mine.txt").write_text("mine")
    remove_replaced(run)
    assert [path.name for path in (run / REPLACED).rglob("*")] == ["mine.txt"]
    assert (run / "notes.txt").exists()


def test_clean_removes_what_waits_and_nothing_else(run):
    set_aside(run, read_record(run))
    [found] = look(run.parent).of(Kind.REPLACED)
    remove(found)
    assert not (run / REPLACED).exists()
    assert (run / "run.json").exists()
    assert (run / "notes.txt").exists()


@pytest.mark.parametrize("moment", range(5))
def test_a_kill_while_it_is_moved_loses_no_file(run, moment, monkeypatch):
    record = read_record(run)
    before = sorted((run / name).read_bytes() for name in run_files(run, record) if name != "run.json")
    moved, original = [], type(run).replace

    def killed(self, target):
        if len(moved) == moment and REPLACED in str(target) and target.name != "record.json":
            raise KeyboardInterrupt
        if REPLACED in str(target):
            moved.append(target)
        return original(self, target)

    monkeypatch.setattr(type(run), "replace", killed)
    with suppress(KeyboardInterrupt):
        set_aside(run, record)
    monkeypatch.undo()
    found = [path for path in run.rglob("*") if path.is_file() and path.name not in ("run.json", "record.json")]
    assert sorted(path.read_bytes() for path in found if path.name != "notes.txt") == before
    assert (run / REPLACED / "record.json").exists()
    assert not read_record(run).finished or moment == 0


def test_a_link_in_its_place_is_not_followed(run, tmp_path):
    (tmp_path / "elsewhere").mkdir()
    (tmp_path / "elsewhere" / "record.json").write_bytes((run / "run.json").read_bytes())
    (run / REPLACED).symlink_to(tmp_path / "elsewhere")
    assert replaced_files(run) == []
    remove_replaced(run)
    assert (tmp_path / "elsewhere" / "record.json").exists()


@pytest.mark.slow
@pytest.mark.ci
def test_a_killed_rerun_keeps_the_earlier_result_and_the_next_start_goes_on_with_the_new(
    run_tiny, tmp_path, with_callback
):
    from pytorch_lightning import Callback

    class Kill(Callback):
        def on_train_epoch_start(self, trainer, pl_module):
            if trainer.current_epoch == 1:
                left.append((folder / "run.json").read_bytes())
                raise RuntimeError("killed")

    folder, left = tmp_path / "outputs" / "x", []
    first = run_tiny("x", "seed=3")
    weights = (folder / "checkpoints" / "best.ckpt").read_bytes()
    with_callback(Kill())
    with pytest.raises(RuntimeError, match="killed"):
        run_tiny("x", "seed=3", "rerun=true")
    (folder / "run.json").write_bytes(left[0])  # a killed process notes nothing
    with_callback()
    assert not read_record(folder).finished
    assert (folder / REPLACED / "checkpoints" / "best.ckpt").read_bytes() == weights
    last = run_tiny("x", "seed=3")
    assert last.weights_sha256 == first.weights_sha256
    assert last.attempts == 2
    assert not (folder / REPLACED).exists()


def test_a_rerun_that_is_refused_leaves_the_earlier_result_in_its_place(run_tiny, tmp_path):
    folder = tmp_path / "outputs" / "x"
    run_tiny("x", "trainer.max_epochs=1")

    def there():
        return {path: path.read_bytes() for path in folder.rglob("*") if path.is_file() and "lock" not in path.name}

    before = there()
    with pytest.raises(ConfigError, match=r"data\.batch_size is 1000"):
        run_tiny("x", "trainer.max_epochs=1", "data.batch_size=1000", "rerun=true")
    assert there() == before
    assert not (folder / REPLACED).exists()


@pytest.mark.slow
def test_probes_that_do_not_fit_are_named_in_one_message(run_tiny):
    with pytest.raises(ConfigError) as found:
        run_tiny("x", "probe=all", "data.permute_pixels=true")
    assert "probe.shift" in str(found.value)
    assert "probe.corruptions" in str(found.value)
    assert "the others: probe=[edges,depth" in str(found.value)
    assert "\n" not in str(found.value)
    assert replaced.REPLACED not in str(found.value)
