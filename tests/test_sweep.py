"""Sweeps from the command line: every job a process of its own, nothing trained twice, nothing lost to a neighbour."""

from __future__ import annotations

import contextlib
import json
import os
import re
import signal
import subprocess
import sys
import time
from types import SimpleNamespace

import pytest

from vision_baselines.errors import ConfigError
from vision_baselines.runs.record import RunRecord, Status, read_record
from vision_baselines.sweep.status import status_of

PLAIN = ["callbacks.filters=null", "callbacks.parameters=null", "logger=none", "callbacks.learning_rate=null"]

# A package of the user's own, for jobs that end in every way a job can end.
OWN_CALLBACKS = """
import os, signal, sys, time
from pathlib import Path
from pytorch_lightning.callbacks import Callback


class Ends(Callback):
    def __init__(self, how, when=3):
        self.how, self.when = how, when

    def on_train_batch_end(self, trainer, *rest):
        if trainer.global_step != self.when:
            return
        if self.how == "raise":
            raise RuntimeError("the roof fell in")
        if self.how == "exit":
            sys.exit(0)
        if self.how == "kill":
            os.kill(os.getpid(), signal.SIGKILL)
        if self.how == "abort":
            os._exit(7)


class Slow(Callback):
    def __init__(self, seconds):
        self.seconds = seconds

    def on_train_batch_end(self, *rest):
        time.sleep(self.seconds)


class CountStarts(Callback):
    def __init__(self, path):
        self.path = path

    def on_train_start(self, trainer, *rest):
        with open(self.path, "a") as file:
            file.write(f"{os.path.basename(trainer.default_root_dir)}\\n")
"""


@pytest.fixture(scope="module")
def place(tmp_path_factory):
    """A folder to sweep in, with a package of the user's own beside it."""
    folder = tmp_path_factory.mktemp("sweep")
    (folder / "own_callbacks.py").write_text(OWN_CALLBACKS)
    return folder


@pytest.fixture(scope="module")
def sweep(python, root, place, tiny, environment):
    """``sweep(name, *overrides)``: train.py -m on tiny data; the process, records by job and comparison."""

    def words(name, *overrides):
        chosen = [*tiny, *PLAIN, f"paths.output_dir={place / 'outputs'}", "n_jobs=2", *overrides]
        named = list({word.split("=")[0].lstrip("+"): word for word in chosen}.values())
        return [str(root / "scripts" / "train.py"), "-m", *([f"name={name}"] if name else []), *named]

    def run(name, *overrides):
        path = os.pathsep.join([str(place), environment["PYTHONPATH"]])
        done = python(*words(name, *overrides), cwd=place, PYTHONPATH=path)
        return SimpleNamespace(done=done, folder=place / "outputs" / (name or ""), records=records(place, name))

    run.words = words
    return run


def records(place, name) -> dict[str, RunRecord]:
    """Records by the part of their job's name that is swept."""
    folder = place / "outputs" / (name or "")
    return {path.parent.name: read_record(path.parent) for path in sorted(folder.glob("*/run.json"))}


def by(records, key):
    """Records by the value of one override."""
    found = {}
    for record in records.values():
        [value] = [text.split("=", 1)[1] for text in record.overrides if text.split("=", 1)[0].lstrip("+") == key]
        found[value] = record
    return found


def own(callback, **options):
    arguments = "".join(f",{key}:{value}" for key, value in options.items())
    return [f"+callbacks.own={{_target_:own_callbacks.{callback}{arguments}}}", "trusted_packages=[own_callbacks]"]


WORDS = ["model.hidden_features=4,5", "trainer.max_epochs=1"]


def started(place):
    return len((place / "starts").read_text().splitlines())


@pytest.fixture(scope="module")
def grid(sweep, place):
    """Four jobs, and how many of them were started."""
    first = sweep("grid", *WORDS, *own("CountStarts", path=place / "starts"), "seed=0,1")
    return SimpleNamespace(first=first, started=started(place))


@pytest.mark.slow
@pytest.mark.ci
def test_a_sweep_finishes_every_job_of_its_grid(grid):
    assert grid.first.done.returncode == 0, grid.first.done.stderr
    assert len(grid.first.records) == 4
    assert {record.status for record in grid.first.records.values()} == {Status.FINISHED}
    assert grid.started == 4


@pytest.mark.slow
@pytest.mark.ci
def test_a_sweep_prints_one_line_per_job_with_its_headline_number(grid):
    finished = [line for line in grid.first.done.stdout.splitlines() if line.startswith("✓")]
    assert len(finished) == 4
    assert all("test/acc" in line and "%" in line for line in finished)


@pytest.mark.slow
@pytest.mark.ci
def test_a_sweep_ends_with_its_comparison_and_how_to_look_at_it(grid):
    out = grid.first.done.stdout
    assert "hidden_features=4" in out
    assert f"--logdir {grid.first.folder}" in out
    assert str(grid.first.folder / "comparison") in out
    assert list((grid.first.folder / "comparison").glob("*.csv"))
    assert list((grid.first.folder / "comparison").glob("*.md"))


@pytest.mark.slow
def test_the_same_sweep_again_runs_no_job_and_a_larger_one_what_is_missing(sweep, place, grid):
    words = [*WORDS, *own("CountStarts", path=place / "starts")]
    again = sweep("grid", *words, "seed=0,1")
    assert again.done.returncode == 0
    assert started(place) == 4
    assert "4 of 4 jobs are finished already" in again.done.stdout
    assert again.records == grid.first.records
    larger = sweep("grid", *words, "seed=0,1,2")
    assert larger.done.returncode == 0
    assert started(place) == 6
    assert len(larger.records) == 6
    assert {name: larger.records[name] for name in grid.first.records} == grid.first.records


@pytest.mark.slow
@pytest.mark.ci
def test_a_job_of_a_sweep_is_the_single_run_bit_for_bit(grid, train_tiny, tmp_path):
    alone = train_tiny(tmp_path / "alone", "model.hidden_features=5", "seed=1", "trainer.max_epochs=1")
    [job] = [r for r in grid.first.records.values() if r.seed == 1 and r.config["model"]["hidden_features"] == 5]
    assert job.final_weights_sha256 == alone.final_weights_sha256
    assert job.history == alone.history


@pytest.mark.slow
@pytest.mark.ci
def test_what_a_job_prints_is_kept_in_its_folder_and_the_resolved_config_beside_it(grid):
    for name in grid.first.records:
        assert {"output.txt", "train.log", "config.yaml", "run.json"} <= {
            path.name for path in (grid.first.folder / name).iterdir()
        }


@pytest.mark.slow
@pytest.mark.ci
def test_what_the_data_is_stands_in_the_log_of_each_job(grid):
    logs = [path.read_text() for path in grid.first.folder.glob("*/train.log")]
    assert len(logs) >= 4  # of the larger grid too, where that came first
    assert all(re.search(r"data: train 48, val 12.*, test 20", log) for log in logs), logs[0]


@pytest.fixture(scope="module")
def unlucky(sweep):
    """Five jobs at once: one raises, one calls sys.exit(0), one is killed, one ends its process, one is fine."""
    return sweep(
        "unlucky", "trainer.max_epochs=1", *own("Ends", how="none"), "callbacks.own.how=raise,exit,kill,abort,none"
    )


@pytest.mark.slow
@pytest.mark.ci
def test_a_failing_job_leaves_the_others_finished_and_ends_in_exit_code_4(unlucky):
    assert unlucky.done.returncode == 4, unlucky.done.stderr
    ends = by(unlucky.records, "callbacks.own.how")
    assert {how: record.status for how, record in ends.items()} == {
        "none": Status.FINISHED,
        **dict.fromkeys(["raise", "exit", "kill", "abort"], Status.FAILED),
    }


@pytest.mark.slow
@pytest.mark.ci
@pytest.mark.parametrize(
    ("how", "reason"),
    [
        ("raise", "the roof fell in"),
        ("exit", "sys.exit(0)"),
        ("kill", "killed by SIGKILL"),
        ("abort", "the process ended by itself with exit code 7"),
    ],
)
def test_a_job_that_ends_badly_says_why_in_its_record_and_on_its_line(unlucky, how, reason):
    record = by(unlucky.records, "callbacks.own.how")[how]
    assert reason in record.failure.message
    assert record.ended_at is not None
    assert any(line.startswith("✗") and reason in line for line in unlucky.done.stdout.splitlines())


@pytest.mark.slow
@pytest.mark.ci
def test_a_failed_sweep_tells_its_failure_in_a_line_without_frames(unlucky):
    assert "Traceback" not in unlucky.done.stderr
    assert unlucky.done.stderr.strip().splitlines()[-1].startswith("error: ")


@pytest.mark.slow
@pytest.mark.ci
def test_a_sweep_with_failures_still_shows_its_comparison(unlucky):
    assert "--logdir" in unlucky.done.stdout


def start(sweep, place, environment, name, *overrides):
    path = os.pathsep.join([str(place), environment["PYTHONPATH"]])
    command = [sys.executable, *sweep.words(name, *overrides)]
    return subprocess.Popen(
        command,
        cwd=place,
        env={**environment, "PYTHONPATH": path},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


@pytest.mark.slow
def test_two_processes_running_the_same_sweep_never_train_one_job_twice(sweep, place, environment):
    starts = place / "starts_twice"
    words = ["seed=0,1,2,3", *own("CountStarts", path=starts)]
    both = [start(sweep, place, environment, "twice", *words) for _ in range(2)]
    ended = [process.communicate(timeout=300) for process in both]
    assert [process.returncode for process in both] == [0, 0], ended
    assert len(records(place, "twice")) == 4
    assert sorted(starts.read_text().splitlines()) == sorted(records(place, "twice"))


@pytest.mark.slow
def test_unnamed_sweeps_of_the_same_second_get_folders_of_their_own(sweep, place, environment):
    where = f"paths.output_dir={place / 'unnamed'}"
    both = [start(sweep, place, environment, None, "seed=0", where) for _ in range(2)]
    ended = [process.communicate(timeout=300) for process in both]
    assert [process.returncode for process in both] == [0, 0], ended
    assert len(list((place / "unnamed").iterdir())) == 2
    assert len(list((place / "unnamed").glob("*/*/run.json"))) == 2


@pytest.mark.slow
def test_fail_fast_starts_no_further_job(sweep):
    result = sweep("fast", *own("Ends", how="raise"), "seed=0,1,2,3,4,5", "fail_fast=true", "n_jobs=1")
    assert result.done.returncode == 4
    assert len(result.records) < 6
    assert "fail_fast=true" in result.done.stderr


@pytest.mark.slow
@pytest.mark.parametrize("launcher", ["basic", "joblib"])
def test_every_launcher_gives_the_same_records(sweep, grid, launcher):
    if launcher == "joblib":
        pytest.importorskip("hydra_plugins.hydra_joblib_launcher")
    result = sweep(
        launcher,
        "model.hidden_features=4,5",
        "trainer.max_epochs=1",
        "seed=0,1",
        f"hydra/launcher={launcher}",
        "n_jobs=null",
    )
    assert result.done.returncode == 0, result.done.stderr
    assert len(result.records) == 4

    def weights(records):
        return {
            (r.config["model"]["hidden_features"], r.seed): (r.final_weights_sha256, r.metrics)
            for r in records.values()
        }

    expected = weights(grid.first.records)
    assert weights(result.records) == expected


@pytest.mark.slow
@pytest.mark.parametrize("launcher", ["basic", "joblib"])
def test_every_launcher_ends_a_failing_sweep_with_its_comparison_and_exit_code_4(sweep, launcher):
    result = sweep(
        f"bad_{launcher}",
        *own("Ends", how="none"),
        "callbacks.own.how=none,raise",
        f"hydra/launcher={launcher}",
        "n_jobs=null",
    )
    assert result.done.returncode == 4
    ends = by(result.records, "callbacks.own.how")
    assert {how: record.status for how, record in ends.items()} == {"none": Status.FINISHED, "raise": Status.FAILED}
    assert "--logdir" in result.done.stdout


@pytest.mark.slow
def test_twelve_jobs_in_one_process_keep_one_event_file_each_with_their_results(sweep, events):
    plain = [
        "logger=tensorboard",
        "hydra/launcher=basic",
        "n_jobs=null",
        "trainer.max_epochs=1",
        "seed=0,1,2,3",
        "model.hidden_features=4,5,6",
    ]
    result = sweep("twelve", *plain)
    assert result.done.returncode == 0, result.done.stderr
    assert len(result.records) == 12
    for name, record in result.records.items():
        folder = result.folder / name
        assert len(list(folder.rglob("events.out.tfevents.*"))) == 1
        [accuracy] = events(folder).Scalars("test/acc")
        assert accuracy.value == pytest.approx(record.metrics["test/acc"])


@pytest.mark.slow
def test_paired_axes_run_without_the_full_product(sweep):
    pairs = [["model.hidden_features=4", "optimizer.lr=1e-3"], ["model.hidden_features=5", "optimizer.lr=3e-3"]]
    groups = f"hydra.sweeper.groups={json.dumps(pairs)}"
    result = sweep("paired", groups, "seed=0,1", "model.channels=[2,3]")
    assert result.done.returncode == 0, result.done.stderr
    pairs = {(r.config["model"]["hidden_features"], r.config["optimizer"]["lr"]) for r in result.records.values()}
    assert pairs == {(4, 1e-3), (5, 3e-3)}
    assert len(result.records) == 4


@pytest.mark.slow
def test_an_interrupted_sweep_saves_its_jobs_and_picks_up_where_it_stopped(
    sweep, place, environment, train_tiny, tmp_path
):
    words = ["seed=0,1", *own("Slow", seconds=0.2), "trainer.max_epochs=3"]
    process = start(sweep, place, environment, "stopped", *words)
    deadline = time.monotonic() + 120
    while time.monotonic() < deadline and not any(
        "epoch 0 (last 2)" in log.read_text() for log in (place / "outputs" / "stopped").glob("*/train.log")
    ):
        time.sleep(0.1)
    process.send_signal(signal.SIGINT)
    out, err = process.communicate(timeout=120)
    assert process.returncode == 130, (out, err)
    assert "Traceback" not in err
    assert Status.INTERRUPTED in {record.status for record in records(place, "stopped").values()}
    result = sweep("stopped", *words)
    assert result.done.returncode == 0
    alone = train_tiny(tmp_path / "alone", "trainer.max_epochs=3", "seed=0", "+callbacks.own=null")
    [first] = [record for record in result.records.values() if record.seed == 0]
    assert first.final_weights_sha256 == alone.final_weights_sha256


@pytest.mark.slow
@pytest.mark.ci(every=2)
@pytest.mark.parametrize("more", [["seeds_per_pass=4"], []])
def test_what_an_interrupted_sweep_counts_is_what_status_says_of_its_folder(sweep, place, environment, more):
    name, folder = f"counted{len(more)}", place / "outputs" / f"counted{len(more)}"
    process = start(sweep, place, environment, name, "seed=range(6)", "n_jobs=1", "trainer.max_epochs=5000", *more)
    deadline = time.monotonic() + 120
    while time.monotonic() < deadline and not any(folder.glob("*/run.json")):
        time.sleep(0.01)
    process.send_signal(signal.SIGINT)
    out, err = process.communicate(timeout=120)
    assert process.returncode == 130, (out, err)
    [line] = [line for line in out.splitlines() if " of 6 jobs " in line]
    counts = {state: int(n) for n, state in re.findall(r"(\d+)(?: of 6 jobs)? ([a-z ]+)", line)}
    assert counts == {str(state): n for state, n in status_of(folder).counts.items()}


@pytest.mark.slow
def test_a_killed_sweep_leaves_no_job_running(sweep, place, environment):
    process = start(sweep, place, environment, "orphans", "seed=0,1", *own("Slow", seconds=0.5))
    deadline = time.monotonic() + 120
    while time.monotonic() < deadline and len(records(place, "orphans")) < 2:
        time.sleep(0.2)
    process.kill()
    process.communicate()
    folders = list((place / "outputs" / "orphans").glob("*/run.json"))
    deadline = time.monotonic() + 60
    while time.monotonic() < deadline and any(held(path.parent) for path in folders):
        time.sleep(0.2)
    assert not any(held(path.parent) for path in folders)
    again = sweep("orphans", "seed=0,1", *own("Slow", seconds=0.5))
    assert again.done.returncode == 0, again.done.stderr
    assert {record.status for record in again.records.values()} == {Status.FINISHED}


def held(folder):
    from vision_baselines.storage.lock import RunLockedError, exclusive

    with contextlib.suppress(RunLockedError), exclusive(folder):
        return False
    return True


@pytest.mark.slow
def test_a_job_whose_folder_holds_another_config_is_refused_before_any_starts(sweep, place):
    assert sweep("other", "seed=0").done.returncode == 0
    [folder] = list((place / "outputs" / "other").glob("*/run.json"))
    content = json.loads(folder.read_text())
    content["config"]["model"]["dropout"] = 0.25
    content["fingerprint"] = "0" * 16
    folder.write_text(json.dumps(content))
    result = sweep("other", "seed=0,1")
    assert result.done.returncode == 2
    assert "model.dropout: 0.25 → 0.5" in result.done.stderr
    assert len(result.records) == 1


@pytest.mark.slow
def test_a_finished_sweep_that_is_asked_for_a_probe_is_probed_and_shows_its_curve(sweep, place):
    words = ["model.hidden_features=4,5", "trainer.max_epochs=1", "seed=0"]
    first = sweep("probed", *words)
    again = sweep("probed", *words, "probe=shift")

    assert again.done.returncode == 0, again.done.stderr
    assert again.records.keys() == first.records.keys()
    for name, record in again.records.items():
        assert record.final_weights_sha256 == first.records[name].final_weights_sha256
        assert record.timings == first.records[name].timings
        assert record.curves["shift/acc"].y[0] == record.metrics["test/acc"]
    assert "Shift accuracy" in (place / "outputs" / "probed" / "comparison" / "comparison.html").read_text()


@pytest.mark.slow  # of the order by itself: tests/jobs/test_ordering.py
def test_the_longest_job_starts_first_and_all_are_reported_in_their_order(sweep, place):
    done = sweep("order", "model.hidden_features=4,5,400", "trainer.max_epochs=1", "n_jobs=2")
    assert done.done.returncode == 0, done.done.stderr
    started = {width: record.started_at for width, record in by(done.records, "model.hidden_features").items()}
    assert max(started, key=started.get) == "4"  # the first one given, and the shortest
    planned = json.loads((place / "outputs" / "order" / "planned.json").read_text())["jobs"]
    assert planned == [by(done.records, "model.hidden_features")[width].name for width in ("4", "5", "400")]


def test_comparisons_take_a_tenth_of_the_time_and_what_was_left_out_comes_later(monkeypatch):
    from vision_baselines.sweep import callback
    from vision_baselines.sweep.callback import SweepCallback

    now, written = [100.0], []

    def compare(self, *, pictures, **otherwise):
        written.append((now[0], pictures))
        now[0] += 2.0

    monkeypatch.setattr(callback.time, "monotonic", lambda: now[0])
    monkeypatch.setattr(SweepCallback, "_compare", compare)
    monkeypatch.setattr(SweepCallback, "current", SweepCallback())
    for _ in range(400):  # jobs that end ten times a second
        SweepCallback.update()
        now[0] += 0.1
    ended = now[0]
    assert [round(at) for at, _ in written] == [100, 120, 140]
    for _ in range(200):  # no other job ends
        now[0] += 0.1
        SweepCallback.catch_up()
    assert len(written) == 4
    assert written[-1][0] - ended < 20
    SweepCallback.finish()
    assert written[-1][1]  # with pictures, and whatever is due
    assert len(written) == 5


def test_a_comparison_that_fails_ends_no_job_and_is_raised_once_all_are_over(monkeypatch, caplog):
    from vision_baselines.sweep.callback import SweepCallback

    def compare(self, *, pictures, **otherwise):
        raise KeyError(0)

    monkeypatch.setattr(SweepCallback, "_compare", compare)
    monkeypatch.setattr(SweepCallback, "current", SweepCallback())
    SweepCallback.update()
    assert caplog.messages == ["no comparison yet: KeyError: 0"]
    with pytest.raises(KeyError):
        SweepCallback.finish()


@pytest.mark.slow
@pytest.mark.ci
def test_a_baseline_whose_jobs_are_still_to_come_is_no_reason_to_warn(train_tiny, tmp_path, caplog):
    from vision_baselines.sweep.callback import SweepCallback

    folder = tmp_path / "outputs"
    record = train_tiny(folder / "model=cnn,seed=0")
    record.overrides = ["model=cnn", "seed=0"]
    record.write(folder / "model=cnn,seed=0")
    SweepCallback.current = SweepCallback(baseline="model=fc")
    SweepCallback.current.folder = folder
    try:
        SweepCallback.update()
        assert (folder / "comparison" / "comparison.md").is_file()
        assert not [record for record in caplog.records if record.levelname == "WARNING"]
        with pytest.raises(ConfigError, match="baseline='model=fc' names nothing"):
            SweepCallback.finish()
    finally:
        SweepCallback.current = None
