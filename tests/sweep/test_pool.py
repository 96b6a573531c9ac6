"""The pool of processes, with jobs that train nothing."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from multiprocessing import forkserver
from pathlib import Path

import pytest

from vision_baselines.jobs import pool
from vision_baselines.jobs.outcome import Outcome

TARGETS = """
import multiprocessing, os, signal, sys, time
from vision_baselines.jobs.outcome import Outcome
from vision_baselines.jobs.pool import end_with_parent


def child():
    sys.exit(3)


def job(connection, what, folder):
    end_with_parent()
    if what == "ok":
        connection.send("half")
        connection.send(Outcome(0, value=1.0))
    elif what == "children":
        process = multiprocessing.get_context("fork").Process(target=child, daemon=True)
        process.start()
        process.join()
        connection.send(Outcome(0, value=float(process.exitcode)))
    elif what == "kill":
        os.kill(os.getpid(), signal.SIGKILL)
    elif what.startswith("exit"):
        os._exit(int(what[4:]))
    elif what == "silent":
        pass
    elif what == "stubborn":
        signal.signal(signal.SIGTERM, signal.SIG_IGN)
    if what in ("waits", "stubborn", "sleeps"):
        with open(os.path.join(folder, f"{what}.pid.new"), "w") as file:
            file.write(str(os.getpid()))
        os.replace(file.name, file.name.removesuffix(".new"))
        while what != "waits" or not os.path.exists(os.path.join(folder, "go")):
            time.sleep(0.01)
        connection.send(Outcome(0, value=2.0))
    connection.close()
"""


class Collected:
    """What a pool told; `on_refresh` is called at every look."""

    def __init__(self, folder, on_refresh=lambda: None):
        self.folder, self.on_refresh = str(folder), on_refresh
        self.lines, self.ends, self.stops, self.batches, self.most = [], {}, {}, 0, 0
        self.running = set()

    def arguments(self, job, slot):
        return job[1], self.folder

    def may_start(self, job, unfinished):
        return job not in unfinished

    def started(self, job):
        self.running.add(job)
        self.most = max(self.most, len(self.running))

    def progress(self, job, line):
        self.lines.append((job, line))

    def ended(self, job, outcome, exit_code):
        self.running.remove(job)
        self.ends[job] = (outcome, exit_code)

    def stopped(self, job, outcome):
        self.stops[job] = outcome

    def refresh(self):
        self.on_refresh()

    def some_ended(self):
        self.batches += 1


@pytest.fixture
def targets(tmp_path, monkeypatch):
    """The function that jobs run; their server is this test's own."""
    (tmp_path / "pool_targets.py").write_text(TARGETS)
    monkeypatch.syspath_prepend(tmp_path)
    forkserver._forkserver._stop()
    import pool_targets

    yield pool_targets.job
    forkserver._forkserver._stop()
    del sys.modules["pool_targets"]


def run(jobs, target, whats, slots=2):
    made = pool.Pool(jobs, slots=slots, target=target, preload=["pytest", "vision_baselines.jobs.pool"])
    made.run(list(enumerate(whats)))


def wait_for(path):
    wait_until(path.exists)
    return path.read_text()


def wait_until(done):
    """Look again and again, some minutes long; nothing is said of how long it takes."""
    for _ in range(10_000):
        if done():
            return
        time.sleep(0.02)
    pytest.fail("it never came")


def is_running(pid):
    try:
        return Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()[0] != "Z"
    except FileNotFoundError:
        return False


def test_every_way_to_end_is_reported_and_ends_no_other_job(targets, tmp_path):
    jobs = Collected(tmp_path)
    run(jobs, targets, ["kill", "exit0", "exit7", "exit255", "silent", "children", "ok"])
    assert [jobs.ends[key] for key in sorted(jobs.ends)] == [
        (None, -signal.SIGKILL),
        (None, 0),
        (None, 7),
        (None, None),
        (None, 0),
        (Outcome(0, value=3.0), 0),  # a job may have children of its own
        (Outcome(0, value=1.0), 0),
    ]
    assert jobs.lines == [((6, "ok"), "half")]
    assert jobs.most == 2
    assert 1 <= jobs.batches <= 7


@pytest.mark.slow
def test_open_files_and_threads_stay_flat_over_fifty_jobs(targets, tmp_path):
    counts = []

    def count():
        counts.append((len(list(Path("/proc/self/fd").iterdir())), len(list(Path("/proc/self/task").iterdir()))))

    jobs = Collected(tmp_path, count)
    run(jobs, targets, ["ok"] * 50)
    assert {outcome for outcome, _ in jobs.ends.values()} == {Outcome(0, value=1.0)}
    assert max(files for files, _ in counts) <= counts[0][0] + 2 * 4  # pipe, sentinel, parent's pipe of each slot
    assert len({threads for _, threads in counts}) == 1


@pytest.mark.slow
@pytest.mark.ci
def test_when_the_server_is_killed_its_jobs_run_on_and_others_start(targets, tmp_path):
    killed = []

    class Waiting(Collected):
        def may_start(self, job, unfinished):
            return bool(killed) or job[1] == "waits"

        def refresh(self):
            if not killed and (tmp_path / "waits.pid").exists():
                killed.append(forkserver._forkserver._forkserver_pid)
                os.kill(killed[0], signal.SIGKILL)
            elif len(self.ends) == 2:
                (tmp_path / "go").touch()

    jobs = Waiting(tmp_path)
    run(jobs, targets, ["waits", "ok", "exit7"])
    assert jobs.ends == {
        (0, "waits"): (Outcome(0, value=2.0), None),
        (1, "ok"): (Outcome(0, value=1.0), 0),
        (2, "exit7"): (None, 7),
    }


@pytest.mark.slow
@pytest.mark.ci
def test_what_is_raised_ends_every_job_even_one_that_does_not_listen(targets, tmp_path, monkeypatch):
    monkeypatch.setattr(pool, "GRACE_S", 0.3)

    class EnoughError(Exception):
        pass

    def stop():
        if all((tmp_path / f"{what}.pid").exists() for what in ("stubborn", "sleeps")):
            raise EnoughError

    jobs = Collected(tmp_path, stop)
    with pytest.raises(EnoughError):
        run(jobs, targets, ["stubborn", "sleeps", "ok"])
    assert jobs.stops == {(0, "stubborn"): None, (1, "sleeps"): None}
    assert jobs.ends == {}
    assert not any(is_running((tmp_path / f"{what}.pid").read_text()) for what in ("stubborn", "sleeps"))


@pytest.mark.slow
@pytest.mark.ci
@pytest.mark.parametrize("what", ["sleeps", "stubborn"])
def test_a_job_does_not_outlive_a_parent_that_is_killed(what, targets, tmp_path, environment):
    code = f"""
import sys
from vision_baselines.jobs import pool
from tests_pool import Collected
import pool_targets
pool.GRACE_S = 0.5
if __name__ == "__main__":
    pool.Pool(Collected({str(tmp_path)!r}), slots=1, target=pool_targets.job).run([(0, {what!r})])
"""
    (tmp_path / "parent.py").write_text(code)
    (tmp_path / "tests_pool.py").write_text(Path(__file__).read_text())
    (tmp_path / "pool_targets.py").write_text(TARGETS.replace("end_with_parent()\n", "end_with_parent(0.5)\n", 1))
    path = os.pathsep.join([str(tmp_path), environment["PYTHONPATH"]])
    parent = subprocess.Popen([sys.executable, str(tmp_path / "parent.py")], env={**environment, "PYTHONPATH": path})
    try:
        pid = wait_for(tmp_path / f"{what}.pid")
    finally:
        parent.kill()
        parent.wait()
    wait_until(lambda: not is_running(pid))
