"""Beside every accuracy stands what it is read against: guessing, equal weights, each class, calibration, one image."""

from __future__ import annotations

import csv
import hashlib
from pathlib import Path

import numpy as np
import pytest
from sklearn.metrics import f1_score, recall_score

from vision_baselines.analysis.calibration import calibration_error, reliability
from vision_baselines.comparison import outcomes
from vision_baselines.comparison.collection import Collection, Job, collect
from vision_baselines.comparison.read_against import class_recalls, read_against
from vision_baselines.comparison.table import tabulate
from vision_baselines.plots.reliability import reliability_figure
from vision_baselines.plots.style import house_style
from vision_baselines.report.write import compare
from vision_baselines.runs.predictions import PREDICTIONS_FILE, Predictions, packed

NAMES = ["cat", "dog", "emu"]
IMAGES = 360


@pytest.fixture
def sweep(record, tmp_path, monkeypatch):
    """A sweep of two nets and three seeds whose records and predictions agree; and the predictions by run."""
    monkeypatch.setattr(outcomes, "_known", {})
    targets = np.random.default_rng(9).choice(3, IMAGES, p=[0.6, 0.3, 0.1]).astype(np.int32)
    kept = {}
    for place, model in enumerate(("cnn", "fc")):
        for seed in range(3):
            rng = np.random.default_rng([place, seed])
            logits = rng.normal(size=(IMAGES, 3)) + 2.5 * (targets[:, None] == np.arange(3)) / (1 + place)
            shares = np.exp(logits) / np.exp(logits).sum(axis=1, keepdims=True)
            found = Predictions(
                shares.argmax(axis=1).astype(np.int32), targets, shares.astype(np.float16), np.arange(IMAGES)
            )
            content = packed({"test": found})
            made = record(
                f"model={model},seed={seed}",
                float(found.correct.mean()),
                confusion=found.confusion(3).tolist(),
                class_names=NAMES,
                predictions_sha256=hashlib.sha256(content).hexdigest(),
            )
            made.write(tmp_path / "sweep" / made.name)
            (tmp_path / "sweep" / made.name / PREDICTIONS_FILE).write_bytes(content)
            kept[model, seed] = found
    return tmp_path / "sweep", kept


def test_every_figure_is_the_mean_over_runs_of_an_independent_one(sweep):
    folder, kept = sweep
    for row in tabulate(collect([folder])).rows:
        runs = [kept[row.label.partition("=")[2], seed] for seed in range(3)]
        found = read_against(row)
        assert found.one_image == pytest.approx(1 / IMAGES)
        assert found.largest_class == pytest.approx(np.bincount(runs[0].targets).max() / IMAGES)
        assert found.macro_f1 == pytest.approx(
            np.mean([f1_score(r.targets, r.predicted, average="macro") for r in runs])
        )
        sure = [r.probabilities[np.arange(IMAGES), r.predicted] for r in runs]
        errors = [calibration_error(reliability(s, r.correct)) for s, r in zip(sure, runs, strict=True)]
        assert found.calibration_error == pytest.approx(np.mean(errors))
        expected = np.mean([recall_score(r.targets, r.predicted, average=None) for r in runs], axis=0)
        assert [recall.recall for recall in class_recalls(row)] == pytest.approx(expected.tolist())
        assert [recall.name for recall in class_recalls(row)] == NAMES
        assert found.lowest.recall == pytest.approx(expected.min())
        assert all(recall.low < recall.recall < recall.high for recall in class_recalls(row))


@pytest.mark.slow
@pytest.mark.ci
def test_they_stand_on_the_page_in_markdown_and_in_the_tables(sweep):
    folder, _ = sweep
    made = compare([folder])
    out = made.page.parent
    text = made.page.read_text()
    for said in (
        "What the accuracy is read against",
        "One test image is 0.28 points.",
        "macro F1",
        "Recall of each class",
    ):
        assert said in text
    assert 'aria-label="reliability"' in text
    assert (out / "pictures" / "reliability.png").is_file()
    assert "One test image is 0.28 points." in (out / "comparison.md").read_text()
    with (out / "classes.csv").open() as file:
        rows = list(csv.DictReader(file))
    assert [(row["group"], row["class"]) for row in rows] == [
        (f"model={model}", name) for model in ("cnn", "fc") for name in NAMES
    ]
    assert sum(int(row["n_images"]) for row in rows) == 2 * IMAGES
    with (out / "groups.csv").open() as file:
        groups = list(csv.DictReader(file))
    against = read_against(made.table.rows[0])
    assert float(groups[0]["calibration_error"]) == against.calibration_error
    assert groups[0]["lowest_recall_class"] == against.lowest.name


def table_of(*records):
    return tabulate(Collection(tuple(Job(Path(str(n)), f"place{n}", found) for n, found in enumerate(records))))


def test_without_predictions_the_calibration_is_absent_and_the_rest_is_there(record):
    table = table_of(record(confusion=[[5, 1], [0, 4]], class_names=["a", "b"]))
    found = read_against(table.rows[0])
    assert found.calibration_error is None
    assert found.one_image == pytest.approx(0.1)
    with house_style():
        assert reliability_figure(table, table.rows) is None


def test_without_classes_there_is_nothing(record):
    row = table_of(record()).rows[0]
    assert read_against(row) is None
    assert class_recalls(row) == []


def test_a_run_of_other_images_or_classes_stands_in_no_recall(record):
    same = {"confusion": [[5, 1], [0, 4]], "class_names": ["a", "b"]}
    others = [
        {"confusion": [[9, 1], [0, 4]], "class_names": ["a", "b"]},
        {"confusion": [[6, 0], [4, 0]], "class_names": ["a", "c"]},
        {"confusion": [[6, 0, 0], [4, 0, 0], [0, 0, 0]], "class_names": ["a", "b", "c"]},
    ]
    for other in others:
        row = table_of(record("seed=0", **same), record("seed=1", **other)).rows[0]
        assert [found.recall for found in class_recalls(row)] == pytest.approx([5 / 6, 1.0])
