"""Derived from predictions: right answers by run and image, kept by content, never from a file that was changed."""

from __future__ import annotations

import hashlib
import logging
import subprocess
import sys

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from sklearn.calibration import calibration_curve

from vision_baselines.analysis.calibration import BINS, calibration_error, reliability
from vision_baselines.comparison import outcomes
from vision_baselines.comparison.caveats import caveats
from vision_baselines.comparison.collection import collect
from vision_baselines.comparison.table import tabulate
from vision_baselines.report.write import compare
from vision_baselines.report.written import WRITTEN_FILE, read_written
from vision_baselines.runs.predictions import PREDICTIONS_FILE, Predictions, packed
from vision_baselines.runs.record import read_record


def predictions(seed: int = 0, n: int = 40, classes: int = 3, ids=None, targets_seed: int = 0) -> Predictions:
    rng = np.random.default_rng(seed)
    targets = np.random.default_rng(targets_seed).integers(0, classes, n).astype(np.int32)
    shares = rng.dirichlet(np.ones(classes), n).astype(np.float16)
    predicted = shares.argmax(axis=1).astype(np.int32)
    return Predictions(predicted, targets, shares, np.arange(n) if ids is None else ids)


@pytest.fixture
def sweep(record, tmp_path, monkeypatch):
    """``sweep({(model, seed): predictions})``: a folder of such records, of which nothing has been derived."""
    monkeypatch.setattr(outcomes, "_known", {})

    def make(found, name="sweep"):
        for (model, seed), kept in found.items():
            made = record(f"model={model},seed={seed}")
            folder = tmp_path / name / made.name
            folder.mkdir(parents=True)
            if kept is not None:
                content = packed({"test": kept})
                (folder / PREDICTIONS_FILE).write_bytes(content)
                made.predictions_sha256 = hashlib.sha256(content).hexdigest()
            made.write(folder)
        return tmp_path / name

    return make


def rows(folder):
    return {row.label: row for row in tabulate(collect([folder])).rows}


def table_of(*rows):
    return outcomes.correct_table(outcomes.outcomes_of(job for row in rows for job in row.counted))


def test_a_group_is_a_table_of_its_runs_and_the_images(sweep):
    found = {("cnn", seed): predictions(seed, n=21) for seed in (3, 0, 2)}
    row = rows(sweep(found))["model=cnn"]
    table = table_of(row)
    assert table.dtype == bool
    assert table.tolist() == [found["cnn", seed].correct.tolist() for seed in (0, 2, 3)]


@pytest.mark.parametrize(
    "other",
    [
        None,
        predictions(1, n=39),
        predictions(1, targets_seed=1),
        predictions(1, ids=np.arange(40) + 1),
        predictions(1, ids=np.array([str(index) for index in range(40)])),
    ],
    ids=["none", "fewer", "other targets", "other images", "named"],
)
def test_there_is_no_table_where_a_run_has_none_or_answered_for_other_images(sweep, other):
    row = rows(sweep({("cnn", 0): predictions(0), ("cnn", 1): other}))["model=cnn"]
    assert table_of(row) is None
    assert len(outcomes.usable_outcomes(row)) == (1 if other is None else 2)


def test_groups_are_of_the_same_images_or_not(sweep):
    found = {(model, seed): predictions(seed) for model in ("cnn", "fc") for seed in (0, 1)}
    both = rows(sweep(found))
    assert table_of(*both.values()) is not None
    moved = rows(sweep({**found, ("fc", 1): predictions(1, ids=np.arange(40)[::-1])}, "moved"))
    assert table_of(moved["model=cnn"]) is not None
    assert table_of(*moved.values()) is None


@pytest.mark.parametrize("how", ["other", "cut", "missing"])
def test_predictions_that_were_changed_are_named_and_not_used(sweep, how):
    folder = sweep({("cnn", seed): predictions(seed) for seed in (0, 1, 2)})
    path = folder / "model=cnn,seed=1" / PREDICTIONS_FILE
    content = path.read_bytes()
    path.unlink()
    if how != "missing":
        path.write_bytes({"other": packed({"test": predictions(5)}), "cut": content[:50]}[how])
    table = tabulate(collect([folder]))
    assert table_of(table.rows[0]) is None
    [said] = [caveat for caveat in caveats(table) if "redictions" in caveat]
    assert said.startswith("Predictions of 1 run cannot be used: ")
    assert "model=cnn,seed=1" in said
    assert compare([folder], pictures=False).page.is_file()


def test_what_was_derived_is_read_from_the_cache_and_the_predictions_are_not(sweep, monkeypatch):
    folder = sweep({("cnn", seed): predictions(seed, n=13) for seed in (0, 1)})
    before = compare([folder], pictures=False)
    tables = table_of(before.table.rows[0])
    bins = [found.reliability.tolist() for found in outcomes.usable_outcomes(before.table.rows[0])]
    cache = folder / "comparison" / outcomes.CACHE_FILE
    content = cache.read_bytes()
    monkeypatch.setattr(outcomes, "_known", {})
    monkeypatch.setattr(outcomes, "read_predictions", lambda *rest: pytest.fail("read again"))
    again = compare([folder], pictures=False).table.rows[0]
    assert np.array_equal(table_of(again), tables)
    assert [found.reliability.tolist() for found in outcomes.usable_outcomes(again)] == bins
    assert cache.read_bytes() == content
    (cache.parent / WRITTEN_FILE).unlink()  # of an earlier version
    compare([folder], pictures=False)
    assert read_written(cache.parent)[cache.name] == hashlib.sha256(content).hexdigest()


@pytest.mark.parametrize("how", ["empty", "text", "cut", "flipped", "version", "bins", "folder"])
def test_a_damaged_cache_is_passed_over_and_made_again(sweep, how, monkeypatch):
    folder = sweep({("cnn", seed): predictions(seed) for seed in (0, 1)})
    compare([folder], pictures=False)
    cache = folder / "comparison" / outcomes.CACHE_FILE
    content = cache.read_bytes()
    if how in ("version", "bins"):
        with np.load(cache) as file:
            arrays = dict(file)
        changed = {"version": np.array(99)} if how == "version" else {"reliability": np.zeros((2, 3, BINS + 1))}
        with cache.open("wb") as file:
            np.savez_compressed(file, **{**arrays, **changed})
    else:
        flipped = content[:100] + bytes([content[100] ^ 255]) + content[101:]
        cache.write_bytes({"empty": b"", "text": b"no archive", "cut": content[:-30], "flipped": flipped}.get(how, b""))
    if how == "folder":
        cache.unlink()
    monkeypatch.setattr(outcomes, "_known", {})
    row = compare([folder], pictures=False).table.rows[0]
    assert table_of(row).shape == (2, 40)
    assert cache.read_bytes() == content


@given(st.integers(0, 400), st.integers(0, 2**31))
def test_calibration_is_scikit_learns(n, seed):
    rng = np.random.default_rng(seed)
    sure = rng.random(n) if seed % 2 else rng.integers(0, BINS + 1, n) / BINS
    right = rng.random(n) < sure
    bins = reliability(sure, right)
    assert bins[0].sum() == n
    if n == 0:
        assert np.isnan(calibration_error(bins))
        return
    there = bins[0] > 0
    shares, confidences = bins[2, there] / bins[0, there], bins[1, there] / bins[0, there]
    if seed % 2:  # on an edge, scikit-learn's bins end by rounding
        true, predicted = calibration_curve(right, sure, n_bins=BINS, strategy="uniform")
        np.testing.assert_allclose(shares, true)
        np.testing.assert_allclose(confidences, predicted)
    assert calibration_error(bins) == pytest.approx(np.average(abs(shares - confidences), weights=bins[0, there]))


_COMPARE = """
import resource, sys, time
from pathlib import Path
from vision_baselines.report.write import compare
compare([Path(sys.argv[1])], pictures=False)
assert "torch" not in sys.modules
print(f"{time.process_time():.1f} s of CPU time, {resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1e6:.2f} GB")
"""


@pytest.mark.slow
def test_a_thousand_runs_of_ten_thousand_images_are_compared_within_a_gigabyte(full_sweep, tmp_path):
    """What it takes the first time and after; the figures in docs/statistics.md."""
    settings = [{"optimizer.lr": f"{place / 1e4:g}"} for place in range(1, 101)]
    folder = full_sweep(tmp_path / "many", ["cnn"], 10, extras=settings, filters=False)
    for place, path in enumerate(sorted(folder.iterdir())):
        made = read_record(path)
        found = predictions(place, n=10_000, classes=10)
        content = packed({"test": found})
        made.confusion, made.metrics["test/acc"] = found.confusion(10).tolist(), float(found.correct.mean())
        (path / PREDICTIONS_FILE).write_bytes(content)
        made.predictions_sha256 = hashlib.sha256(content).hexdigest()
        made.write(path)
    for when in ("the first time", "after"):
        command = [sys.executable, "-c", _COMPARE, str(folder)]
        took = subprocess.run(command, check=True, capture_output=True, text=True).stdout
        logging.getLogger(__name__).info("1,000 runs compared %s: %s", when, took.strip())
        assert float(took.split()[-2]) < 1
    assert "cannot be used" not in (folder / "comparison" / "comparison.md").read_text()
