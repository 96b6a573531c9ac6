"""``-m … list=true``: one shell command a job, each of which leaves the record that the sweep's job would."""

from __future__ import annotations

import shlex
import subprocess
import sys

import pytest

from vision_baselines.config import start
from vision_baselines.errors import ConfigError
from vision_baselines.runs.record import read_record
from vision_baselines.sweep.listing import require_known_jobs
from vision_baselines.sweep.status import State, status_of


@pytest.mark.parametrize(
    ("typed", "words", "program"),
    [
        (["python", "scripts/train.py", "-m", "seed=0,1"], 2, ["scripts/train.py"]),
        (["/x/python3", "-X", "dev", "-m", "vision_baselines", "train", "-m", "seed=0"], 2,
         ["-X", "dev", "-m", "vision_baselines", "train"]),
        (["python", "/env/bin/vision-baselines", "train"], 0, ["/env/bin/vision-baselines", "train"]),
    ],
)  # fmt: skip
def test_what_stands_before_the_words_is_kept_as_typed(monkeypatch, typed, words, program):
    monkeypatch.setattr(sys, "orig_argv", typed)
    monkeypatch.setattr(start, "_program", [])
    start.note_start(words)
    assert start.program() == [sys.executable, *program]


@pytest.mark.parametrize("words", [["seed=auto"], ["comparison.fresh_seeds=2"], ["preview=true"]])
def test_jobs_that_depend_on_results_or_are_previewed_are_not_listed(words):
    from vision_baselines.config.compose import composed

    config = composed(words, with_hydra=True)
    with pytest.raises(ConfigError, match="list=true"):
        require_known_jobs(config)


@pytest.mark.slow
@pytest.mark.ci
def test_what_is_listed_is_a_command_a_job_and_nothing_else(cli, tiny, tmp_path):
    note = """it's a "note" of $HOME `id` & more"""
    typed = 'notes="' + note.replace('"', '\\"') + '"'
    done = cli("-m", "name=a b", *tiny, typed, "seed=0,1", "list=true")
    assert done.returncode == 0, done.stderr
    assert "2 of 2 jobs listed" in done.stderr
    commands = [shlex.split(line) for line in done.stdout.splitlines()]
    assert [[word for word in command if word.startswith("seed=")] for command in commands] == [["seed=0"], ["seed=1"]]
    for command in commands:
        assert command[0] == sys.executable
        assert typed in command
        assert "name=a\\ b" in command  # as Hydra's grammar quotes a space
        assert not {"-m", "list=true"} & set(command)
    assert status_of(tmp_path / "outputs" / "a b").counts == {State.NOT_STARTED: 2}


@pytest.mark.slow
def test_each_command_alone_leaves_the_record_of_the_sweeps_job(cli, tiny, tmp_path, environment):
    words = [*tiny, "logger=none", "callbacks.filters=null", "model=cnn", "seed=0,1", "trainer.max_epochs=1"]
    words = list({word.split("=")[0]: word for word in words}.values())
    listed = cli("-m", "name=a b", *words, "list=true")
    assert listed.returncode == 0, listed.stderr
    commands = listed.stdout.splitlines()
    assert len(commands) == 2
    folder = tmp_path / "outputs" / "a b"
    assert status_of(folder).counts == {State.NOT_STARTED: 2}
    for command in commands:
        subprocess.run(["bash", "-c", command], check=True, env=environment, cwd=tmp_path / "elsewhere", timeout=600)
    alone = {path.parent.name: read_record(path.parent) for path in folder.glob("*/run.json")}
    again = cli("-m", "name=a b", *words, "list=true")
    assert (again.returncode, again.stdout) == (0, "")
    folder.rename(tmp_path / "alone")
    assert cli("-m", "name=a b", *words).returncode == 0
    swept = {path.parent.name: read_record(path.parent) for path in folder.glob("*/run.json")}
    for key in ("name", "sweep", "overrides", "fingerprint", "weights_sha256", "metrics"):
        assert {k: getattr(v, key) for k, v in alone.items()} == {k: getattr(v, key) for k, v in swept.items()}


@pytest.mark.slow
def test_without_a_sweep_there_is_nothing_to_list(cli):
    done = cli("list=true")
    assert done.returncode == 2
    assert "goes with -m" in done.stderr
