"""A sweep on a real Slurm of one node: ``scripts/dev/slurm_node.sh``, ``eval "$(scripts/dev/slurm_node.sh env)"``, then
``pytest -m slurm``."""

from __future__ import annotations

import os
import re
import shutil
import signal
import subprocess
import sys
import time

import pytest

from vision_baselines.runs.record import Status, read_record

pytestmark = [pytest.mark.slurm]

QUICK = ["data=digits", "model=fc", "model.hidden_features=[16]", "logger=none", "callbacks.filters=null"]
LONG = ["seed=4", "trainer.max_epochs=250"]


def said(*command):
    return subprocess.run(command, capture_output=True, text=True, check=False, timeout=60)


@pytest.fixture(scope="module", autouse=True)
def slurm():
    """A controller that answers."""
    if not shutil.which("sbatch") or "is UP" not in said("scontrol", "ping").stdout:
        pytest.skip("no Slurm is running here: scripts/dev/slurm_node.sh")


def waited_for(what, seconds=600):
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        if found := what():
            return found
        time.sleep(1)
    pytest.fail("it did not come to that")


@pytest.fixture
def started(root, tmp_path, environment):
    """``started(*words)``: a sweep's process on Slurm, and its folder."""
    processes = []

    def start(*words, script="train.py"):
        command = [sys.executable, str(root / "scripts" / script), *words]
        with (tmp_path / "said").open("a") as file:
            process = subprocess.Popen(command, env=environment, cwd=root, stdout=file, stderr=file)
        processes.append(process)
        return process

    yield start
    for process in processes:
        process.kill()
        process.wait()


def by_seed(folder, *wanted):
    found = [path for path in folder.glob("*/") if all(word in path.name for word in wanted)]
    return found[0] if found else None


@pytest.mark.parametrize("how", ["requeue", "USR1", "USR2"])
def test_a_sweep_outlives_its_submitter_a_preemption_and_a_divergence(started, tmp_path, root, environment, how):
    groups = '[["seed=0,1,2,3","trainer.max_epochs=3"],["seed=4","trainer.max_epochs=250"],["optimizer.lr=1e9"]]'
    folder = tmp_path / "six"
    words = ["-m", "name=six", *QUICK, f"hydra.sweeper.groups={groups}", f"paths.output_dir={tmp_path}"]
    submitter = started(*words, "hydra/launcher=slurm")
    waited_for(
        lambda: (
            "size" in _text(folder / ".slurm/submitted.json")
            and '"id": ""' not in _text(folder / ".slurm/submitted.json")
        )
    )
    submitter.send_signal(signal.SIGKILL)
    long = waited_for(lambda: by_seed(folder, "seed=4"))
    waited_for(lambda: "epoch 2 " in _text(long / "train.log"))
    job = re.search(r'"index": 4,\s+"size": 6,\s+"id": "([\d_]+)"', _text(folder / ".slurm/submitted.json"))[1]
    command = ["scontrol", "requeue", job] if how == "requeue" else ["scancel", f"--signal={how}", job]
    assert said(*command).returncode == 0
    again = started(*words, "hydra/launcher=slurm")  # follows what is queued or running
    assert again.wait(900) == 4
    assert f'"id": "{job}"' in _text(folder / ".slurm/submitted.json")
    records = [read_record(path.parent) for path in folder.glob("*/run.json")]
    assert sorted(record.status for record in records) == [Status.DIVERGED, *[Status.FINISHED] * 5]
    [diverged] = [record for record in records if record.status is Status.DIVERGED]
    assert "nan" in diverged.failure.message
    preempted = read_record(long)
    assert preempted.attempts == 2
    assert preempted.command[1:3] == ["-m", "name=six"]
    alone = started("name=alone", *QUICK, *LONG, f"paths.output_dir={tmp_path}")
    assert alone.wait(600) == 0
    whole = read_record(by_seed(tmp_path / "alone", "seed=4"))
    assert (preempted.weights_sha256, preempted.final_weights_sha256) == (
        whole.weights_sha256,
        whole.final_weights_sha256,
    )
    shown = subprocess.run(
        [sys.executable, str(root / "scripts" / "status.py"), str(folder)],
        env=environment,
        capture_output=True,
        text=True,
    )
    assert "6 runs: 1 diverged, 5 finished" in shown.stdout
    assert "Traceback" not in _text(tmp_path / "said")


def test_tasks_of_srun_do_not_make_lightning_think_of_several_processes(tmp_path, root, environment):
    words = ["name=one", *QUICK, "trainer.max_epochs=1", f"paths.output_dir={tmp_path}"]
    command = ["srun", "-n", "1", "--ntasks-per-node=1", "--cpus-per-task=2", "--job-name=not_bash"]
    done = subprocess.run(
        [*command, sys.executable, str(root / "scripts" / "train.py"), *words],
        env={**environment, "SLURM_NTASKS": "4"}, capture_output=True, text=True, timeout=600,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert [read_record(path.parent).status for path in tmp_path.glob("one/*/run.json")] == [Status.FINISHED]


def test_what_sbatch_refuses_is_said_in_a_line(tmp_path, root, environment):
    words = ["-m", "name=x", *QUICK, "seed=0,1", f"paths.output_dir={tmp_path}", "hydra/launcher=slurm"]
    done = subprocess.run(
        [sys.executable, str(root / "scripts" / "train.py"), *words, "hydra.launcher.partition=nowhere"],
        env=environment, capture_output=True, text=True, timeout=600,
    )  # fmt: skip
    assert done.returncode == 2
    assert "sbatch refused the jobs" in done.stderr
    assert "Traceback" not in done.stderr


def _text(path):
    try:
        return path.read_text()
    except OSError:
        return ""


if "SLURM_CONF" not in os.environ and os.path.exists("/var/tmp/slurm_node/slurm.conf"):  # noqa: PTH110
    os.environ["SLURM_CONF"] = "/var/tmp/slurm_node/slurm.conf"
