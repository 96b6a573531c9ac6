"""A run or a checkpoint tested once more: the record's figures again, from the file alone, and nothing touched."""

from __future__ import annotations

import hashlib
import json
import shutil
from pathlib import Path

import pytest
import torch

from vision_baselines.cli.evaluate import main
from vision_baselines.config.restore import restored
from vision_baselines.errors import ConfigError
from vision_baselines.evaluation.evaluate import evaluate as evaluated
from vision_baselines.runs.record import Status, read_record
from vision_baselines.storage import checkpoint_file


@pytest.fixture(scope="module")
def run(train_tiny, tmp_path_factory):
    """A finished tiny run's folder, named as a sweep names one."""
    folder = tmp_path_factory.mktemp("evaluated") / "model=cnn,seed=0"
    train_tiny(folder, "probe=edges", "keep_resume_states=true")
    return folder


@pytest.fixture
def evaluate(called):
    """``evaluate(*words)``: exit code, what was printed and what was complained of."""
    return called(main)


def contents(folder):
    return {
        path: (hashlib.sha256(path.read_bytes()).hexdigest(), path.stat().st_mtime_ns)
        for path in sorted(folder.rglob("*"))
        if path.is_file()
    }


def test_a_run_gives_its_record_s_metrics_again_and_its_folder_stays_as_it_is(run, evaluate, tmp_path):
    before, record = contents(run), read_record(run)
    code, out, err = evaluate(run, "--json", tmp_path / "found.json")
    found = json.loads((tmp_path / "found.json").read_text())

    assert (code, err) == (0, "")
    assert out.endswith("test/acc equals the record's\n")
    assert found["same_as_record"] is True
    assert found["metrics"] == {key: value for key, value in record.metrics.items() if not key.startswith("val/")}
    assert found["curves"] == {key: curve.model_dump() for key, curve in record.curves.items()}
    assert contents(run) == before


def test_a_checkpoint_alone_is_enough_and_other_probes_may_be_asked(run, evaluate, tmp_path):
    shutil.copy(run / "checkpoints" / "best.ckpt", tmp_path / "alone.ckpt")
    words = ["probe=shift", f"ckpt_path={tmp_path / 'alone.ckpt'}", "probe.shift.max_px=2"]
    code, _, err = evaluate(*words, "--json", tmp_path / "found.json")
    metrics = json.loads((tmp_path / "found.json").read_text())["metrics"]

    assert (code, err) == (0, "")
    assert metrics["test/acc"] == read_record(run).metrics["test/acc"] == metrics["shift/acc_0px"]
    assert "shift/acc_2px" in metrics
    assert not {"shift/acc_3px", "edges/trained"} & metrics.keys()


@pytest.mark.slow
@pytest.mark.ci
def test_a_checkpoint_beside_its_record_is_compared_and_one_without_is_not(run, evaluate, tmp_path):
    shutil.copy(run / "checkpoints" / "best.ckpt", tmp_path / "alone.ckpt")

    assert "test/acc equals the record's" in evaluate(run / "checkpoints" / "best.ckpt", "probe=none")[1]
    assert "there is no record beside" in evaluate(tmp_path / "alone.ckpt", "probe=none")[1]


@pytest.mark.slow
@pytest.mark.ci
def test_weights_other_than_the_record_s_are_not_held_against_it(run, evaluate, tmp_path):
    shutil.copytree(run, tmp_path / "run")
    path = tmp_path / "run" / "checkpoints" / "best.ckpt"
    state = checkpoint_file.load(path)
    state["state_dict"] = {key: value + torch.ones_like(value) for key, value in state["state_dict"].items()}
    checkpoint_file.save(state, path)

    assert "speaks of other weights" in evaluate(path, "probe=none")[1]
    code, _, err = evaluate(tmp_path / "run", "probe=none")
    assert (code, "does not hold the weights of this run's record" in err) == (5, True)


def test_a_figure_that_is_not_the_record_s_is_said(run, evaluate, tmp_path):
    shutil.copytree(run, tmp_path / "run")
    record = read_record(run)
    record.metrics["test/acc"] = 0.125
    record.environment.threads = 3
    record.write(tmp_path / "run")

    code, out, _ = evaluate(tmp_path / "run", "probe=none")
    assert code == 0
    assert "test/acc DIFFERS from the record's 0.125\nbits cannot be promised here: threads 3 ≠ 1" in out


@pytest.mark.slow
@pytest.mark.ci
def test_a_figure_that_differs_where_nothing_else_does_is_an_error(run, evaluate, tmp_path):
    shutil.copytree(run, tmp_path / "run")
    record = read_record(run)
    record.metrics["test/acc"] = 0.125
    record.write(tmp_path / "run")
    code, out, err = evaluate(tmp_path / "run", "probe=none")
    assert code == 4
    assert "test/acc DIFFERS from the record's 0.125" in out
    assert "nothing else is different" in err


def test_a_resume_state_is_tested_with_its_own_weights(run, evaluate):
    [state] = (run / "checkpoints").glob("resume-step=*.ckpt")
    code, out, err = evaluate(state, "probe=none")

    assert (code, err) == (0, "")
    assert "test/acc" in out


@pytest.mark.parametrize(
    ("words", "code", "message"),
    [
        ([], 2, "expected a run's folder or a checkpoint"),
        (["nowhere"], 3, "no folder nowhere; expected the folder of a run"),
        (["{tmp}"], 3, "no run.json in it); expected the folder of a run"),
        (["{run}", "probe=shifty"], 2, "probe=shifty does not exist; did you mean shift?"),
        (["{run}", "classifier.depth=3"], 2, "'classifier.depth=3' changes nothing in the recorded config"),
        (["{run}", "classifier.net.hidden_features=5"], 2, "does not fit the net of its config"),
        (["{run}", "--json", "{tmp}/no/such.json"], 5, "cannot be written"),
        (["{run}", "probe._target_=os.system"], 2, "changes nothing in the recorded config"),
    ],
)
def test_what_cannot_be_evaluated_is_one_line_and_a_code(run, evaluate, tmp_path, words, code, message):
    found, _, err = evaluate(*(word.format(run=run, tmp=tmp_path) for word in words))

    assert found == code
    assert message in err
    assert len(err.strip().splitlines()) == 1


def test_an_unfinished_run_is_refused_and_its_checkpoint_named(run, evaluate, tmp_path):
    shutil.copytree(run, tmp_path / "run")
    record = read_record(run)
    record.status = Status.INTERRUPTED
    record.write(tmp_path / "run")
    code, _, err = evaluate(tmp_path / "run")

    assert code == 3
    assert "holds a run that is interrupted; expected a finished one" in err


@pytest.mark.parametrize("damage", ["flip", "cut", "remove", "pickle"])
def test_a_damaged_checkpoint_is_refused(run, evaluate, tmp_path, damage):
    shutil.copytree(run, tmp_path / "run")
    path = tmp_path / "run" / "checkpoints" / "best.ckpt"
    content = path.read_bytes()
    if damage == "flip":
        path.write_bytes(content[:-300] + bytes([content[-300] ^ 1]) + content[-299:])
    elif damage == "cut":
        path.write_bytes(content[:500])
    elif damage == "remove":
        path.unlink()
    else:
        path = tmp_path / "loose.ckpt"
        torch.save({"state_dict": {}, "config": print}, path)
    code, _, err = evaluate(path if damage == "pickle" else tmp_path / "run")

    assert code == 5
    assert len(err.strip().splitlines()) == 1


def test_other_data_than_the_record_s_is_refused(run, evaluate, tmp_path):
    shutil.copytree(run, tmp_path / "run")
    record = read_record(run)
    record.data_sha256 = "0" * 64
    record.write(tmp_path / "run")
    code, _, err = evaluate(tmp_path / "run")

    assert code == 3
    assert "the data is not what this run was tested on (SHA-256 000000000000 then" in err


@pytest.mark.slow
def test_the_installed_command_has_the_verb(python, run, tmp_path):
    code = "import sys; from vision_baselines.cli.console import main; main()"
    done = python("-c", code, "evaluate", str(run), "probe=none", cwd=tmp_path)

    assert (done.returncode, done.stderr) == (0, "")
    assert "test/acc equals the record's" in done.stdout


@pytest.mark.parametrize(
    ("change", "place"),
    [
        ("optimizer.lr=0.5", r"classifier\.optimizer\.lr=0\.5"),
        ("model.hidden_features=[7]", r"classifier\.net\.hidden_features=\[7\]"),
        ("seed=3", r"data\.seed and classifier\.seed=3"),
    ],
)
def test_a_change_that_would_reach_nothing_is_refused_with_its_place(change, place):
    with pytest.raises(
        ConfigError, match=f"changes nothing in a recorded config, which holds {place} in its place; use"
    ):
        restored({"model": {"hidden_features": 4}, "optimizer": {"lr": 0.1}, "seed": 0}, Path("run"), [change])


def test_an_option_of_a_group_is_none_of_a_recorded_config():
    with pytest.raises(
        ConfigError, match=r"^'data=mnist' chooses a group's option, .* expected one of these, data\.…=…"
    ):
        restored({"data": {"_target_": "x", "batch_size": 4}}, Path("run"), ["data=mnist"])


@pytest.mark.slow
@pytest.mark.ci
def test_numbers_out_of_range_are_refused_as_train_refuses_them(run_tiny, tmp_path):
    run_tiny("run")
    with pytest.raises(ConfigError, match="threads is 0"):
        evaluated(tmp_path / "outputs" / "run", overrides=["threads=0"])
