"""Rows 20, 22 and 23 for single runs: a run that ends otherwise than by finishing says so and leaves what it can."""

from __future__ import annotations

import math
import os
import signal
import subprocess
import sys
import time

import pytest
import pytorch_lightning as pl
import torch

from vision_baselines.runs.record import Status, read_record
from vision_baselines.training.resume_files import latest_good


class Spoil(pl.Callback):
    """Makes the loss of a step what the test says, or the weights after it."""

    def __init__(self, step, value, weights=False):
        self.step, self.value, self.weights = step, value, weights

    def on_train_batch_end(self, trainer, pl_module, outputs, batch, batch_idx):
        if trainer.global_step == self.step:
            if self.weights:
                with torch.no_grad():
                    next(pl_module.net.parameters()).fill_(self.value)
            else:
                outputs["loss"] = outputs["loss"] * 0 + self.value


@pytest.mark.slow
@pytest.mark.ci
@pytest.mark.parametrize("value", [math.nan, math.inf, -math.inf])
def test_row_22_a_loss_that_is_no_finite_number_ends_the_run_and_names_step_and_rate(
    run_command, with_callback, folder, noted, value
):
    # before StopOnDivergence looks at it
    with_callback()
    from vision_baselines.training import build

    made = build.callbacks
    build.callbacks = lambda cfg: [Spoil(5, value), *made(cfg)]
    answer = run_command("trainer.max_epochs=3")
    assert answer.code == 4, answer
    assert "at step 5" in answer.message
    assert "learning rate 0.001" in answer.message
    record = read_record(folder)
    assert record.status is Status.DIVERGED
    assert record.best_epoch is None
    assert not (folder / "checkpoints" / "best.ckpt").exists()
    noted(22, f"a training loss of {value}", answer)


@pytest.mark.slow
@pytest.mark.ci
def test_row_22_weights_ruined_by_the_last_step_are_found_in_validation_and_never_the_best(
    run_command, with_callback, folder, noted
):
    with_callback(Spoil(6, math.nan, weights=True))
    answer = run_command("trainer.max_epochs=1")
    assert answer.code == 4, answer
    assert "the validation loss became nan at step 6" in answer.message
    assert read_record(folder).status is Status.DIVERGED
    assert not (folder / "checkpoints" / "best.ckpt").exists()
    noted(22, "weights that are NaN after the last step of the run", answer)


@pytest.mark.slow
@pytest.mark.ci
@pytest.mark.parametrize(
    ("error", "said", "recorded"),
    [
        (RuntimeError("the roof fell in"), "the roof fell in", "the roof fell in"),
        (SystemExit(0), "sys.exit(0)", "sys.exit(0)"),
        (MemoryError(), "memory ran out", "MemoryError"),
    ],
    ids=["raises", "exits", "memory"],
)
def test_row_23_a_run_that_ends_by_itself_is_a_failed_one_with_its_reason(
    run_command, with_callback, folder, noted, error, said, recorded
):
    class End(pl.Callback):
        def on_train_batch_end(self, trainer, *rest):
            raise error

    with_callback(End())
    answer = run_command()
    assert answer.code == 4, answer
    assert said in answer.message
    record = read_record(folder)
    assert record.status is Status.FAILED
    assert recorded in record.failure.message
    noted(23, f"a run that raises {type(error).__name__}", answer)
    with_callback()
    assert run_command().code == 0


@pytest.mark.slow
@pytest.mark.ci
def test_row_20_sigterm_saves_and_ends_in_143_and_the_same_command_goes_on(
    run_command, with_callback, folder, run_tiny, noted
):
    class Ask(pl.Callback):
        def on_train_batch_end(self, trainer, *rest):
            if trainer.global_step == 8:
                os.kill(os.getpid(), signal.SIGTERM)

    with_callback(Ask())
    answer = run_command()
    assert answer.code == 143, answer
    assert answer.err == "ended by SIGTERM; the same command with the same name resumes it\n"
    assert read_record(folder).status is Status.INTERRUPTED
    assert latest_good(folder / "checkpoints")[1] in (8, 9)
    noted(20, "SIGTERM while training", answer)
    with_callback()
    assert run_command().code == 0
    assert read_record(folder).final_weights_sha256 == run_tiny("whole").final_weights_sha256


@pytest.mark.slow
def test_row_20_sigterm_from_outside_is_obeyed_in_mid_training(environment, root, tiny, tmp_path):
    words = {word.split("=", 1)[0].lstrip("+"): word for word in [
        *tiny, "logger=none", "callbacks.learning_rate=null", "callbacks.filters=null", "callbacks.parameters=null",
        "trainer.max_epochs=2000", "name=run", "checkpoint_every_n_steps=100000",
        f"paths.output_dir={tmp_path}/outputs", f"hydra.run.dir={tmp_path}/outputs/run/job",
    ]}  # fmt: skip
    command = [sys.executable, str(root / "scripts/train.py"), *words.values()]
    process = subprocess.Popen(command, env=environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    log = tmp_path / "outputs" / "run" / "job" / "train.log"
    for _ in range(6000):
        if log.exists() and "epoch 1 (" in log.read_text():
            break
        time.sleep(0.02)
    process.send_signal(signal.SIGTERM)
    out, err = process.communicate(timeout=120)
    assert process.returncode == 143, (out, err)
    assert err == "loading …\nended by SIGTERM; the same command with the same name resumes it\n"
    folder = log.parent
    assert read_record(folder).status is Status.INTERRUPTED
    [state] = (folder / "checkpoints").glob("resume-*.ckpt")
    step = int(state.stem.split("=")[1])
    assert latest_good(folder / "checkpoints")[1] == step > 6
    assert step < 2000 * 6  # it was ended long before its own end
