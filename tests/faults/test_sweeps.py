"""Rows 21, 23 to 28, 34 and 50: sweeps whose jobs fail, that are stopped, run again, enlarged; and what they show."""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path
from types import SimpleNamespace

import pytest

from vision_baselines.runs.record import Status, read_record
from vision_baselines.storage.lock import exclusive

OWN = """
import os, signal, sys, time
from pathlib import Path
from pytorch_lightning.callbacks import Callback


class Ends(Callback):
    def __init__(self, how):
        self.how = how

    def on_train_batch_end(self, trainer, *rest):
        if self.how == "raise":
            raise RuntimeError("<script>alert(2)</script>")
        if self.how == "exit":
            sys.exit(0)
        if self.how == "kill":
            os.kill(os.getpid(), signal.SIGKILL)
        if self.how == "memory":
            bytearray(1 << 62)


class Counted(Callback):
    def __init__(self, starts, failing=None, slow_s=0.0):
        self.starts, self.failing, self.slow_s = Path(starts), failing, slow_s

    def on_train_start(self, trainer, module):
        with self.starts.open("a") as file:
            file.write(f"{module.seed}\\n")
        if self.failing == module.seed and self.starts.read_text().splitlines().count(str(module.seed)) == 1:
            raise RuntimeError("the first time")

    def on_train_batch_end(self, *rest):
        time.sleep(self.slow_s)
"""


@pytest.fixture(scope="module")
def own(tmp_path_factory):
    """A package of the user's own, where jobs find it."""
    folder = tmp_path_factory.mktemp("own")
    (folder / "own_faults.py").write_text(OWN)
    with pytest.MonkeyPatch.context() as patched:
        patched.syspath_prepend(folder)
        yield lambda name, **options: [
            f"+callbacks.own={{_target_:own_faults.{name}{''.join(f',{k}:{v}' for k, v in options.items())}}}",
            "trusted_packages=[own_faults]",
        ]


def records(folder):
    return {path.parent.name: read_record(path.parent) for path in sorted(folder.glob("*/run.json"))}


@pytest.fixture(scope="module")
def again(open_command, tiny, own, tmp_path_factory):
    """One sweep four times over: with a job that fails once, with nothing else, finished, and with a job more."""
    place = tmp_path_factory.mktemp("again")
    starts = place / "starts"
    words = [*open_command.plain(tiny), "-m", "name=again", f"paths.output_dir={place}", "n_jobs=2",
             "trainer.max_epochs=1", *own("Counted", starts=starts, failing=1)]  # fmt: skip
    steps = []
    for seeds in ("0,1", "0,1", "0,1", "0,1,2"):
        answer = open_command("train", [*dict_of(words).values(), f"seed={seeds}"])
        steps.append(
            SimpleNamespace(answer=answer, records=records(place / "again"), starts=starts.read_text().split())
        )
    return steps


def dict_of(words):
    return {word.split("=", 1)[0].lstrip("+"): word for word in words}


@pytest.mark.slow
def test_row_23_a_job_that_raises_leaves_the_others_to_finish(again):
    assert again[0].answer.code == 4, again[0].answer
    assert sorted(again[0].starts) == ["0", "1"]
    assert {record.seed: record.status for record in again[0].records.values()} == {
        0: Status.FINISHED,
        1: Status.FAILED,
    }


@pytest.mark.slow
def test_row_25_a_partly_failed_sweep_again_runs_what_is_missing_alone(again):
    assert again[1].answer.code == 0, again[1].answer
    assert again[1].starts[2:] == ["1"]
    assert {record.status for record in again[1].records.values()} == {Status.FINISHED}


@pytest.mark.slow
def test_row_24_a_finished_sweep_again_runs_no_job(again):
    assert again[2].answer.code == 0
    assert again[2].starts == again[1].starts
    assert again[2].records == again[1].records


@pytest.mark.slow
@pytest.mark.ci
def test_row_26_a_larger_grid_overwrites_nothing(again):
    assert again[3].answer.code == 0, again[3].answer
    assert again[3].starts[3:] == ["2"]
    assert {name: again[3].records[name] for name in again[2].records} == again[2].records
    assert len(again[3].records) == 3


@pytest.fixture(scope="module")
def unlucky(open_command, tiny, own, tmp_path_factory):
    place = tmp_path_factory.mktemp("unlucky")
    words = dict_of([*open_command.plain(tiny), "name='<script>alert(1)'", f"paths.output_dir={place}", "n_jobs=2",
                     "-m", "trainer.max_epochs=1", *own("Ends", how="none"), ]).values()  # fmt: skip
    answer = open_command("train", [*words, "callbacks.own.how=raise,exit,kill,memory,none"])
    return SimpleNamespace(answer=answer, folder=place / "<script>alert(1)", place=place)


HOWS = {"raise": "alert(2)", "exit": "sys.exit(0)", "kill": "killed by SIGKILL", "memory": "MemoryError"}


@pytest.mark.slow
@pytest.mark.ci
@pytest.mark.parametrize("how", HOWS)
def test_row_23_each_job_that_ends_badly_is_named_with_its_reason(unlucky, how):
    assert unlucky.answer.code == 4, unlucky.answer
    found = {
        how: record
        for record in records(unlucky.folder).values()
        for how in re.findall(r"own\.how=(\w+)", " ".join(record.overrides))
    }
    assert found["none"].status is Status.FINISHED
    assert found[how].status is Status.FAILED
    assert HOWS[how] in found[how].failure.message
    said = {**HOWS, "memory": "memory ran out"}[how]
    [line] = [line for line in unlucky.answer.out.splitlines() if f"own.how={how}" in line and said in line]
    assert line.startswith(f"✗ callbacks.own.how={how}  ")
    assert found[how].name in line  # its folder's


@pytest.mark.slow
@pytest.mark.ci
def test_row_23_the_last_line_counts_what_failed(unlucky):
    assert unlucky.answer.message.startswith("4 of 5 jobs failed, 1 finished; vision-baselines status ")
    assert "Error executing job" not in unlucky.answer.err


@pytest.mark.slow
@pytest.mark.ci
def test_row_23_a_sweep_with_failures_ends_in_4_with_one_line(unlucky, noted):
    assert "Traceback" not in unlucky.answer.err
    said = unlucky.answer.message
    assert len(said.splitlines()) == 1
    said = said.replace(str(unlucky.folder.parent), "…")
    noted(23, "a sweep whose jobs raise, exit, are killed and run out of memory", (said, 4))


@pytest.mark.slow
@pytest.mark.ci
def test_row_34_markup_in_names_and_errors_is_escaped_in_the_report(unlucky, open_command):
    [finished] = [path for path in unlucky.folder.glob("*/run.json") if read_record(path.parent).finished]
    content = json.loads(finished.read_text())
    content["class_names"][0] = "<script>alert(3)</script>"
    finished.write_text(json.dumps(content))
    answer = open_command("compare", [str(unlucky.folder)])
    assert answer.code == 0, answer
    for page in unlucky.folder.rglob("comparison.html"):
        text = page.read_text()
        assert "alert(1)" in text
        assert "alert(2)" in text
        assert "<script>alert" not in text


@pytest.mark.slow
@pytest.mark.ci
def test_row_50_tensorboard_is_reported_to_listen_on_this_machine_alone(unlucky):
    assert "tensorboard --host 127.0.0.1 --logdir" in unlucky.answer.out


@pytest.mark.slow
def test_row_50_tensorboard_started_as_it_is_reported_listens_on_this_machine_alone(unlucky):
    [command] = re.findall(r"tensorboard --host 127\.0\.0\.1 --logdir", unlucky.answer.out)
    words = [sys.executable, "-m", "tensorboard.main", *command.split()[1:], str(unlucky.folder), "--port", "0"]
    process = subprocess.Popen(words, stderr=subprocess.PIPE, stdout=subprocess.DEVNULL, text=True)
    try:
        port = next(int(match[1]) for line in process.stderr if (match := re.search(r"http://[\w.]+:(\d+)/", line)))
        listening = [
            fields[1]
            for name in ("tcp", "tcp6")
            for fields in map(str.split, Path(f"/proc/net/{name}").read_text().splitlines()[1:])
            if fields[3] == "0A" and fields[1].endswith(f":{port:04X}")
        ]
        assert listening == [f"0100007F:{port:04X}"]
    finally:
        process.kill()
        process.communicate()


@pytest.mark.slow
def test_row_21_sigint_in_a_sweep_keeps_what_is_finished_and_ends_in_130(open_command, tiny, own, tmp_path, noted):
    starts = tmp_path / "starts"
    words = dict_of([*open_command.plain(tiny), "-m", "name=stopped", f"paths.output_dir={tmp_path}", "n_jobs=1",
                     "trainer.max_epochs=2", *own("Counted", starts=starts, slow_s=0.05)]).values()  # fmt: skip

    def interrupt():
        deadline = time.monotonic() + 60
        while time.monotonic() < deadline and not (starts.exists() and len(starts.read_text().split()) >= 2):
            time.sleep(0.02)
        time.sleep(0.2)
        os.kill(os.getpid(), signal.SIGINT)

    thread = threading.Thread(target=interrupt)
    thread.start()
    answer = open_command("train", [*words, "seed=0,1,2"])
    thread.join()
    assert answer.code == 130, answer
    assert {record.seed: record.status for record in records(tmp_path / "stopped").values()} == {
        0: Status.FINISHED,
        1: Status.INTERRUPTED,
    }
    noted(21, "SIGINT in a sweep", answer)
    again = open_command("train", [*words, "seed=0,1,2"])
    assert again.code == 0, again
    assert starts.read_text().split()[2:] == ["1", "2"]


@pytest.mark.slow
@pytest.mark.ci
def test_row_28_a_second_process_in_one_run_folder_is_refused_with_the_first_ones_id(run_command, folder, noted):
    reader, writer = os.pipe()
    child = os.fork()
    if child == 0:
        with exclusive(folder):
            os.write(writer, b"held")
            time.sleep(60)
        os._exit(0)
    try:
        os.read(reader, 4)
        answer = run_command()
    finally:
        os.kill(child, signal.SIGKILL)
        os.waitpid(child, 0)
        os.close(reader)
        os.close(writer)
    assert answer.code == 2, answer
    assert f"process {child}" in answer.message
    noted(28, "a run whose folder another process holds", answer)
    assert run_command().code == 0


@pytest.mark.slow
@pytest.mark.ci
def test_row_27_four_starts_in_one_second_get_four_folders(command_line, tiny, tmp_path):
    children = []
    for _ in range(4):
        child = os.fork()
        if child == 0:
            answer = command_line(*tiny[:-1], "trainer.max_epochs=1", "logger=none")
            os._exit(answer.code)
        children.append(child)
    assert [os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) for child in children] == [0] * 4
    assert len(list((tmp_path / "outputs").iterdir())) == 4
    assert len(list((tmp_path / "outputs").glob("*/*/run.json"))) == 4


@pytest.mark.slow
@pytest.mark.ci
def test_row_31_a_metric_that_does_not_exist_costs_no_job_its_result(open_command, tiny, tmp_path, noted):
    words = dict_of([*open_command.plain(tiny), "-m", "name=metric", f"paths.output_dir={tmp_path}",
                     "trainer.max_epochs=1", "n_jobs=1"]).values()  # fmt: skip
    answer = open_command("train", [*words, "seed=0,1", "comparison.metric=test/accuracy"])
    assert answer.code == 2, answer
    assert "test/acc" in answer.message
    found = records(tmp_path / "metric")
    assert len(found) in (0, 2)
    assert all(record.finished for record in found.values())
    noted(31, "`-m seed=0,1 comparison.metric=test/accuracy`", answer)


@pytest.mark.slow
def test_loaders_with_workers_run_inside_sweeps_and_the_live_view_follows(open_command, tiny, tmp_path, monkeypatch):
    from vision_baselines.jobs.console import SweepConsole

    told = []
    monkeypatch.setattr(SweepConsole, "progress", lambda self, name, line: told.append((name, line)))
    words = dict_of([*open_command.plain(tiny), "-m", "name=workers", f"paths.output_dir={tmp_path}", "n_jobs=2",
                     "trainer.max_epochs=2", "data.num_workers=2"]).values()  # fmt: skip
    answer = open_command("train", [*words, "seed=0,1"])
    assert answer.code == 0, answer
    assert answer.out.splitlines()[0] == "2 jobs, 2 at a time"
    for seed in ("seed=0", "seed=1"):
        lines = [line for name, line in told if name == seed]
        assert [line.split("  ")[0] for line in lines if line.startswith("epoch")] == [
            "epoch 0 (last 1)",
            "epoch 1 (last 1)",
        ]
