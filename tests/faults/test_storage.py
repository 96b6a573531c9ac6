"""Rows 18 and 19: disks that are full and folders that cannot be written; real ones, where the system lets us."""

from __future__ import annotations

import contextlib
import json
import os
import re
import shutil
import subprocess
import tempfile
from pathlib import Path

import pytest
import pytorch_lightning as pl

from vision_baselines.runs.record import Status, read_record
from vision_baselines.storage import checkpoint_file
from vision_baselines.storage.atomic import write_atomically
from vision_baselines.training.resume_files import resume_files
from vision_baselines.training.tensorboard_logger import RunTensorBoardLogger

OFTEN = "checkpoint_every_n_steps=4"


def done(*command):
    return shutil.which(command[0]) and subprocess.run(command, capture_output=True, check=False).returncode == 0


@contextlib.contextmanager
def small_disk(place, size_bytes):
    place.mkdir()
    if not done("mount", "-t", "tmpfs", "-o", f"size={size_bytes}", "tmpfs", str(place)):
        pytest.skip("no disk can be mounted here")
    try:
        yield place
    finally:
        subprocess.run(["umount", str(place)], check=True)


def fill(path):
    with path.open("wb", buffering=0) as file, contextlib.suppress(OSError):
        while True:
            file.write(bytes(4096))


class FillDisk(pl.Callback):
    """Leaves a disk without a byte from a step on."""

    def __init__(self, place, step=6):
        self.place, self.step = place, step

    def on_train_batch_end(self, trainer, *rest):
        if trainer.global_step == self.step:
            for logger in trainer.loggers:
                logger.experiment.add_text("more", "than is left " * 4096)
            fill(self.place / "filler")


@pytest.mark.slow
@pytest.mark.ci
def test_row_18_a_disk_that_fills_up_keeps_the_last_checkpoint_and_ends_in_5(
    run_command, with_callback, tmp_path, noted
):
    with small_disk(tmp_path / "disk", 1_000_000) as disk:
        with_callback(FillDisk(disk))
        answer = run_command(OFTEN, where=disk)
        assert answer.code == 5, answer
        assert "disk full at" in answer.message
        folder = disk / "run" / "job"
        assert [path.name for path in resume_files(folder / "checkpoints")] == ["resume-step=00000004.ckpt"]
        checkpoint_file.load(resume_files(folder / "checkpoints")[0], checksum_needed=True)
        assert not list(folder.rglob(".*.ckpt.*"))
        noted(18, "a disk that fills up before a checkpoint", answer)
        (disk / "filler").unlink()
        with_callback()
        assert run_command(OFTEN, where=disk).code == 0
        assert read_record(folder).finished


@pytest.mark.slow
@pytest.mark.ci
def test_row_18_a_disk_that_fills_up_under_the_event_file_never_ends_in_0(run_command, with_callback, tmp_path, noted):
    with small_disk(tmp_path / "disk", 1_000_000) as disk:
        with_callback(FillDisk(disk))
        answer = run_command(
            "logger=tensorboard", "trainer.log_every_n_steps=1", "checkpoint_every_n_steps=8", where=disk
        )
        assert answer.code == 5, answer
        assert "disk full at" in answer.message
        assert len(answer.err.strip().splitlines()) <= 2
        # its thread and the run find out at the same time; who is first is told
        noted(18, "a disk that fills up before the next event", (re.sub(r"(/run/job).*", r"\1…", answer.message), 5))


@pytest.mark.filterwarnings("ignore::pytest.PytestUnhandledThreadExceptionWarning")
def test_row_18_a_disk_that_fills_up_under_the_very_last_event_is_not_passed_over(tmp_path):
    with small_disk(tmp_path / "disk", 100_000) as disk:
        logger = RunTensorBoardLogger(str(disk))
        logger.experiment.add_text("more", "than is left " * 40_960)
        with pytest.raises(OSError, match="No space left"):
            logger.close()


def test_row_18_a_disk_too_small_for_the_checkpoints_is_said_before_training(run_command, tmp_path, noted):
    with small_disk(tmp_path / "disk", 1_000_000) as disk:
        answer = run_command("model.hidden_features=4096", where=disk)
        assert answer.code == 5, answer
        assert "checkpoints take at least" in answer.message
        assert not list(disk.rglob("*.ckpt"))
        noted(18, "a disk too small for the net", answer)


def test_row_18_a_limit_on_the_size_of_files_is_a_full_disk(tmp_path):
    reader, writer = os.pipe()
    child = os.fork()
    if child == 0:  # the limit is the whole process's
        import resource
        import signal

        signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
        resource.setrlimit(resource.RLIMIT_FSIZE, (100, 100))
        try:
            checkpoint_file.save({"state_dict": {"w": bytes(5000)}}, tmp_path / "a.ckpt")
        except BaseException as error:
            os.write(writer, str(error).encode())
        os._exit(0)
    os.waitpid(child, 0)
    os.close(writer)
    with os.fdopen(reader) as pipe:
        assert pipe.read().startswith("disk full at")
    assert not list(tmp_path.glob("*.ckpt"))


def test_row_18_a_device_that_is_always_full_is_a_full_disk(tmp_path, monkeypatch):
    if not Path("/dev/full").exists():
        pytest.skip("no /dev/full here")
    target = tmp_path / "a.ckpt"
    target.write_bytes(b"what was there")
    real_open = os.open
    with monkeypatch.context() as patch:
        patch.setattr(os, "open", lambda *arguments: real_open("/dev/full", os.O_WRONLY))
        with pytest.raises(OSError, match="No space left"):
            write_atomically(target, b"new")
    assert target.read_bytes() == b"what was there"


def read_only(place):
    """How a folder is made one that nobody can write to, root included; and how that is undone."""
    place.mkdir()
    if done("chattr", "+i", str(place)):
        return ["chattr", "-i", str(place)]
    if done("mount", "--bind", str(place), str(place)) and done("mount", "-o", "remount,ro,bind", str(place)):
        return ["umount", str(place)]
    pytest.skip("no folder can be made read-only for root here")
    return None


@pytest.mark.slow
@pytest.mark.ci
@pytest.mark.parametrize("mode", ["single run", "sweep"])
def test_row_19_an_immutable_output_folder_is_said_before_training(run_command, tmp_path, noted, mode):
    undo = read_only(tmp_path / "fixed")
    try:
        words = ["-m", "seed=0,1"] if mode == "sweep" else []
        answer = run_command(*words, where=tmp_path / "fixed")
    finally:
        subprocess.run(undo, check=True)
    assert answer.code == 5, answer
    assert "fixed" in answer.message
    assert len(answer.err.strip().splitlines()) <= 2
    assert not list((tmp_path / "fixed").iterdir())
    noted(19, f"an immutable output folder, {mode}", answer)


@pytest.mark.slow
@pytest.mark.ci
def test_row_19_a_checkpoint_folder_that_cannot_be_written_is_said_before_training(
    run_command, with_callback, tmp_path, folder, noted
):
    class Never(pl.Callback):
        def on_fit_start(self, *rest):
            raise AssertionError("training began")

    with_callback(Never())
    undo = read_only(tmp_path / "fixed")
    try:
        answer = run_command(f"callbacks.checkpoints.dirpath={tmp_path}/fixed/checkpoints")
    finally:
        subprocess.run(undo, check=True)
    assert answer.code == 5, answer
    assert "cannot write in" in answer.message
    assert read_record(folder).status is Status.FAILED
    noted(19, "an immutable checkpoint folder", answer)


@pytest.mark.slow
@pytest.mark.ci
def test_row_19_a_file_where_the_output_folder_should_be_is_said_before_training(run_command, tmp_path, noted):
    (tmp_path / "file").write_text("mine")
    answer = run_command(where=tmp_path / "file")
    assert answer.code == 5, answer
    assert (tmp_path / "file").read_text() == "mine"
    noted(19, "a file in the place of the output folder", answer)


@pytest.mark.slow
@pytest.mark.ci
def test_row_19_a_folder_of_somebody_else_is_said_before_training(command_line, tmp_path, noted):
    if os.getuid() != 0:
        pytest.skip("only root can be somebody else")
    (tmp_path / "theirs").mkdir(mode=0o755)
    reader, writer = os.pipe()
    child = os.fork()
    if child == 0:  # in a process of its own there is no way back to root
        for path in [tmp_path, *tmp_path.parents]:
            if path == Path(tempfile.gettempdir()):
                break
            path.chmod(0o755)  # whoever comes may walk through, however deep the test's folder lies
        os.setgid(65534)
        os.setuid(65534)
        answer = command_line("name=run", where=tmp_path / "theirs")
        os.write(writer, json.dumps([answer.code, answer.message]).encode())
        os._exit(0)
    os.waitpid(child, 0)
    os.close(writer)
    with os.fdopen(reader) as pipe:
        code, message = json.loads(pipe.read())
    assert (code, "Permission denied" in message) == (5, True), message
    noted(19, "an output folder of somebody else", (message, code))
