"""One run of several processes on the CPU: its bits, its resume, what it agrees with, and how it ends."""

from __future__ import annotations

import csv
import os
import re
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
import torch

from vision_baselines.runs.record import Status, read_record
from vision_baselines.storage import checkpoint_file

pytestmark = [pytest.mark.slow, pytest.mark.filterwarnings("ignore:.*")]
# Last batches of an odd number of images, and in validation of fewer than three processes can share.
ODD = ("data.batch_size=9", "data.eval_batch_size=5", "checkpoint_every_n_steps=1", "trainer.log_every_n_steps=1")
TWO = ("trainer.devices=2", "model.dropout=0.2", *ODD)
PLAIN_NET = ("model.norm=none", "model.dropout=0", "augment=shift", "optimizer.lr=0.003")


def outcome(record):
    kept = record.model_dump(include={"metrics", "best_epoch", "weights_sha256", "final_weights_sha256", "confusion"})
    kept["history"] = [row.model_dump() for row in record.history]
    return kept


def best_weights(folder: Path) -> dict[str, torch.Tensor]:
    return checkpoint_file.load(folder / "checkpoints" / "best.ckpt")["state_dict"]


def require_close(one: Path, other: Path, *, within: float = 1e-5) -> None:
    first, second = best_weights(one), best_weights(other)
    assert first.keys() == second.keys()
    assert max(float((first[key] - second[key]).abs().max()) for key in first) <= within


def history(record) -> list[dict[str, float]]:
    return [dict(row.metrics) for row in record.history]


@pytest.mark.ci
def test_two_processes_take_the_steps_of_one_and_every_image_counts_once(run_tiny, tmp_path):
    options = (*PLAIN_NET, *ODD, "checkpoint=last")
    one, two = run_tiny("one", *options), run_tiny("two", *options, "trainer.devices=2", "trainer.strategy=ddp_spawn")
    assert (one.environment.processes, two.environment.processes) == (1, 2)
    require_close(tmp_path / "outputs" / "one", tmp_path / "outputs" / "two")
    assert history(two) == [pytest.approx(row, abs=1e-5) for row in history(one)]
    assert two.metrics == pytest.approx(one.metrics, abs=1e-5)
    assert two.confusion == one.confusion
    assert two.caveats == one.caveats  # no dropout, no batch statistics: nothing to say of the processes


@pytest.mark.parametrize(("processes", "step"), [(2, 4), (2, 6), (3, 4)])
def test_a_resumed_run_is_the_uninterrupted_one_bit_for_bit(processes, step, run_tiny, resumed_after):
    options = (*TWO, f"trainer.devices={processes}")
    whole = run_tiny("whole", *options)
    assert whole.status is Status.FINISHED
    assert whole.environment.processes == processes
    assert f"trained in {processes} processes: dropout and batch statistics" in whole.caveats[0]
    assert outcome(resumed_after(step, run_tiny, *options)) == outcome(whole)


@pytest.mark.parametrize(("before", "after"), [(2, 1), (1, 2), (2, 3)])
@pytest.mark.parametrize("step", [4, 6])
def test_another_number_of_processes_goes_on_in_the_same_order(before, after, step, run_tiny, with_callback, tmp_path):
    import pytorch_lightning as pl

    class Crash(pl.Callback):
        def on_train_batch_end(self, trainer, *rest):
            if trainer.global_step == step:
                raise RuntimeError("pulled the plug")

    options = (*PLAIN_NET, *ODD, "checkpoint=last")
    whole = run_tiny("whole", *options)
    with_callback(Crash())
    with pytest.raises(RuntimeError, match="plug"):
        run_tiny("cut", *options, f"trainer.devices={before}")
    with_callback()
    resumed = run_tiny("cut", *options, f"trainer.devices={after}")
    assert resumed.status is Status.FINISHED
    assert any(f"resumed with {after} process" in caveat for caveat in resumed.caveats)
    require_close(tmp_path / "outputs" / "whole", tmp_path / "outputs" / "cut")
    assert history(resumed) == [pytest.approx(row, abs=1e-5) for row in history(whole)]


def test_mixed_images_are_those_of_the_whole_batch(run_tiny, tmp_path):
    options = (*PLAIN_NET[:2], *ODD, "augment=rotate", "mix=mixup", "checkpoint=last")
    for name, devices in (("one", 1), ("two", 2)):
        run_tiny(name, *options, f"trainer.devices={devices}")
    require_close(tmp_path / "outputs" / "one", tmp_path / "outputs" / "two")


def test_fifty_steps_on_digits_agree_with_one_process(compose, tmp_path):
    from vision_baselines.training.run import train

    options = [
        *("data=digits", "model=cnn", "model.channels=[4,8]", "model.hidden_features=16", *PLAIN_NET[:3]),
        *("+trainer.max_steps=50", "trainer.max_epochs=3", "trainer.log_every_n_steps=1", "logger=csv"),
        *("checkpoint=last", "callbacks.filters=null", "callbacks.parameters=null"),
    ]
    for name, devices in (("one", 1), ("two", 2)):
        train(compose(*options, f"trainer.devices={devices}", run_dir=tmp_path / "outputs" / name))
    losses = {}
    for name in ("one", "two"):
        with (tmp_path / "outputs" / name / "csv" / "metrics.csv").open(newline="") as file:
            losses[name] = [float(row["train/loss_step"]) for row in csv.DictReader(file) if row["train/loss_step"]]
    assert len(losses["one"]) == 50
    assert losses["two"] == pytest.approx(losses["one"], abs=1e-5)
    require_close(tmp_path / "outputs" / "one", tmp_path / "outputs" / "two")


@pytest.fixture
def started(environment, root, tiny, tmp_path):
    """``started(*overrides)``: a long run of two processes, and the ids of the others, once it trains."""
    running = []

    def start(*overrides: str):
        options = [*tiny, "trainer.devices=2", "trainer.max_epochs=100000", "logger=none", "name=run"]
        command = [sys.executable, str(root / "scripts" / "train.py"), *options, f"paths.output_dir={tmp_path}"]
        run = subprocess.Popen(
            [*command, *overrides], env=environment, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
        )
        running.append(run)
        until = time.monotonic() + 240
        while not list(tmp_path.glob("run/*/checkpoints/resume-*.ckpt")):
            assert run.poll() is None, run.stdout.read()
            assert time.monotonic() < until
            time.sleep(0.2)
        return run, children(run.pid)

    yield start
    for run in running:
        run.kill()
        run.wait()


def children(pid: int) -> list[int]:
    text = Path(f"/proc/{pid}/task/{pid}/children").read_text()
    return [int(child) for child in text.split()]


def is_gone(pid: int, within_s: float = 60) -> bool:
    until = time.monotonic() + within_s
    while time.monotonic() < until:
        try:
            if Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] == "Z":
                return True
        except OSError:
            return True
        time.sleep(0.1)
    return False


def record_in(folder: Path):
    [run] = folder.glob("run/*/run.json")
    return read_record(run.parent)


EVERY_STEP = "checkpoint_every_n_steps=5"


def sockets_of(pid: int) -> set[str]:
    links = []
    for descriptor in Path(f"/proc/{pid}/fd").iterdir():
        try:
            links.append(str(descriptor.readlink()))
        except OSError:
            continue
    return {match[1] for link in links if (match := re.fullmatch(r"socket:\[(\d+)\]", link))}


def test_nothing_listens_beyond_loopback_and_sigterm_saves_and_ends_all(started, tmp_path):
    run, others = started(EVERY_STEP)
    assert len(others) == 1
    of_the_run = set.union(*(sockets_of(pid) for pid in (run.pid, *others)))
    listening = []
    for table in ("tcp", "tcp6"):
        for line in Path(f"/proc/{run.pid}/net/{table}").read_text().splitlines()[1:]:
            fields = line.split()
            if fields[3] == "0A" and fields[9] in of_the_run:  # LISTEN
                listening.append(fields[1].rpartition(":")[0])
    assert listening  # gloo's, one a process
    assert set(listening) <= {"0100007F", "00000000000000000000000001000000"}
    run.send_signal(signal.SIGTERM)
    output = run.communicate(timeout=120)[0]
    assert run.returncode == 143, output
    assert all(is_gone(pid) for pid in others)
    record = record_in(tmp_path)
    assert record.status is Status.INTERRUPTED
    assert "SIGTERM" in record.failure.message


@pytest.mark.parametrize("signum", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_to_another_process_ends_the_run_resumably_too(started, signum, tmp_path):
    run, [other] = started(EVERY_STEP)
    os.kill(other, signum)
    run.communicate(timeout=120)
    assert run.returncode in (128 + signum, -signum)  # a shell says the first of both
    assert is_gone(other)
    assert record_in(tmp_path).status is Status.INTERRUPTED


def test_a_process_that_is_killed_ends_the_run_in_one_line(started, tmp_path):
    run, [other] = started(EVERY_STEP)
    os.kill(other, signal.SIGKILL)
    output = run.communicate(timeout=120)[0]
    assert run.returncode == 4
    errors = [line for line in output.splitlines() if line.startswith("error")]
    assert len(errors) == 1
    assert "process 2 of 2 was killed by SIGKILL" in errors[0]
    assert "Traceback" not in output
    assert record_in(tmp_path).status is Status.FAILED


def test_the_others_end_with_a_first_process_that_is_killed(started):
    run, [other] = started(EVERY_STEP)
    run.kill()
    run.wait()
    assert is_gone(other)


def test_an_error_of_one_process_alone_is_that_of_the_run(run_tiny, monkeypatch, tmp_path):
    (tmp_path / "one_of_two.py").write_text(
        "import torch\n"
        "class Net(torch.nn.Linear):\n"
        "    def __init__(self, **_): super().__init__(64, 10)\n"
        "    def forward(self, x):\n"
        "        if self.training and torch.distributed.is_initialized() and torch.distributed.get_rank() == RANK:\n"
        "            raise ValueError('no such thing')\n"
        "        return super().forward(x.flatten(1))\n"
    )
    monkeypatch.syspath_prepend(str(tmp_path))
    for rank in (1, 0):
        source = (tmp_path / "one_of_two.py").read_text()
        (tmp_path / f"rank_{rank}_fails.py").write_text(source.replace("RANK", str(rank)))
        options = ["trusted_packages=[rank_1_fails,rank_0_fails]", "trainer.devices=2"]
        with pytest.raises(Exception, match="no such thing") as caught:
            run_tiny(f"run-{rank}", *options, f"model._target_=rank_{rank}_fails.Net")
        assert str(caught.value) == ("process 2 of 2: ValueError: no such thing" if rank else "no such thing")


def test_a_sweep_has_runs_of_one_and_of_two_processes(cli, tiny, tmp_path):
    options = [*tiny, "trainer.max_epochs=1", "logger=none", "trainer.devices=1,2", "trainer.strategy=ddp"]
    done = cli("-m", "name=sweep", *options)
    assert done.returncode == 0, done.stdout + done.stderr
    records = [read_record(path.parent) for path in tmp_path.rglob("run.json")]
    assert sorted(record.environment.processes for record in records) == [1, 2]
    assert all(record.status is Status.FINISHED for record in records)
