"""What lies where when an export is repeated, interrupted, or cannot write."""

from __future__ import annotations

import json
import os

import pytest

from vision_baselines.api import export as api_export
from vision_baselines.api import load_run
from vision_baselines.cli.export import main
from vision_baselines.evaluation import export as module
from vision_baselines.runs.record import read_record

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def runs(train_tiny, tmp_path_factory):
    """Two seeds of a tiny net, one sweep, and a run of another net and other classes."""
    folder = tmp_path_factory.mktemp("export")
    for seed in (0, 1):
        train_tiny(folder / "sweep" / f"seed={seed}", f"seed={seed}", "name=sweep")
    train_tiny(folder / "other", "data.num_classes=2", "data.classes=[4,2]")
    return folder


@pytest.fixture
def export(called):
    """``export(*words)``: exit code, what was printed and what was complained of."""
    return called(main)


def names(folder):
    return sorted(path.name for path in folder.iterdir())


def test_the_same_command_twice_and_the_other_format_leave_one_card_for_both(runs, export, tmp_path):
    run = runs / "sweep" / "seed=0"
    for target in ("net.pt2", "net.pt2", "net.onnx"):
        assert export(run, tmp_path / target)[0] == 0
    content = (tmp_path / "net.onnx").read_bytes()
    assert export(run, tmp_path / "net.onnx")[0] == 0
    assert (tmp_path / "net.onnx").read_bytes() == content
    assert names(tmp_path) == ["net.md", "net.onnx", "net.pt2"]
    text = (tmp_path / "net.md").read_text()
    assert (text.count("\n### net\\.pt2") or text.count("\n### net.pt2"), text.count("<!-- file")) == (1, 2)
    record = read_record(run)
    for said in (record.fingerprint, record.weights_sha256, "seeds 0, 1; this: 0", "python scripts/train.py"):
        assert said in text


def test_another_net_under_the_same_name_replaces_its_own_file_and_not_the_card_of_another(runs, export, tmp_path):
    assert export(runs / "sweep" / "seed=0", tmp_path / "net.pt2")[0] == 0
    assert export(runs / "other", tmp_path / "net.pt2")[0] == 0
    text = (tmp_path / "net.md").read_text()
    assert "for each of 2 classes" in text
    code, _, err = export(runs / "sweep" / "seed=1", tmp_path / "net.onnx")
    assert (code, names(tmp_path)) == (2, ["net.md", "net.pt2"])
    assert "is the model card of net.pt2, which holds another net" in err
    assert (tmp_path / "net.md").read_text() == text


def test_a_card_that_somebody_wrote_into_is_kept_unless_forced(runs, export, tmp_path):
    run, target = runs / "other", tmp_path / "net.pt2"
    assert export(run, target)[0] == 0
    (tmp_path / "net.md").write_text((tmp_path / "net.md").read_text() + "\nLicence: ours\n")
    code, _, err = export(run, target)
    assert code == 2
    assert "was changed since export wrote it" in err
    assert export(run, target, "--force")[0] == 0
    assert "Licence: ours" not in (tmp_path / "net.md").read_text()


@pytest.mark.parametrize("moment", ["_pictures", "agreement", "_latency", "card"])
def test_an_interrupt_leaves_nothing_and_what_was_there_stays(moment, runs, export, tmp_path, monkeypatch):
    def interrupted(*_, **__):
        raise KeyboardInterrupt

    monkeypatch.setattr(module, moment, interrupted)
    (tmp_path / "net.pt2").write_bytes(b"before")
    code, out, err = export(runs / "other", tmp_path / "net.pt2")
    assert (code, out) == (130, "")
    assert err.endswith("ended by SIGINT\n")
    assert names(tmp_path) == ["net.pt2"]
    assert (tmp_path / "net.pt2").read_bytes() == b"before"


@pytest.mark.parametrize("call", [1, 2])
@pytest.mark.parametrize("error", [KeyboardInterrupt(), OSError(28, "No space left on device")])
def test_a_disk_that_fills_while_it_is_written_leaves_what_was_there(call, error, runs, export, tmp_path, monkeypatch):
    calls, fsync = [], os.fsync

    def full(descriptor):
        calls.append(descriptor)
        if len(calls) == call:
            raise error
        fsync(descriptor)

    (tmp_path / "net.pt2").write_bytes(b"before")
    monkeypatch.setattr(os, "fsync", full)
    code, _, err = export(runs / "other", tmp_path / "net.pt2")
    assert code == (130 if isinstance(error, KeyboardInterrupt) else 5)
    assert "Traceback" not in err
    assert names(tmp_path) == ["net.pt2"]
    assert (tmp_path / "net.pt2").read_bytes() == b"before"


def test_weights_that_are_not_the_records_are_refused(runs, export, tmp_path):
    record = read_record(runs / "other")
    record.weights_sha256 = "0" * 64
    run = tmp_path / "run"
    (run / "checkpoints").mkdir(parents=True)
    for path in (runs / "other" / "checkpoints").iterdir():
        (run / "checkpoints" / path.name).write_bytes(path.read_bytes())
    record.write(run)
    code, _, err = export(run, tmp_path / "net.pt2")
    assert code == 5
    assert "does not hold the weights of this run's record" in err
    (run / "checkpoints" / "best.ckpt").unlink()
    code, _, err = export(run, tmp_path / "net.pt2")
    assert code == 5
    assert "cannot read checkpoint" in err


def test_other_test_images_are_refused_and_without_them_the_card_says_so(runs, export, tmp_path):
    record = read_record(runs / "other")
    run = tmp_path / "run"
    (run / "checkpoints").mkdir(parents=True)
    for path in (runs / "other" / "checkpoints").iterdir():
        (run / "checkpoints" / path.name).write_bytes(path.read_bytes())
    record.test_sha256 = "0" * 64
    record.write(run)
    code, _, err = export(run, tmp_path / "net.pt2")
    assert code == 3
    assert "not those that" in err
    assert "--no-check" in err
    assert not (tmp_path / "net.pt2").exists()
    code, out, _ = export(run, tmp_path / "net.pt2", "--no-check", "--json")
    found = json.loads(out)["compared"]
    assert (code, found["on"], found["images"], found["accuracy"]) == (0, "random pictures", 64, None)
    assert "**It was not compared on the test images.**" in (tmp_path / "net.md").read_text()


def test_the_interface_of_python_gives_the_same_and_leaves_torch_as_it_was(runs, tmp_path):
    import torch

    threads, drawn = torch.get_num_threads(), torch.get_rng_state()
    found = api_export(load_run(runs / "other"), tmp_path / "net.pt2")
    assert found.agreement.same_class == found.agreement.images
    assert found.class_names == tuple(load_run(runs / "other").class_names)
    assert found.path.stat().st_size == found.size_bytes
    assert torch.get_num_threads() == threads
    assert torch.equal(torch.get_rng_state(), drawn)


def test_a_net_lies_in_its_runs_own_folder_and_the_run_is_skipped_and_trained_again_all_the_same(
    train_tiny, export, tmp_path
):
    run = tmp_path / "run"
    train_tiny(run)
    assert export(run, run / "net.pt2")[0] == 0
    train_tiny(run)
    train_tiny(run, "rerun=true")
    assert (run / "net.pt2").exists()
    assert read_record(run).finished
