"""The signals by which a cluster says that a job is to end: a run saves, ends with their code, and is resumed."""

from __future__ import annotations

import os
import signal

import pytest

from vision_baselines.jobs import signals
from vision_baselines.jobs.signals import Interrupted, StopSignals
from vision_baselines.runs.record import Status, read_record

PREEMPTION = ["SIGUSR1", "SIGUSR2"]


@pytest.mark.parametrize("name", [*PREEMPTION, "SIGTERM"])
def test_a_signal_waits_and_its_echo_is_not_a_second_one(name, monkeypatch):
    signum = getattr(signal, name)
    clock = [100.0]
    monkeypatch.setattr(signals.time, "monotonic", lambda: clock[0])
    before = signal.getsignal(signum)
    with StopSignals() as stop:
        stop.deferring = True
        os.kill(os.getpid(), signum)
        os.kill(os.getpid(), signal.SIGTERM)  # of what started the process, which hands it on
        assert stop.received == signum
        clock[0] += 5.0
        with pytest.raises(Interrupted):
            os.kill(os.getpid(), signal.SIGTERM)
    assert signal.getsignal(signum) == before
    assert Interrupted(signum).exit_code == 128 + signum


def test_a_second_ctrl_c_ends_at_once():
    with StopSignals() as stop:
        stop.deferring = True
        os.kill(os.getpid(), signal.SIGINT)
        with pytest.raises(Interrupted):
            os.kill(os.getpid(), signal.SIGINT)


@pytest.mark.slow
@pytest.mark.parametrize("name", [pytest.param("SIGUSR1", marks=pytest.mark.ci), "SIGUSR2", "SIGTERM"])
def test_a_preempted_run_ends_with_the_weights_of_an_uninterrupted_one(run_tiny, tmp_path, with_callback, name):
    import pytorch_lightning as pl

    class Preempt(pl.Callback):
        def on_train_batch_end(self, trainer, *rest):
            if trainer.global_step == 7:
                os.kill(os.getpid(), getattr(signal, name))
                os.kill(os.getpid(), signal.SIGTERM)

    whole = run_tiny("whole")
    with_callback(Preempt())
    with pytest.raises(Interrupted):
        run_tiny("run")
    assert read_record(tmp_path / "outputs" / "run").status is Status.INTERRUPTED
    assert list((tmp_path / "outputs" / "run" / "checkpoints").glob("resume-step=00000007.ckpt"))
    with_callback()
    record = run_tiny("run")
    assert (record.weights_sha256, record.final_weights_sha256) == (whole.weights_sha256, whole.final_weights_sha256)


@pytest.mark.slow
def test_what_slurm_says_of_tasks_does_not_reach_lightning(run_tiny, monkeypatch):
    for key, value in {"SLURM_NTASKS": "4", "SLURM_JOB_NAME": "x", "SLURM_PROCID": "0", "SLURM_LOCALID": "0",
                       "SLURM_NODEID": "0", "SLURM_JOB_ID": "12", "SLURM_NTASKS_PER_NODE": "4"}.items():  # fmt: skip
        monkeypatch.setenv(key, value)
    assert run_tiny("run").status is Status.FINISHED
