"""What `status` says of folders in every state, and the exit code that scripts read; nothing is written."""

from __future__ import annotations

import itertools
import json
import os
import subprocess
import sys

import pytest
from rich.console import Console

from vision_baselines.cli.collect import main as collect_main
from vision_baselines.cli.status import _lines, main
from vision_baselines.runs.planned import PLANNED_FILE, read_planned
from vision_baselines.runs.record import Status, read_record
from vision_baselines.storage.lock import exclusive
from vision_baselines.sweep.planned import noted
from vision_baselines.sweep.status import State, latest_progress, status_of

LOG = "[2026-01-01 00:00:00,000][vision_baselines.progress][INFO] epoch 3 (last 9)  train/loss 0.5000  val/acc 0.9000\n"


@pytest.fixture
def status(called):
    """``status(*words)``: exit code, what was printed and what was complained of."""
    return called(main)


def contents(folder):
    return {path: path.read_bytes() for path in folder.rglob("*") if path.is_file()}


SAID = {
    Status.FINISHED: (State.FINISHED, 0),
    Status.FAILED: (State.FAILED, 4),
    Status.DIVERGED: (State.DIVERGED, 4),
    Status.INTERRUPTED: (State.INTERRUPTED, 1),
    Status.PRUNED: (State.PRUNED, 0),
    Status.RUNNING: (State.INTERRUPTED, 1),  # nobody holds it
}


@pytest.mark.parametrize("there", [pair for n in (1, 2) for pair in itertools.combinations(Status, n)])
def test_the_exit_code_is_that_of_the_worst_run(run, status, tmp_path, there):
    for seed, one in enumerate(there):
        run(tmp_path / f"seed={seed}", one, seed=seed, message="" if one is Status.FINISHED else "why it ended")
    before = contents(tmp_path)
    code, out, err = status(tmp_path)
    codes = {SAID[one][1] for one in there}
    assert (code, err) == (4 if 4 in codes else max(codes), "")
    for seed, one in enumerate(there):
        [line] = [line for line in out.splitlines() if f"seed={seed}" in line]
        assert SAID[one][0] in line
        if one in (Status.FAILED, Status.DIVERGED, Status.INTERRUPTED):
            assert "why it ended" in line
    found = json.loads(status(tmp_path, "--json")[1])
    assert sum(found["counts"].values()) == len(there)
    assert contents(tmp_path) == before


def test_a_run_whose_lock_is_held_is_running_and_says_its_epoch(run, status, tmp_path):
    folder = run(tmp_path / "seed=0", Status.FAILED, {"train.log": LOG.encode() * 3}, message="before")
    with exclusive(folder):
        code, out, _ = status(tmp_path)
        assert json.loads(status(tmp_path, "--json")[1])["runs"][0]["process"] == os.getpid()
    assert code == 1
    assert "1 running" in out
    assert "epoch 3 (last 9)  val/acc 0.9000" in out
    assert status(tmp_path)[0] == 4


@pytest.mark.parametrize("record", [None, Status.RUNNING, Status.INTERRUPTED])
@pytest.mark.parametrize("earlier", [None, Status.RUNNING, Status.INTERRUPTED])
@pytest.mark.parametrize("is_started", [True, False])
def test_a_job_that_a_signal_ended_counts_in_its_sweep_as_status_says_of_its_folder(
    is_started, earlier, record, run, tmp_path
):
    from vision_baselines.jobs.outcome import Outcome
    from vision_baselines.jobs.summary import failures
    from vision_baselines.sweep.job import Job
    from vision_baselines.sweep.run_outcomes import has_begun

    run(tmp_path / "seed=0", Status.FINISHED)
    folder, outcome = tmp_path / "seed=1", Outcome(130, message="ended by SIGINT") if is_started else None
    previous = read_record(run(folder, earlier, message="x")) if earlier else None
    if record and is_started:
        run(folder, record, message="x")
    job = Job(1, [], b"", folder, [], previous=previous, is_started=is_started)
    with noted(tmp_path, [tmp_path / "seed=0", folder]):
        pass
    counted = failures([("seed=0", Outcome(0), True), ("seed=1", outcome, has_begun(job))])[0]
    [state] = set(status_of(tmp_path).counts) - {State.FINISHED}
    assert counted == f"1 of 2 jobs {state}, 1 finished"


def test_jobs_without_a_record_are_queued_while_the_sweep_runs_and_not_started_after(run, status, tmp_path):
    run(tmp_path / "seed=0", Status.FINISHED)
    with noted(tmp_path, [tmp_path / f"seed={seed}" for seed in range(3)]):
        code, out, _ = status(tmp_path)
        assert code == 1
        assert "3 runs: 2 queued, 1 finished; a sweep is running (process" in out
        with noted(tmp_path, [tmp_path / "seed=2", tmp_path / "seed=3"]):
            assert status_of(tmp_path).counts == {State.QUEUED: 3, State.FINISHED: 1}
    code, out, _ = status(tmp_path)
    assert code == 1
    assert "3 not started" in out
    assert "a sweep is running" not in out
    with noted(tmp_path, [tmp_path / "seed=0"]):
        pass
    assert status(tmp_path)[0] == 0


def test_a_folder_of_sweeps_knows_what_each_has_planned(run, status, tmp_path):
    run(tmp_path / "a" / "seed=0", Status.FINISHED)
    with noted(tmp_path / "a", [tmp_path / "a" / "seed=0"]), noted(tmp_path / "b", [tmp_path / "b" / "seed=0"]):
        code, out, _ = status(tmp_path)
    assert code == 1
    assert "2 runs: 1 queued, 1 finished; a sweep is running" in out
    assert "b/seed=0" in out


def test_a_sweep_that_has_left_no_record_yet_has_a_status(status, tmp_path):
    with noted(tmp_path, [tmp_path / "seed=0"]):
        assert status_of(tmp_path).counts == {State.QUEUED: 1}


@pytest.mark.parametrize(
    "content",
    [
        "",
        "{",
        "[]",
        '{"jobs": 3}',
        '{"jobs": [1, null, "/etc", "../x", "a/../../b", ""]}',
        r'{"jobs": ["a\u0000b"]}',
        r'{"jobs": ["a\ud800b"]}',
        "[" * 100_000,
    ],
)
def test_a_plan_that_is_none_names_no_jobs_and_says_why(tmp_path, content):
    (tmp_path / PLANNED_FILE).write_text(content)
    assert read_planned(tmp_path).words == {}
    assert "\n" not in read_planned(tmp_path).fault
    assert f"{tmp_path / PLANNED_FILE} cannot be read: it " in read_planned(tmp_path).fault


def damage_to_a_folder(path):
    path.unlink()
    path.mkdir()


def damage_to_a_pipe(path):
    path.unlink()
    os.mkfifo(path)


def damage_to_a_link(path):
    path.unlink()
    path.symlink_to("nowhere")


def damage_to_a_circle(path):
    path.unlink()
    path.symlink_to(path)


DAMAGES = {
    "it is a link that leads nowhere": damage_to_a_link,
    "Too many levels of symbolic links": damage_to_a_circle,
    "it is cut off": lambda path: path.write_bytes(path.read_bytes()[:20]),
    "it is not what was written": lambda path: path.write_text("{}"),
    "it is not what": lambda path: path.write_text("[]"),
    "it is not a regular file": damage_to_a_pipe,
    "it is a folder": damage_to_a_folder,
}


@pytest.mark.parametrize("why", DAMAGES)
def test_with_a_damaged_plan_runs_that_are_missing_are_no_success_until_it_is_written_again(
    run, status, called, tmp_path, why
):
    sweep = tmp_path / "sweep"
    jobs = [run(sweep / "seed=0", Status.FINISHED), sweep / "seed=1"]
    with noted(sweep, jobs):
        pass
    DAMAGES[why](sweep / PLANNED_FILE)
    code, out, _ = status(sweep)
    said = f"{sweep / PLANNED_FILE} cannot be read: {why}"
    assert code == 4
    assert said in out.splitlines()[1]
    assert "the same command writes it again" in out.splitlines()[1]
    assert status(tmp_path)[0] == 4
    assert said in json.loads(status(sweep, "--json")[1])["faults"][0]
    assert said in called(collect_main)(sweep)[1]
    with noted(sweep, jobs):
        assert status_of(sweep).counts == {State.QUEUED: 1, State.FINISHED: 1}
    assert "2 runs: 1 not started, 1 finished" in status(sweep)[1]


def test_a_plan_that_was_deleted_or_is_damaged_without_a_run(run, status, tmp_path):
    run(tmp_path / "a" / "seed=0", Status.FINISHED)
    assert status(tmp_path / "a")[0] == 0
    (tmp_path / "b").mkdir()
    (tmp_path / "b" / PLANNED_FILE).write_text("{")
    code, _, err = status(tmp_path / "b")
    assert code == 3
    assert f"{tmp_path / 'b' / PLANNED_FILE} cannot be read" in err


def test_the_rounds_of_a_sweep_are_one_plan_and_the_same_sweep_again_begins_anew(tmp_path):
    with noted(tmp_path, [tmp_path / "seed=0"], [["seed=0"]]):
        pass
    with noted(tmp_path, [tmp_path / "seed=1"], [["seed=1"]], goes_on=True):
        pass
    assert read_planned(tmp_path).words == {"seed=0": ["seed=0"], "seed=1": ["seed=1"]}
    with noted(tmp_path, [tmp_path / "seed=2"], [["seed=2"]]):
        assert read_planned(tmp_path).words == {"seed=2": ["seed=2"]}


def test_a_second_sweep_leaves_the_damaged_plan_of_one_that_runs(tmp_path):
    with noted(tmp_path, [tmp_path / "seed=0"]):
        (tmp_path / PLANNED_FILE).write_text("{")
        with noted(tmp_path, [tmp_path / "seed=1"]):
            assert read_planned(tmp_path).fault


def test_jobs_are_called_by_what_differs_between_them_with_or_without_a_record(run, status, tmp_path):
    typed = [
        ["name=x", f"model={model}", "trainer.max_epochs=1", f"seed={n}"] for model in ("cnn", "fc") for n in (0, 1)
    ]
    folders = [tmp_path / ",".join(words) for words in typed]
    for folder, words in zip(folders[:2], typed, strict=False):
        record = read_record(run(folder, Status.FINISHED))
        record.overrides = words
        record.write(folder)
    run(tmp_path / "other" / "seed=7", Status.FINISHED)
    with noted(tmp_path, folders, typed):
        found = {found.place: found.name for found in status_of(tmp_path).runs}
        shown = status(tmp_path)[1]
        data = json.loads(status(tmp_path, "--json")[1])
    named = [f"model={model}, seed={n}" for model in ("cnn", "fc") for n in (0, 1)]
    assert found == dict(zip([folder.name for folder in folders], named, strict=True)) | {
        "other/seed=7": "other/seed=7"
    }
    assert all(f"  {name}" in shown for name in named)
    assert {one["folder"] for one in data["runs"]} == set(found)
    assert status_of(folders[0]).runs[0].name == folders[0].name


def test_jobs_that_were_typed_alike_are_called_by_their_folders(run, tmp_path):
    for place in ("a", "b", "c"):
        run(tmp_path / place, Status.FINISHED, seed=int(place == "c"))
    assert [found.name for found in status_of(tmp_path).runs] == ["a", "b", "seed=1"]


@pytest.mark.parametrize("width", [40, 60, 80, 100])
@pytest.mark.parametrize("common", ["", "data.batch_size=16,data.source.image_size=24,data.source.root=shapes,"])
def test_in_a_terminal_no_line_is_too_long_and_no_two_jobs_look_the_same(run, tmp_path, width, common):
    for model in ("cnn", "fc"):
        for rate in ("0.001", "0.0001", "0.003"):
            folder = tmp_path / f"{common}model={model},optimizer.lr={rate},trainer.max_epochs=2"
            record = read_record(run(folder, Status.FINISHED))
            record.overrides = []  # they are not known, so that they are called by their folders
            record.write(folder)
    lines = _lines(status_of(tmp_path), Console(width=width, force_terminal=True))[1:]
    assert max(len(line) for line in lines) <= width
    assert len({line.plain for line in lines}) == 6


def test_a_plan_of_an_earlier_version_is_read(tmp_path):
    (tmp_path / PLANNED_FILE).write_text(json.dumps({"jobs": ["a", "b"]}))
    assert read_planned(tmp_path).words == {"a": [], "b": []}
    (tmp_path / PLANNED_FILE).write_text(json.dumps({"jobs": ["a", "b"], "words": {"a": ["x=1"], "b": [3]}}))
    assert read_planned(tmp_path).words == {"a": ["x=1"], "b": []}


def test_a_plan_that_cannot_be_written_stops_no_sweep(tmp_path):
    (tmp_path / ".sweep.lock").symlink_to(tmp_path / "elsewhere")
    with noted(tmp_path, [tmp_path / "seed=0"]):
        assert read_planned(tmp_path).words == {}
    assert not (tmp_path / "elsewhere").exists()


def test_a_log_that_is_no_file_is_not_read(tmp_path):
    assert latest_progress(tmp_path) == ""
    os.mkfifo(tmp_path / "train.log")
    assert latest_progress(tmp_path) == ""


def test_foreign_text_cannot_act_on_the_terminal(run, status, tmp_path):
    name = "a\x1b[2Jb\r\n\x07c"
    run(tmp_path / name, Status.FAILED, message="died \x1b]0;owned\x07\x9b2J\nfinished  everything")
    (tmp_path / "bad\x1b[31m").mkdir()
    (tmp_path / "bad\x1b[31m" / "run.json").write_text('"\x1b[2J"')
    code, out, _ = status(tmp_path)
    assert code == 4
    assert not any(ord(character) < 32 or 127 <= ord(character) < 160 for character in out.replace("\n", ""))
    assert len(out.splitlines()) == 3


@pytest.mark.parametrize(
    ("words", "code", "message"),
    [
        ([], 2, "folder"),
        (["nowhere"], 3, "no folder nowhere"),
        (["{tmp}"], 3, "holds no run"),
        (["{tmp}/file"], 3, "is a file; expected a folder of runs"),
    ],
)
def test_what_cannot_be_is_refused(tmp_path, status, words, code, message):
    (tmp_path / "file").touch()
    found, _, err = status(*(word.format(tmp=tmp_path) for word in words))
    assert found == code
    assert message in err


@pytest.mark.slow
@pytest.mark.ci
def test_a_reader_that_leaves_takes_no_exit_code_with_it(run, python, environment, tmp_path):
    for seed in range(400):
        run(tmp_path / f"seed={seed}", Status.FAILED, seed=seed, message="why it ended " * 20)
    command = [sys.executable, "-m", "vision_baselines", "status", str(tmp_path)]
    with subprocess.Popen(
        command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, env=environment, text=True
    ) as process:
        assert process.stdout is not None
        process.stdout.close()
        assert process.stderr is not None
        assert process.stderr.read() == ""
    assert process.returncode == 4
