"""Checkpoint files: whole or not there, checked before they are believed, and free of code."""

from __future__ import annotations

import errno
import hashlib
import os
import pickle

import pytest
import torch

from vision_baselines.errors import ConfigError, StorageError
from vision_baselines.runs.record import Status, read_record
from vision_baselines.storage import checkpoint_file
from vision_baselines.sweep.status import status_of
from vision_baselines.training import checkpoints as checkpoints_module
from vision_baselines.training.checkpoints import Checkpoints
from vision_baselines.training.resume_files import latest_good, resume_files

STATE = {"state_dict": {"w": torch.arange(3.0)}, "config": {"seed": 0}, "global_step": 7}


@pytest.fixture(scope="module")
def trained(train_tiny, tmp_path_factory):
    """A finished run's checkpoints folder and record, with both resume states kept."""
    folder = tmp_path_factory.mktemp("checkpoints") / "run"
    return train_tiny(folder, "checkpoint_every_n_steps=2", "keep_resume_states=true"), folder / "checkpoints"


def test_every_file_of_a_run_loads_with_weights_only(trained):
    _, folder = trained
    files = sorted(folder.glob("*.ckpt"))
    assert len(files) == 3  # the best, the last state and the one before it
    for path in files:
        assert "state_dict" in torch.load(path, weights_only=True)


def test_every_file_has_its_checksum_beside_it_and_nothing_else_is_there(trained):
    _, folder = trained
    for path in folder.glob("*.ckpt"):
        assert (folder / f"{path.name}.sha256").read_text() == hashlib.sha256(path.read_bytes()).hexdigest()
    assert {path.suffix for path in folder.iterdir()} == {".ckpt", ".sha256"}


def test_the_config_travels_inside_as_plain_data(trained):
    record, folder = trained
    for path in folder.glob("*.ckpt"):
        assert torch.load(path, weights_only=True)["config"] == record.config


def test_the_best_file_holds_the_weights_that_were_tested(trained):
    from vision_baselines.models.cnn import CNN
    from vision_baselines.training.results import weights_sha256

    record, folder = trained
    net = CNN((1, 8, 8), 10, channels=(2, 3), hidden_features=4)
    best = torch.load(folder / "best.ckpt", weights_only=True)
    net.load_state_dict({k.removeprefix("net."): v for k, v in best["state_dict"].items() if k.startswith("net.")})
    assert weights_sha256(net) == record.weights_sha256
    assert best["epoch"] == record.best_epoch


def test_saving_and_loading_gives_the_same_state(tmp_path):
    checkpoint_file.save(STATE, tmp_path / "a.ckpt")
    loaded = checkpoint_file.load(tmp_path / "a.ckpt")
    assert torch.equal(loaded["state_dict"]["w"], torch.arange(3.0))
    assert loaded["config"] == {"seed": 0}


def test_a_missing_file_is_one_line(tmp_path):
    with pytest.raises(StorageError, match=r"cannot read checkpoint .*nothing\.ckpt: No such file"):
        checkpoint_file.load(tmp_path / "nothing.ckpt")


def test_an_empty_file_is_refused(tmp_path):
    (tmp_path / "a.ckpt").touch()
    with pytest.raises(StorageError, match="is empty"):
        checkpoint_file.load(tmp_path / "a.ckpt")


def test_one_changed_byte_is_found_out(tmp_path):
    path = tmp_path / "a.ckpt"
    checkpoint_file.save(STATE, path)
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 1
    path.write_bytes(content)
    with pytest.raises(StorageError, match="checksum mismatch"):
        checkpoint_file.load(path)


@pytest.mark.parametrize("kept", [1, 50, 400])
def test_a_torn_file_without_checksum_is_refused_in_one_line(tmp_path, kept):
    path = tmp_path / "a.ckpt"
    checkpoint_file.save(STATE, path)
    path.with_name("a.ckpt.sha256").unlink()
    path.write_bytes(path.read_bytes()[:kept])
    with pytest.raises(StorageError) as error:
        checkpoint_file.load(path)
    assert len(str(error.value).splitlines()) == 1


def test_a_file_that_is_no_checkpoint_is_refused(tmp_path):
    torch.save([1, 2], tmp_path / "a.ckpt")
    with pytest.raises(StorageError, match="has no state_dict"):
        checkpoint_file.load(tmp_path / "a.ckpt")


class Bomb:
    def __reduce__(self):
        return os.mkdir, (os.environ["BOMB"],)


@pytest.mark.parametrize("how", ["torch", "pickle"])
def test_code_inside_a_checkpoint_is_refused_and_does_not_run(tmp_path, monkeypatch, how):
    monkeypatch.setenv("BOMB", str(tmp_path / "exploded"))
    content = {"state_dict": {}, "config": Bomb()}
    if how == "torch":
        torch.save(content, tmp_path / "a.ckpt")
    else:
        (tmp_path / "a.ckpt").write_bytes(pickle.dumps(content, protocol=2))
    with pytest.raises(StorageError, match=r"nothing was run|torn or not a checkpoint|is not a checkpoint"):
        checkpoint_file.load(tmp_path / "a.ckpt")
    assert not (tmp_path / "exploded").exists()


def test_a_full_disk_keeps_the_earlier_file_and_says_so(tmp_path, monkeypatch):
    path = tmp_path / "a.ckpt"
    checkpoint_file.save(STATE, path)

    def full(descriptor):
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(StorageError, match="disk full"):
        checkpoint_file.save({**STATE, "global_step": 8}, path)
    monkeypatch.undo()
    assert checkpoint_file.load(path)["global_step"] == 7
    assert sorted(p.name for p in tmp_path.iterdir()) == ["a.ckpt", "a.ckpt.sha256"]


def test_a_kill_between_checksum_and_file_leaves_the_earlier_file_loadable(tmp_path, monkeypatch):
    path = tmp_path / "a.ckpt"
    checkpoint_file.save(STATE, path)
    write = checkpoint_file.write_atomically

    def killed_after_the_checksum(target, content):
        if target.suffix == ".ckpt":
            raise KeyboardInterrupt
        write(target, content)

    monkeypatch.setattr(checkpoint_file, "write_atomically", killed_after_the_checksum)
    with pytest.raises(KeyboardInterrupt):
        checkpoint_file.save({**STATE, "global_step": 8}, path)
    assert checkpoint_file.load(path)["global_step"] == 7


def test_removing_a_checkpoint_removes_its_checksum(tmp_path):
    checkpoint_file.save(STATE, tmp_path / "a.ckpt")
    checkpoint_file.remove(tmp_path / "a.ckpt")
    assert not list(tmp_path.iterdir())


def test_the_latest_state_that_can_be_trusted_is_taken(tmp_path):
    for step in (9, 100, 20):
        checkpoint_file.save({**STATE, "global_step": step}, tmp_path / f"resume-step={step:08d}.ckpt")
    assert [path.name[-8:-5] for path in resume_files(tmp_path)] == ["100", "020", "009"]
    (tmp_path / "resume-step=00000100.ckpt").write_bytes(b"half")
    path, step, complaints = latest_good(tmp_path)
    assert (path, step) == (tmp_path / "resume-step=00000020.ckpt", 20)
    assert len(complaints) == 1


def test_without_any_state_training_starts_at_zero(tmp_path):
    assert latest_good(tmp_path / "nothing") == (None, 0, [])


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"every_n_steps": 0}, "checkpoint_every_n_steps is 0; expected a whole number of at least 1"),
        ({"mode": "best"}, r"callbacks\.checkpoints\.mode is 'best'; expected max or min"),
    ],
)
def test_options_out_of_range_are_refused_by_key(tmp_path, options, message):
    with pytest.raises(ConfigError, match=message):
        Checkpoints(str(tmp_path), **options)


class Clock:
    """Stands still but for a step of training, and for each look at it."""

    def __init__(self, look_s: float) -> None:
        self.now, self.look_s = 0.0, look_s

    def monotonic(self) -> float:
        self.now += self.look_s
        return self.now


@pytest.mark.few(1)
# six steps an epoch, cut in the first steps of epoch 3
@pytest.mark.parametrize(
    ("step_s", "look_s", "saved_at"), [(1, 0, []), (4, 0, [12]), (10, 0, [18, 12, 6]), (10, 2, [18, 6])]
)
def test_between_epochs_a_state_is_saved_by_the_clock_too(step_s, look_s, saved_at, run_tiny, monkeypatch, tmp_path):
    clock, on_train_batch_end = Clock(look_s), Checkpoints.on_train_batch_end
    steps, taken = [], [0]

    def step(self, trainer, *rest):
        on_train_batch_end(self, trainer, *rest)
        clock.now += step_s * (trainer.global_step - taken[0])  # several steps may be taken at once
        taken[0] = trainer.global_step
        if trainer.current_epoch == 3:
            raise RuntimeError("pulled the plug")

    def save(self, trainer, **options):
        steps.append(trainer.global_step)
        whole_save(self, trainer, **options)

    whole = run_tiny("whole", "trainer.max_epochs=5")
    whole_save = Checkpoints._save
    with monkeypatch.context() as patched:
        patched.setattr(checkpoints_module, "time", clock)
        patched.setattr(Checkpoints, "on_train_batch_end", step)
        patched.setattr(Checkpoints, "_save", save)
        with pytest.raises(RuntimeError, match="plug"):
            run_tiny("cut", "trainer.max_epochs=5")
    assert steps == saved_at[::-1]
    folder = tmp_path / "outputs" / "cut"
    read_record(folder).model_copy(update={"status": Status.RUNNING}).write(folder)  # as a kill leaves it
    [found] = status_of(folder).runs
    assert ("resumes it" in found.said, "starts it again" in found.said) == (bool(saved_at), not saved_at)
    assert run_tiny("cut", "trainer.max_epochs=5").final_weights_sha256 == whole.final_weights_sha256
