"""Real searches from the command line: killed and gone on with, shown, previewed, opened by Optuna's dashboard."""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
import time
import urllib.request

import pytest

from vision_baselines.comparison.search import read_search
from vision_baselines.runs.record import FRESH_SEEDS, Status, find_records

PLAIN = ["callbacks.filters=null", "callbacks.parameters=null", "logger=none", "callbacks.learning_rate=null"]
LR = "optimizer.lr=tag(log,interval(1e-4,1))"


@pytest.fixture(scope="module")
def command(root, tiny, tmp_path_factory):
    place = tmp_path_factory.mktemp("search")
    net = ["model=fc", "model.hidden_features=[4]"]
    words = [*(word for word in tiny if not word.startswith("model")), *net, *PLAIN, f"paths.output_dir={place}"]

    def made(name, *overrides):
        named = {word.split("=")[0].lstrip("+"): word for word in [*words, f"name={name}", *overrides]}
        script = [sys.executable, str(root / "scripts" / "train.py"), "-m", "hydra/sweeper=search", *named.values()]
        return script, place / name

    return made


@pytest.fixture(scope="module")
def search(command, python):
    def run(name, *overrides, check=True):
        (_, *words), folder = command(name, *overrides)
        done = python(*words, timeout=3600)
        assert not check or done.returncode == 0, done.stdout + done.stderr
        return done, folder

    return run


@pytest.fixture(scope="module")
def searched(search):
    return search("small", LR, "search.trials=3", "n_jobs=2", "trainer.max_epochs=1", "comparison.fresh_seeds=1")


@pytest.mark.slow
@pytest.mark.ci
def test_a_search_chooses_by_validation_and_reports_fresh_seeds(searched):
    done, folder = searched
    found = read_search(folder)
    assert [trial.state for trial in found.trials] == ["complete"] * 3
    assert found.objectives == {"val/acc": "max"}
    [best] = found.front()
    assert best.values[0] == max(trial.values[0] for trial in found.trials)
    for trial in found.trials:
        [record] = [one for path, one in find_records([folder]) if path.name in trial.folders]
        assert trial.values == [record.metrics["val/acc"]]
        assert f"search.trial={trial.number}" in record.overrides
    fresh = [record for path, record in find_records([folder]) if path.parent.name == FRESH_SEEDS]
    assert [record.seed for record in fresh] == [1]
    assert f"optimizer.lr={best.settings['optimizer.lr']}" in fresh[0].overrides
    assert f"the best is trial {best.number}: optimizer.lr=" in done.stdout
    before, after = done.stdout.split("was chosen; it is trained on seeds")
    assert "at a time" not in before  # each round says its trials instead
    assert "1 job, 1 at a time" in after
    assert "✓ trial 2, seed=0  test/acc" in done.stdout
    page = (folder / "comparison" / "comparison.html").read_text()
    assert f"Trial {best.number} was chosen by val/acc among 3 complete trials" in page
    for words in ("History", "All parameters at once", "Validation accuracy over optimizer.lr"):
        assert words in page


@pytest.mark.slow
def test_a_preview_writes_nothing_and_another_search_is_refused(search, searched, command):
    _, folder = command("previewed")
    done, _ = search("previewed", LR, "search.trials=3", "preview=true")
    assert "The first of 3 trials of 1 seed each, chosen by tpe" in done.stdout
    assert not folder.exists()
    done, _ = search("small", LR, "search.trials=3", "optimizer.weight_decay=0.1", check=False)
    assert done.returncode == 2
    assert "holds another search (fixed was" in done.stderr
    done, folder = search("odd", "model=fc,cnn", "model.hidden_features=choice([4],[5])", check=False)
    assert done.returncode == 2
    assert "cannot be" in done.stderr
    assert not list(folder.glob("*/run.json"))


@pytest.mark.slow
def test_a_search_of_30_trials_killed_three_times_ends_as_the_uninterrupted_one(search, command, environment):
    words = [LR, "model.dropout=interval(0,0.5)", "search.trials=30", "n_jobs=1", "comparison.fresh_seeds=1"]
    _, whole = search("whole", *words)
    killed, folder = command("killed", *words)
    for wanted in (4, 13, 22):
        process = subprocess.Popen(
            killed,
            cwd="/",
            env=environment,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            start_new_session=True,
        )
        try:
            while process.poll() is None and len(list(folder.glob("*/run.json"))) < wanted:
                time.sleep(0.02)
            assert process.poll() is None
        finally:
            os.kill(process.pid, signal.SIGKILL)  # its jobs end with it
            process.wait()
        while any(_is_held(path.parent) for path in folder.glob("*/run.json")):
            time.sleep(0.05)
    _, folder = search("killed", *words)
    one, other = read_search(whole), read_search(folder)
    assert len(other.trials) == 30
    assert other == one
    before = {path.name: record for path, record in find_records([whole])}
    after = {path.name: record for path, record in find_records([folder])}
    assert set(before) == set(after)
    for name, record in after.items():
        assert record.status == before[name].status
        assert record.weights_sha256 == before[name].weights_sha256
    assert sum(record.attempts > 1 for record in after.values()) <= 3  # those that a kill found running
    assert {record.status for record in after.values()} <= {Status.FINISHED, Status.PRUNED, Status.DIVERGED}


def _is_held(folder):
    from vision_baselines.storage.lock import holder

    return holder(folder) is not None


@pytest.mark.slow
def test_optunas_dashboard_opens_the_storage(searched):
    pytest.importorskip("optuna_dashboard")
    _, folder = searched
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    command = [sys.executable, "-c", "from optuna_dashboard._cli import main; main()"]
    arguments = ["--host", "127.0.0.1", "--port", str(port), str(folder / "search.journal")]
    process = subprocess.Popen([*command, *arguments], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    try:
        for _ in range(600):
            try:
                with urllib.request.urlopen(f"http://127.0.0.1:{port}/api/studies", timeout=10) as answer:
                    found = json.load(answer)
                break
            except OSError:
                time.sleep(0.1)
        [study] = found["study_summaries"]
        assert study["study_name"] == "search"
        url = f"http://127.0.0.1:{port}/api/studies/{study['study_id']}?after=0"
        with urllib.request.urlopen(url, timeout=30) as answer:
            trials = json.load(answer)["trials"]
        assert [trial["state"] for trial in trials] == ["Complete"] * 3
    finally:
        process.terminate()
        process.wait()
