"""What is noted of submitted jobs, what a scheduler says of them, and what is refused before anything is submitted."""

from __future__ import annotations

import json
import pickle
from types import SimpleNamespace

import pytest

from vision_baselines.cluster import note, queue
from vision_baselines.cluster.job import ClusterJob
from vision_baselines.cluster.note import Submitted, note_submitted, read_outcome, submitted_jobs, write_outcome
from vision_baselines.cluster.pool import ClusterPool
from vision_baselines.cluster.queue import CannotAskError, Seen, State
from vision_baselines.cluster.submit import wishes_of
from vision_baselines.errors import ConfigError
from vision_baselines.jobs.job import Job
from vision_baselines.jobs.outcome import Outcome
from vision_baselines.jobs.signals import Interrupted
from vision_baselines.runs.record import Status
from vision_baselines.sweep.planned import note_planned
from vision_baselines.sweep.status import State as RunState
from vision_baselines.sweep.status import status_of

TOKEN = "0123456789abcdef"


def submitted(job="seed=0", index=0, size=2, id="12_0", **more):
    return Submitted(job, TOKEN, index, size, id, **more)


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("executor", "pbs"), ("time_min", 0), ("time_min", "1:00"), ("cpus", 1.5), ("gpus", -1), ("mem_gb", 0),
        ("mem_gb", "4G"), ("signal_delay_s", 3600), ("partition", "a\n#SBATCH --uid=0"), ("nodes", 2),
        ("parameters", {"wrap": "x"}), ("parameters", {"output": "/etc/x"}), ("parameters", {"a b": 1}),
        ("parameters", {"reservation": "x\nrm -rf ~"}), ("parameters", []), ("setup", "module load"), ("setup", [1]),
        ("max_requeues", True),
    ],
)  # fmt: skip
def test_what_the_scheduler_would_misunderstand_is_refused_in_a_line(key, value):
    with pytest.raises(ConfigError, match=key):
        wishes_of({"executor": "local", key: value})


def test_without_slurm_its_launcher_says_what_to_do(monkeypatch):
    monkeypatch.setenv("PATH", "/nowhere")
    with pytest.raises(ConfigError, match="slurm_local"):
        wishes_of({})


def test_a_note_is_read_as_it_was_written_and_a_later_submission_takes_its_place(tmp_path):
    note_submitted(tmp_path, [submitted(), submitted("seed=1", 1, id="12_1")])
    note_submitted(tmp_path, [submitted("seed=1", 0, 1, "13")])
    assert submitted_jobs(tmp_path) == {"seed=0": submitted(), "seed=1": submitted("seed=1", 0, 1, "13")}


@pytest.mark.parametrize(
    "content",
    ["", "[]", "null", '{"jobs": 1}', '{"jobs": [1, {}, null, {"job": "x"}]}', "[" * 5000, "\x00"]
    + [json.dumps({"jobs": [{**vars(submitted()), key: value}]})
       for key, value in [("job", "/etc"), ("job", "../x"), ("job", "a\0b"), ("job", "a\ud800b"),
                         ("id", "12; rm -rf ~"), ("id", "--help"), ("token", "x"), ("index", 5), ("scheduler", "x")]],
)  # fmt: skip
def test_a_note_that_is_none_names_no_jobs_and_says_why(tmp_path, content):
    (tmp_path / note.FOLDER).mkdir()
    (tmp_path / note.FOLDER / "submitted.json").write_text(content)
    assert submitted_jobs(tmp_path) == {}
    note_planned(tmp_path, [tmp_path / "seed=0"])
    found = status_of(tmp_path)
    assert found.exit_code == 4
    assert f"{tmp_path / note.FOLDER / 'submitted.json'} cannot be read: it " in found.faults[0]
    note_submitted(tmp_path, [submitted()])
    assert note.read_submitted(tmp_path).fault == ""


def test_an_outcome_is_read_as_the_job_left_it(tmp_path):
    (tmp_path / note.FOLDER).mkdir()
    assert read_outcome(tmp_path, submitted()) is None
    write_outcome(tmp_path / note.FOLDER, TOKEN, 0, Outcome(4, kind="E", message="it diverged", pickled_value=b"x"))
    assert read_outcome(tmp_path, submitted()) == Outcome(4, kind="E", message="it diverged")
    (tmp_path / note.FOLDER / f"{TOKEN}_0.json").write_text('{"exit_code": "0"}')
    assert read_outcome(tmp_path, submitted()) is None


def answers(monkeypatch, **texts):
    def said(command):
        if texts.get(command[0]) is None:
            raise CannotAskError(command[0])
        return texts[command[0]]

    monkeypatch.setattr(queue, "_said", said)


def test_slurms_words_are_understood(monkeypatch):
    rows = [
        ("12_0", "PENDING", "", "Priority"),
        ("12_1", "RUNNING", "node7", "None"),
        ("12_2", "OUT_OF_MEMORY", "", "None"),
    ]
    text = "".join(f"{id}|{word}|{node}|{TOKEN}|{why}\n" for id, word, node, why in rows)
    answers(monkeypatch, squeue=text, sacct="12_3|CANCELLED by 0\n12_4|TIMEOUT\n")
    jobs = [submitted(str(k), k, 6, f"12_{k}" if k else "") for k in range(6)]  # the first was submitted by one killed
    found = queue.seen(jobs)
    assert found[jobs[0]] == Seen("12_0", State.QUEUED, "Priority")
    assert found[jobs[1]] == Seen("12_1", State.RUNNING, "node7")
    assert "memory" in found[jobs[2]].reason
    assert [found[jobs[k]].can_go_on for k in (2, 3, 4)] == [False, True, True]
    assert jobs[5] not in found


def test_where_slurm_is_not_at_hand_that_is_said(monkeypatch):
    answers(monkeypatch)
    with pytest.raises(CannotAskError):
        queue.seen([submitted()])
    assert (
        queue.seen([submitted(id="999999", scheduler="local")])[submitted(id="999999", scheduler="local")].state
        is State.ENDED
    )


@pytest.fixture
def two(tmp_path, run):
    """A sweep of which one job was interrupted and one left nothing yet; both were submitted."""
    run(tmp_path / "seed=0", Status.INTERRUPTED, message="ended by SIGTERM")
    note_planned(tmp_path, [tmp_path / "seed=0", tmp_path / "seed=1"])
    note_submitted(tmp_path, [submitted(), submitted("seed=1", 1, id="12_1")])
    return tmp_path


@pytest.mark.parametrize(
    ("words", "states"),
    [
        (("PENDING", "PENDING"), {RunState.QUEUED: 1, RunState.PREEMPTED: 1}),
        (("RUNNING", "RUNNING"), {RunState.RUNNING: 2}),
        (("COMPLETED", "COMPLETED"), {RunState.NOT_STARTED: 1, RunState.INTERRUPTED: 1}),
        (("NODE_FAIL", "OUT_OF_MEMORY"), {RunState.FAILED: 1, RunState.INTERRUPTED: 1}),
        (("CANCELLED", "CANCELLED"), {RunState.INTERRUPTED: 2}),
        (None, {RunState.QUEUED: 1, RunState.INTERRUPTED: 1}),
    ],
)
def test_status_says_what_slurm_says(two, monkeypatch, words, states):
    text = None if words is None else "".join(f"12_{k}|{word}||{TOKEN}|None\n" for k, word in enumerate(words))
    answers(monkeypatch, squeue=text)
    assert status_of(two).counts == states


class Told:
    """What a pool asks and tells."""

    def __init__(self, needs=(), fail_fast=False):
        self.said, self.needs, self.fail_fast = [], dict(needs), fail_fast

    def arguments(self, job, slot):
        return b"", str(job.folder), {}, surroundings()

    def may_start(self, job, unfinished):
        return not any(other.label in self.needs.get(job.label, ()) for other in unfinished)

    def started(self, job):
        self.said.append(("started", job.label))

    def progress(self, job, line):
        pass

    def ended(self, job, outcome, exit_code):
        self.said.append(("ended", job.label, outcome.exit_code if outcome else exit_code))
        if self.fail_fast:
            raise RuntimeError("the first failure")

    def stopped(self, job, outcome):
        self.said.append(("stopped", job.label))

    def refresh(self):
        pass

    def some_ended(self):
        pass


def surroundings():
    from vision_baselines.jobs.surroundings import Surroundings

    return Surroundings(None, None, False, None, b"", {"SECRET": "x"})


class Scheduler:
    """Takes jobs; what it says of each is set by the test."""

    def __init__(self, sweep, monkeypatch, ends):
        self.sweep, self.place, self.wishes = sweep, sweep / note.FOLDER, SimpleNamespace(max_requeues=2)
        self.ends, self.batches, self.cancelled, self.calls = ends, [], [], []
        self.place.mkdir(parents=True)
        monkeypatch.setattr("vision_baselines.cluster.pool.seen", self.seen)
        monkeypatch.setattr("vision_baselines.cluster.pool.cancel", lambda jobs: self.cancelled.extend(jobs))
        monkeypatch.setattr("vision_baselines.cluster.pool._REFRESH_S", 0.0)

    def submit(self, jobs, make, *, after):
        self.batches.append((list(jobs), [one.job for one in after]))
        token = f"{len(self.batches):016x}"
        rows = [Submitted(job, token, k, len(jobs), f"{len(self.batches)}_{k}") for k, job in enumerate(jobs)]
        self.calls += [make(k, token, k) for k in range(len(jobs))]
        note_submitted(self.sweep, rows)
        return rows

    def seen(self, jobs):
        return {
            one: self.ends[one.job].pop(0) if len(self.ends[one.job]) > 1 else self.ends[one.job][0] for one in jobs
        }


RUNNING, QUEUED = Seen("1", State.RUNNING), Seen("1", State.QUEUED)
KILLED, CANCELLED = Seen("1", State.ENDED, word="OUT_OF_MEMORY"), Seen("1", State.ENDED, word="CANCELLED")


def jobs(tmp_path, names):
    return [Job(k, [], b"", tmp_path / name, [], label=name) for k, name in enumerate(names)]


def test_jobs_are_one_array_and_what_starts_from_another_waits_for_it_in_the_scheduler(tmp_path, monkeypatch):
    told = Told(needs={"c": ["a"]})
    scheduler = Scheduler(tmp_path, monkeypatch, {"a": [RUNNING, KILLED], "b": [QUEUED, CANCELLED], "c": [KILLED]})
    ClusterPool(told, scheduler, slots=None, poll_s=0).run(jobs(tmp_path, "abc"))
    assert scheduler.batches == [(["a", "b"], []), (["c"], ["a"])]
    ended = {label: how for kind, label, *how in told.said if kind == "ended"}
    assert "memory" in ended["a"][0]
    assert ended["b"] == [143]
    assert scheduler.calls[0].surroundings.environment == {}  # a login node's has secrets


def test_what_is_queued_or_running_is_not_submitted_again(tmp_path, monkeypatch):
    scheduler = Scheduler(tmp_path, monkeypatch, {"a": [RUNNING, RUNNING, KILLED], "b": [KILLED]})
    note_submitted(tmp_path, [submitted("a"), submitted("b", 1)])
    ClusterPool(Told(), scheduler, slots=None, poll_s=0).run(jobs(tmp_path, "ab"))
    assert scheduler.batches == [(["b"], [])]


def test_a_signal_leaves_the_jobs_with_the_scheduler_and_a_first_failure_cancels_them(tmp_path, monkeypatch):
    told = Told()
    scheduler = Scheduler(tmp_path, monkeypatch, {"a": [RUNNING]})
    answers = iter([None, None, Interrupted(2)])

    def refresh():
        if (error := next(answers)) is not None:
            raise error

    told.refresh = refresh
    with pytest.raises(Interrupted):
        ClusterPool(told, scheduler, slots=None, poll_s=0).run(jobs(tmp_path, "a"))
    assert (told.said[-1], scheduler.cancelled) == (("stopped", "a"), [])
    failing = Told(fail_fast=True)
    scheduler.ends = {"a": [KILLED], "b": [RUNNING]}
    with pytest.raises(RuntimeError, match="first failure"):
        ClusterPool(failing, scheduler, slots=None, poll_s=0).run(jobs(tmp_path, "ab"))
    assert [one.job for one in scheduler.cancelled] == ["b"]


@pytest.mark.parametrize(
    ("code", "restarts", "asks"), [(138, "0", 1), (140, "1", 1), (138, "2", 0), (143, "0", 0), (130, "0", 0)]
)
def test_a_job_told_that_it_is_preempted_asks_to_be_queued_again(tmp_path, monkeypatch, capsys, code, restarts, asks):
    asked = []
    monkeypatch.setenv("SLURM_RESTART_COUNT", restarts)
    monkeypatch.setattr("submitit.JobEnvironment", lambda: SimpleNamespace(_requeue=asked.append))
    job = ClusterJob(b"", str(tmp_path), surroundings(), ("train.py",), (), "/", str(tmp_path), TOKEN, 0, 2)
    monkeypatch.setattr(ClusterJob, "_run", lambda self: Outcome(code, kind="Interrupted", message="ended"))
    with pytest.raises(SystemExit) as ended:
        job()
    assert (ended.value.code, len(asked)) == (code, asks)
    assert not list(tmp_path.glob("*.json"))
    pickle.dumps(job)
