"""What is kept of the same jobs is asked once, and nothing of it is ever out of date."""

from __future__ import annotations

import gc
import hashlib
import json
import shutil

import numpy as np
import pytest
from tests.comparison.conftest import full_record, full_sweep

from vision_baselines.comparison import evidence, read_against, rows
from vision_baselines.comparison.collection import Records, collect
from vision_baselines.comparison.kept import kept, kept_with_record
from vision_baselines.report import packed
from vision_baselines.report.write import compare
from vision_baselines.runs.predictions import PREDICTIONS_FILE, Predictions
from vision_baselines.runs.predictions import packed as packed_predictions
from vision_baselines.runs.record import RECORD_FILE

NAMES = ("jobs.csv", "groups.csv", "epochs.csv", "classes.csv", "comparison.md", "comparison.tex", "checklist.md")


@pytest.fixture
def top(tmp_path):
    return full_sweep(tmp_path / "demo", ["cnn", "fc", "gated_mlp", "residual_mlp"], 4, epochs=4, filters=False)


def counted(monkeypatch, module, name):
    """The first arguments of the calls of a function from now on."""
    function, calls = getattr(module, name), []
    monkeypatch.setattr(module, name, lambda *given: (calls.append(given[0]), function(*given))[1])
    return calls


def test_the_same_jobs_are_asked_once_and_others_anew(top):
    calls = []

    @kept()
    def n_jobs(jobs, word):
        calls.append(word)
        return len(jobs)

    jobs = Records([top]).collected().jobs
    found = [n_jobs(jobs, "a"), n_jobs((*jobs[:3], *jobs[3:]), "a"), n_jobs(jobs[1:], "a"), n_jobs(jobs, "b")]
    assert found == [16, 16, 15, 16]
    assert calls == ["a", "a", "b"]
    assert n_jobs(jobs[::-1], "a") == 16
    assert n_jobs(Records([top]).collected().jobs, "a") == 16  # other objects of the same runs
    assert len(calls) == 5


def test_records_that_somebody_may_change_are_asked_each_time(top):
    jobs = collect([top]).jobs
    mean = kept()(lambda jobs: sum(job.record.metrics["test/acc"] for job in jobs))
    said = kept_with_record(lambda record: record.metrics["test/acc"])
    before = mean(jobs), said(jobs[0].record)
    jobs[0].record.metrics["test/acc"] += 1
    assert (mean(jobs), said(jobs[0].record)) == pytest.approx((before[0] + 1, before[1] + 1))


def test_so_many_are_kept_and_no_more(top):
    calls = []
    jobs = Records([top]).collected().jobs
    first = kept(most=2)(lambda jobs: calls.append(jobs[0]) or jobs[0])
    for sides in (jobs[:2], jobs[2:4], jobs[:2], jobs[4:6], jobs[:2], jobs[2:4]):
        first(sides)
    assert calls == [jobs[0], jobs[2], jobs[4], jobs[2]]


def test_after_one_more_job_only_its_group_is_looked_at(top, monkeypatch):
    monkeypatch.setattr("vision_baselines.report.page.JOBS_INLINE", 3)
    records = Records([top])
    compare([top], pictures=False, records=records)
    full_record("gated_mlp", 4, {}, 4, 0.0, "demo").write(top / "one more")
    costs = counted(monkeypatch, rows, "_costs")
    matrices = counted(monkeypatch, read_against, "_tested")
    sizes = counted(monkeypatch, evidence, "hedges_g")
    curves = counted(monkeypatch, packed, "curve_of")
    table = compare([top], pictures=False, records=records, changed=[top / "one more"]).table
    assert [len(jobs) for jobs in costs] == [len(jobs) for jobs in matrices] == [5]
    assert [len(values) for values in sizes] == [4]  # its pairs with the baseline
    assert [record.seed for record in curves] == [0, 1, 2, 3, 4]
    assert [row.n_finished for row in table.rows] == [4, 4, 5, 4]


def test_a_reference_that_has_a_job_more_is_compared_with_all_others_anew(top, monkeypatch):
    records = Records([top])
    compare([top], pictures=False, records=records)
    full_record("fc", 4, {}, 4, 0.0, "demo").write(top / "one more")
    sizes = counted(monkeypatch, evidence, "hedges_g")
    compare([top], pictures=False, records=records, changed=[top / "one more"])
    assert len(sizes) == 3


@pytest.mark.few(2)
@pytest.mark.parametrize("act", ["change", "remove", "add", "predictions", "rename"])
def test_files_are_those_of_a_process_that_knows_nothing(top, act):
    with_predictions(top)
    records = Records([top])
    compare([top], pictures=False, records=records)
    one, *_ = sorted(path for path in top.iterdir() if (path / RECORD_FILE).exists())
    changed = [one]
    if act == "change":
        raw = json.loads((one / RECORD_FILE).read_text())
        raw["metrics"]["test/acc"], raw["confusion"][0] = 0.5, [1, 99, *raw["confusion"][0][2:]]
        (one / RECORD_FILE).write_text(json.dumps(raw))
    elif act == "remove":
        shutil.rmtree(one)
    elif act == "add":
        full_record("cnn", 11, {}, 4, 0.0, "demo").write(top / "more")
        changed = [top / "more"]
    elif act == "rename":
        one.rename(top / "renamed")
        changed = [one, top / "renamed"]
    else:
        with_predictions(top, other=one)
    out = compare([top], pictures=False, records=records, changed=changed).out
    found = {name: (out / name).read_bytes() for name in (*NAMES, "comparison.html")}
    shutil.rmtree(out)
    out = compare([top], pictures=False).out
    assert found == {name: (out / name).read_bytes() for name in found}


def test_the_collector_is_on_again_after_a_comparison_and_after_one_that_fails(top, tmp_path):
    compare([top], pictures=False)
    assert gc.isenabled()
    with pytest.raises(Exception, match="metric"):
        compare([top], pictures=False, metric="test/none")
    assert gc.isenabled()


def with_predictions(top, other=None):
    """Give each run, or one, predictions of 50 images that its record names; those of one are drawn anew."""
    for place, folder in enumerate(sorted(path.parent for path in top.glob(f"*/{RECORD_FILE}"))):
        if other is not None and folder != other:
            continue
        rng = np.random.default_rng([place, other is not None])
        predicted, targets = rng.integers(0, 3, 50).astype(np.int32), (np.arange(50) % 3).astype(np.int32)
        predicted = np.where(rng.random(50) < 0.7, targets, predicted)
        content = packed_predictions({"test": Predictions(predicted, targets, None, np.arange(50))})
        (folder / PREDICTIONS_FILE).write_bytes(content)
        raw = json.loads((folder / RECORD_FILE).read_text())
        raw["predictions_sha256"] = hashlib.sha256(content).hexdigest()
        (folder / RECORD_FILE).write_text(json.dumps(raw))
