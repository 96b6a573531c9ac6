"""-m experiment=a,b: each experiment's own sweep, one after the other, into its own folder."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time

import pytest

from vision_baselines.cli.experiments import commands, run_each
from vision_baselines.config.compose import extra_config_dir, group_options
from vision_baselines.errors import ConfigError, TrainingError
from vision_baselines.jobs.signals import Interrupted
from vision_baselines.runs.record import read_record

OWN = {
    "aa": "name: shared\n",
    "ab": "name: shared\n",
    "ac": "trainer: {max_epochs: 1}\n",
}


@pytest.fixture
def own(tmp_path):
    """A folder with experiments of one's own, which Hydra finds."""
    folder = tmp_path / "conf" / "experiment"
    folder.mkdir(parents=True)
    for name, text in OWN.items():
        (folder / f"{name}.yaml").write_text(f"# @package _global_\n{text}", encoding="utf-8")
    with extra_config_dir(folder.parent):
        yield folder.parent


@pytest.mark.parametrize(
    "words",
    [
        ["experiment=aa,ac"],  # no sweep: Hydra says so
        ["-m", "experiment=aa"],
        ["-m", "seed=0,1"],
        ["-m", "experiment=choice(aa"],  # cannot be read: Hydra says so
        ["-m", "model=cnn,fc", "name=experiment"],
    ],
)
def test_other_commands_are_left_alone(own, words):
    assert commands(words) == []


@pytest.mark.few(1)
@pytest.mark.parametrize("value", ["ac,ab", "choice(ac,ab)", "'ac',ab", "ac,ab,ac"])
def test_each_gets_the_words_that_it_would_be_run_by_alone(own, value):
    first, second = commands(["-m", "--config-dir=x", "seed=0,1", f"experiment={value}"])
    assert first.words == ["-m", "--config-dir=x", "seed=0,1", "experiment=ac", "name=ac"]
    assert second.words == ["-m", "--config-dir=x", "seed=0,1", "experiment=ab", "name=shared"]


@pytest.mark.slow
def test_a_glob_names_those_that_match_and_two_of_one_name_get_folders_of_their_own(own):
    assert [one.name for one in commands(["-m", "experiment=glob(a?)"])] == ["aa", "ab", "ac"]
    found = commands(["-m", "experiment=glob([a*,cnn*],exclude=*mnist)"])
    assert {one.experiment for one in found} == {
        name for name in group_options("experiment") if name.startswith(("a", "cnn")) and "mnist" not in name
    }


def test_a_name_that_is_typed_begins_the_name_of_each(own):
    found = commands(["-m", "name=mine", "experiment=aa,ac"])
    assert [(one.name, one.words.count("name=mine")) for one in found] == [("mine_aa", 0), ("mine_ac", 0)]


@pytest.mark.parametrize("value", ["aa,nope", "glob(nope*)"])
def test_what_is_not_there_is_said_before_anything_is_run(own, value):
    with pytest.raises(ConfigError, match="no experiment") as caught:
        commands(["-m", f"experiment={value}"])
    assert len(str(caught.value).splitlines()) == 1


def run_with(errors, *words):
    """Run three experiments of which these fail; gives the names that were run, and what was raised."""
    ran = []

    def run():
        [name] = [word.partition("=")[2] for word in sys.argv if word.startswith("experiment=")]
        ran.append(name)
        if name in errors:
            raise errors[name]

    raised = None
    try:
        run_each(commands(["-m", "experiment=aa,ab,ac", *words]), run)
    except BaseException as error:
        raised = error
    return ran, raised


def test_one_that_fails_does_not_stop_the_next(own, capsys, monkeypatch):
    monkeypatch.setattr(sys, "argv", ["train.py"])
    ran, raised = run_with({"ab": TrainingError("1 of 2 jobs failed")})
    assert ran == ["aa", "ab", "ac"]
    assert isinstance(raised, TrainingError)
    assert "1 of 3 experiments failed" in str(raised)
    assert [line.split()[:2] for line in capsys.readouterr().out.splitlines()[-3:]] == [
        ["aa", "done"], ["ab", "failed"], ["ac", "done"],
    ]  # fmt: skip
    assert sys.argv == ["train.py"]


@pytest.mark.slow
@pytest.mark.ci
def test_where_jobs_are_listed_standard_output_has_their_commands_alone(own, capsys, monkeypatch):
    monkeypatch.setattr(sys, "argv", ["train.py"])

    def run():
        sys.stdout.write("python train.py seed=0\n")

    run_each(commands(["-m", "experiment=aa,ab", "list=true"]), run)
    said = capsys.readouterr()
    assert said.out == "python train.py seed=0\n" * 2
    assert "experiment=aa, 1 of 2:" in said.err
    assert "2 experiments:" in said.err


@pytest.mark.slow
@pytest.mark.ci
def test_with_fail_fast_it_does(own, capsys, monkeypatch):
    monkeypatch.setattr(sys, "argv", ["train.py"])
    ran, _ = run_with({"ab": TrainingError("x")}, "fail_fast=true")
    assert ran == ["aa", "ab"]
    assert "ac  not run" in capsys.readouterr().out


@pytest.mark.few(1)
@pytest.mark.parametrize("error", [KeyboardInterrupt(), Interrupted(signal.SIGTERM)])
def test_a_signal_ends_all(own, capsys, monkeypatch, error):
    monkeypatch.setattr(sys, "argv", ["train.py"])
    ran, raised = run_with({"aa": error})
    assert (ran, type(raised)) == (["aa"], type(error))
    assert "ab  not run" in capsys.readouterr().out


@pytest.mark.slow
@pytest.mark.ci
def test_all_refused_is_an_error_of_the_config(own, monkeypatch):
    monkeypatch.setattr(sys, "argv", ["train.py"])
    assert isinstance(run_with(dict.fromkeys(["aa", "ab", "ac"], ConfigError("x")))[1], ConfigError)


@pytest.mark.slow
def test_each_runs_its_own_sweep_into_its_own_folder(own, root, tiny, python, tmp_path):
    (own / "experiment" / "aa.yaml").write_text(
        "# @package _global_\nhydra: {sweeper: {params: {seed: '0,1'}}}\n", encoding="utf-8"
    )
    (own / "experiment" / "ab.yaml").write_text("# @package _global_\noptimizer: {lr: 1.0e+30}\n", encoding="utf-8")
    ended = python(
        str(root / "scripts" / "train.py"), "-m", f"--config-dir={own}", "experiment=ab,aa", *tiny,
        "trainer.max_epochs=1", "logger=none", "callbacks=none", f"paths.output_dir={tmp_path / 'out'}",
    )  # fmt: skip
    assert ended.returncode == 4, ended.stderr
    jobs = {path.parent.parent.name: 0 for path in tmp_path.glob("out/*/*/run.json")}
    for path in tmp_path.glob("out/*/*/run.json"):
        jobs[path.parent.parent.name] += 1
        assert read_record(path.parent).command.count(f"experiment={path.parent.parent.name}") == 1
    assert jobs == {"aa": 2, "ab": 1}
    assert (tmp_path / "out" / "aa" / "comparison" / "comparison.html").is_file()
    assert "aa  done" in ended.stdout
    assert "2 of 2 jobs finished" in ended.stdout


@pytest.mark.slow
def test_ctrl_c_ends_the_experiment_that_runs_and_starts_no_other(own, root, tiny, environment, tmp_path):
    process = subprocess.Popen(
        [sys.executable, root / "scripts" / "train.py", "-m", f"--config-dir={own}", "experiment=aa,ab", *tiny,
         "trainer.max_epochs=100000", "seed=0,1", f"paths.output_dir={tmp_path / 'out'}"],
        env=environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, start_new_session=True,
    )  # fmt: skip
    deadline = time.monotonic() + 300
    while time.monotonic() < deadline and not list(tmp_path.glob("out/aa/*/events*")):
        time.sleep(0.5)
    os.killpg(process.pid, signal.SIGINT)
    out, err = process.communicate(timeout=300)
    assert process.returncode == 130, err
    assert "ab  not run" in out
    assert not (tmp_path / "out" / "ab").exists()
