"""Rows 12 to 17: what happens to a run whose checkpoints were damaged, swapped or made for another run."""

from __future__ import annotations

import hashlib
import json
import os
import pickle
import re
import shutil
from pathlib import Path, PosixPath

import pytest
import torch

from vision_baselines.errors import ConfigError, StorageError
from vision_baselines.runs.record import Status, read_record
from vision_baselines.storage import checkpoint_file
from vision_baselines.training.resume_files import resume_files

LIGHTNING = "pytorch_lightning.callbacks"
OFTEN = "checkpoint_every_n_steps=4"
KEEP = "keep_resume_states=true"


@pytest.fixture(scope="module")
def stopped(train_tiny, tiny, tmp_path_factory):
    """A run that looks as if it had been killed after its last state: two states, no result; and what it had found."""
    folder = tmp_path_factory.mktemp("stopped") / "job"
    finished = train_tiny(folder, OFTEN, KEEP)
    content = json.loads((folder / "run.json").read_text())
    content.update(status="running", metrics={}, weights_sha256=None)
    (folder / "run.json").write_text(json.dumps(content))
    return folder, finished


@pytest.fixture
def resume(stopped, run_command, folder):
    """``resume(damage, *words)``: damage the states of a copy of the killed run, and start it again."""

    def run(damage, *words):
        shutil.copytree(stopped[0], folder)
        damage(folder / "checkpoints")
        return run_command(OFTEN, *words)

    return run


def latest(folder):
    return resume_files(folder)[0]


def truncate(path):
    path.write_bytes(path.read_bytes()[:1000])


def flip(path):
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 8
    path.write_bytes(content)


DAMAGE = {
    12: {
        "truncated": (truncate, "checksum mismatch"),
        "empty": (lambda path: path.write_bytes(b""), "is empty"),
        "text": (lambda path: path.write_text("see you later"), "checksum mismatch"),
        "without its checksum": (lambda path: path.with_name(f"{path.name}.sha256").unlink(), "has no"),
    },
    13: {"with one bit flipped": (flip, "checksum mismatch")},
}
CASES = [
    pytest.param(
        row,
        how,
        id=f"row {row}: {how}",
        marks=[pytest.mark.slow] * (how in ("text", "truncated", "without its checksum")),
    )
    for row, hows in DAMAGE.items()
    for how in hows
]


@pytest.mark.slow
@pytest.mark.ci(every=2)
@pytest.mark.parametrize(("row", "how"), CASES)
def test_rows_12_13_a_damaged_state_is_named_and_the_one_before_it_is_used(resume, folder, stopped, row, how):
    damage, reason = DAMAGE[row][how]
    answer = resume(lambda states: damage(latest(states)))
    assert answer.code == 0, answer
    assert re.search(r"checkpoint .*resume-step=00000012\.ckpt.*; going back", answer.out)
    assert reason in answer.out
    record = read_record(folder)
    assert record.final_weights_sha256 == stopped[1].final_weights_sha256
    assert record.history == stopped[1].history


@pytest.mark.slow
@pytest.mark.ci(every=2)
@pytest.mark.parametrize(("row", "how"), CASES)
def test_rows_12_13_where_every_state_is_damaged_nothing_is_trained_unasked(
    resume, run_command, folder, noted, row, how
):
    damage, reason = DAMAGE[row][how]
    answer = resume(lambda states: [damage(path) for path in resume_files(states)])
    assert answer.code == 5, answer
    assert reason in answer.message
    assert len(answer.message.splitlines()) <= 2
    noted(row, f"every checkpoint {how}", answer)
    assert run_command(OFTEN, "rerun=true").code == 0
    assert read_record(folder).attempts == 1


@pytest.mark.slow
@pytest.mark.ci
def test_row_12_weights_of_the_best_epoch_that_were_lost_are_written_again(resume, folder, stopped):
    answer = resume(lambda states: truncate(states / "best.ckpt"))
    assert answer.code == 0, answer
    assert "written again" in answer.out
    assert read_record(folder).weights_sha256 == stopped[1].weights_sha256
    checkpoint_file.load(folder / "checkpoints" / "best.ckpt", checksum_needed=True)


@pytest.mark.slow
@pytest.mark.ci
def test_row_12_a_record_that_is_no_record_is_refused_by_name(resume, folder, noted, run_command):
    answer = resume(lambda states: (states.parent / "run.json").write_text('{"half a rec'))
    assert answer.code == 5
    assert "run.json" in answer.message
    noted(12, "a run.json cut off", answer)
    assert run_command(OFTEN, "rerun=true").code == 0


class Bomb:
    def __reduce__(self):
        return os.mkdir, (os.environ["BOMB"],)


def zipped(path):
    torch.save({"state_dict": {}, "global_step": 99, "config": Bomb()}, path)


def pickled(path):
    path.write_bytes(pickle.dumps({"state_dict": {}, "global_step": 99, "config": Bomb()}, protocol=2))


@pytest.mark.slow
@pytest.mark.ci(every=2)
@pytest.mark.parametrize("forced", [False, True], ids=["", "TORCH_FORCE_NO_WEIGHTS_ONLY_LOAD=1"])
@pytest.mark.parametrize("write", [zipped, pickled])
def test_row_14_a_checkpoint_that_runs_code_is_refused_and_not_run(resume, monkeypatch, tmp_path, noted, write, forced):
    monkeypatch.setenv("BOMB", str(tmp_path / "exploded"))
    if forced:
        monkeypatch.setenv("TORCH_FORCE_NO_WEIGHTS_ONLY_LOAD", "1")

    def plant(states):
        for path in resume_files(states):
            write(path)
            digest = hashlib.sha256(path.read_bytes()).hexdigest()
            path.with_name(f"{path.name}.sha256").write_text(digest)

    answer = resume(plant)
    assert answer.code == 5, answer
    assert not (tmp_path / "exploded").exists()
    if write is zipped:
        assert "nothing was run" in answer.message
        noted(14, "a pickle that runs code" + ", TORCH_FORCE_NO_WEIGHTS_ONLY_LOAD=1" * forced, answer)


def test_row_15_a_config_of_paths_is_stored_as_plain_text(compose, tmp_path):
    from omegaconf import open_dict

    from vision_baselines.training.run import train

    cfg = compose("data=noise", "trainer.max_epochs=1", "+trainer.limit_train_batches=2", "logger=none",
                  "callbacks.learning_rate=null")  # fmt: skip
    with open_dict(cfg):
        cfg.model.note = PosixPath("/some/where")
        del cfg.model["note"]
        cfg.comparison.note = PosixPath("/some/where")
    train(cfg)
    best = tmp_path / "outputs" / "run" / "checkpoints" / "best.ckpt"
    assert torch.load(best, weights_only=True)["config"]["comparison"]["note"] == "/some/where"


def test_row_15_state_of_no_plain_type_is_refused_by_its_key_before_it_is_written(tmp_path, noted):
    state = {"state_dict": {}, "callbacks": {"Mine": {"seen": [1, Path("/x")]}}}
    with pytest.raises(ConfigError, match=r"pathlib.PosixPath at callbacks\.Mine\.seen\[1\]") as error:
        checkpoint_file.save(state, tmp_path / "a.ckpt")
    assert not list(tmp_path.iterdir())
    noted(15, "a callback of one's own whose state holds a path", (str(error.value), 2))


@pytest.mark.slow
@pytest.mark.ci(every=2)
@pytest.mark.parametrize(
    "words",
    [
        ["model=fc", "model.hidden_features=[8]", "optimizer=sgd", "scheduler=plateau"],
        ["scheduler=one_cycle", f"+callbacks.early={{_target_:{LIGHTNING}.EarlyStopping,monitor:val/loss}}"],
        ["scheduler=none", "data.num_workers=1"],
    ],
    ids=["fc sgd plateau", "cnn one_cycle early stopping", "workers"],
)  # fmt: skip
def test_row_16_every_checkpoint_loads_with_weights_only(run_command, folder, words):
    assert run_command(OFTEN, KEEP, *words).code == 0
    files = list((folder / "checkpoints").glob("*.ckpt"))
    assert len(files) == 3
    for path in files:
        torch.load(path, weights_only=True)


@pytest.mark.slow
@pytest.mark.ci(every=2)
@pytest.mark.parametrize(
    ("word", "said"),
    [
        ("optimizer.lr=0.5", "optimizer.lr: 0.001 → 0.5"),
        ("model.hidden_features=5", "model.hidden_features: 4 → 5"),
        ("data.source.split_seed=7", "data.source.split_seed: (absent) → 7"),
        ("threads=2", "threads: 1 → 2"),
    ],
)
def test_row_17_resuming_with_another_config_lists_the_differences(resume, folder, noted, word, said):
    word = f"++{word}" if "split_seed" in word else word
    answer = resume(lambda states: None, word)
    assert answer.code == 2, answer
    assert said in answer.message
    assert read_record(folder).status is Status.RUNNING
    assert len(resume_files(folder / "checkpoints")) == 2
    noted(17, f"a killed run again with `{word}`", answer)


@pytest.mark.slow
@pytest.mark.ci
def test_row_17_resuming_on_other_data_under_the_same_config_is_refused_until_it_is_put_back(
    resume, run_command, folder, monkeypatch, noted
):
    from vision_baselines.data.sources import Noise

    load = Noise.load

    def altered(self):
        splits = load(self)
        splits.train.images[0, 0, 0, 0] ^= 1
        return splits

    with monkeypatch.context() as patched:
        patched.setattr(Noise, "load", altered)
        answer = resume(lambda states: None)
        again = run_command(OFTEN)
    assert answer.code == again.code == 3
    assert "rerun=true" in answer.message
    noted(17, "a killed run again after one pixel of its data changed", answer)
    assert run_command(OFTEN).code == 0


@pytest.mark.slow
@pytest.mark.ci
def test_row_17_two_runs_cannot_share_a_folder_of_checkpoints(run_command, folder, tmp_path, noted):
    shared = f"callbacks.checkpoints.dirpath={tmp_path}/shared"
    assert run_command(shared).code == 0
    kept = {path.name: path.read_bytes() for path in (tmp_path / "shared").iterdir()}
    answer = run_command(shared, "seed=1", "name=other")
    assert answer.code == 2, answer
    assert {path.name: path.read_bytes() for path in (tmp_path / "shared").iterdir()} == kept
    noted(17, "a second run with the `callbacks.checkpoints.dirpath` of the first", answer)


def test_row_13_a_checksum_that_was_altered_too_does_not_hide_torn_bytes(tmp_path):
    path = tmp_path / "a.ckpt"
    checkpoint_file.save({"state_dict": {"w": torch.ones(100)}}, path)
    truncate(path)
    digest = hashlib.sha256(path.read_bytes()).hexdigest()
    path.with_name("a.ckpt.sha256").write_text(digest)
    with pytest.raises(StorageError, match="torn"):
        checkpoint_file.load(path)
