"""Seeds are added until decided, with real jobs: a whole sweep, one that is interrupted, one whose jobs fail."""

from __future__ import annotations

import json
import signal
import subprocess
import sys

import pytest

from vision_baselines.runs.record import read_record

PLAIN = ["callbacks.filters=null", "callbacks.parameters=null", "logger=none", "callbacks.learning_rate=null"]
UNTIL = ["hydra/sweeper=until_decided", "seed=auto", "n_jobs=2"]
# After one epoch on noise, nets of other sizes are rarely told apart.
GROUPS = ["model.hidden_features=4,5", "comparison.baseline=model.hidden_features=4", "trainer.max_epochs=1"]


@pytest.fixture
def words(tiny):
    """``words(name, *overrides)``: a sweep of tiny runs, the later of two words for one key."""

    def choose(name, *overrides):
        chosen = [*tiny, *PLAIN, *UNTIL, *GROUPS, f"name={name}", *overrides]
        return ["-m", *{word.split("=", 1)[0].lstrip("+"): word for word in chosen if word}.values()]

    return choose


@pytest.fixture
def plan(tmp_path):
    """``plan(name)``: the file of decisions, as bytes."""
    return lambda name: (tmp_path / "outputs" / name / "until_decided.json").read_bytes()


@pytest.mark.slow
def test_a_sweep_ends_with_its_budget_and_its_looks_are_in_its_folder(cli, words, plan, tmp_path):
    done = cli(*words("whole", "comparison.max_seeds=3"))
    assert done.returncode == 0, done.stdout + done.stderr
    found = json.loads(plan("whole"))
    assert [(look["seeds"], look["n"]) for look in found["looks"]] == [(3, 3)]
    assert found["metric"] == "test/acc"
    records = [read_record(path.parent) for path in (tmp_path / "outputs" / "whole").glob("*/run.json")]
    assert sorted(record.seed for record in records) == [0, 0, 1, 1, 2, 2]
    assert "seeds 0 to 2, of at most 3, of model.hidden_features=4; model.hidden_features=5:" in done.stdout
    assert "Seeds until decided" in (tmp_path / "outputs" / "whole" / "comparison" / "comparison.html").read_text()


@pytest.mark.slow
def test_a_preview_leaves_nothing(cli, words, tmp_path):
    done = cli(*words("look", "preview=true"))
    assert done.returncode == 0, done.stderr
    assert "at most 60 jobs" in done.stdout
    assert not (tmp_path / "outputs").exists()


@pytest.mark.slow
def test_a_sweep_without_its_baseline_trains_nothing(cli, words, tmp_path):
    refused = cli(*words("look", "comparison.baseline=model=nope"))
    assert refused.returncode == 2
    assert refused.stderr.splitlines()[-1].startswith("error: baseline='model=nope' names nothing")
    assert not list((tmp_path / "outputs").glob("look/*/run.json"))


@pytest.mark.slow
def test_an_interrupted_sweep_comes_to_the_same_decisions(cli, words, plan, tmp_path, root, environment):
    budget = "comparison.max_seeds=4"
    assert cli(*words("whole", budget)).returncode == 0
    command = [sys.executable, str(root / "scripts" / "train.py"), f"paths.output_dir={tmp_path / 'outputs'}"]
    started = subprocess.Popen(
        [*command, *words("cut", budget)], cwd=tmp_path, env=environment, stdout=subprocess.PIPE, text=True
    )
    for line in started.stdout:
        if line.startswith("✓"):
            started.send_signal(signal.SIGINT)
            break
    started.communicate(timeout=300)
    assert started.returncode == 130
    resumed = cli(*words("cut", budget))
    assert resumed.returncode == 0, resumed.stderr
    assert plan("cut") == plan("whole")


@pytest.mark.slow
@pytest.mark.parametrize("launcher", ["local", "basic"])
def test_a_group_that_diverges_gets_no_more_seeds_and_ends_the_sweep_with_exit_code_4(cli, words, plan, launcher):
    overrides = ["optimizer.lr=0.001,1e30", "comparison.baseline=optimizer.lr=0.001", "model.hidden_features=4"]
    n_jobs = "n_jobs=2" if launcher == "local" else "n_jobs=null"
    done = cli(*words("bad", *overrides, f"hydra/launcher={launcher}", n_jobs))
    assert done.returncode == 4, done.stdout + done.stderr
    assert [look["decision"] for look in json.loads(plan("bad"))["looks"]] == ["no pairs"]
    assert "Traceback" not in done.stderr
