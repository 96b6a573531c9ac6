"""The table of the validation metric by epoch."""

from __future__ import annotations

import io
import math
from pathlib import Path

import pandas as pd
import pytest

from vision_baselines.comparison.collection import Collection, Job
from vision_baselines.comparison.epochs import LAST
from vision_baselines.comparison.table import tabulate
from vision_baselines.report.csv_files import csv_files
from vision_baselines.report.markdown import markdown
from vision_baselines.report.page import page
from vision_baselines.report.tables import epochs_of
from vision_baselines.runs.record import EpochRow


@pytest.fixture
def table_with(record):
    """``table_with(("model=fc", seed, [accuracies]), ...)``: a comparison of runs with these validation accuracies."""

    def build(*runs):
        jobs = []
        for n, (model, seed, curve) in enumerate(runs):
            rows = [
                EpochRow(epoch=at, step=at + 1, lr=0.1, metrics={} if value is None else {"val/acc": value})
                for at, value in enumerate(curve)
            ]
            jobs.append(Job(Path(str(n)), f"place{n}", record(f"{model},seed={seed}", 0.9 - n / 100, history=rows)))
        return tabulate(Collection(tuple(jobs), ()))

    return build


@pytest.mark.parametrize(
    ("epochs", "shown"),
    [
        (1, [LAST]),
        (2, [0, LAST]),
        (4, [0, 1, 2, LAST]),
        (10, [0, 1, 2, 5, LAST]),
        (11, [0, 1, 2, 5, LAST]),
        (300, [0, 1, 2, 5, 10, 20, 50, 100, 200, LAST]),
    ],
)
def test_columns_are_round_epochs_and_the_last(table_with, epochs, shown):
    found = epochs_of(table_with(("model=fc", 0, [0.5] * epochs)))
    assert list(found.epochs) == shown
    assert found.metric.name == "val/acc"


def test_cells_are_mean_and_spread_over_seeds_in_csv_markdown_and_on_the_page(table_with):
    table = table_with(
        ("model=cnn", 0, [0.5, 0.7, 0.9]),
        ("model=cnn", 1, [0.6, 0.8]),  # stopped early: its last epoch is epoch 1
        ("model=fc", 0, [0.25, None, math.nan]),  # validated once
        ("model=knn", 0, [None, None]),  # never
    )
    frame = pd.read_csv(io.BytesIO(csv_files(table)["epochs.csv"])).set_index("group")
    assert frame.index.tolist() == ["model=cnn", "model=fc"]
    cnn, fc = frame.loc["model=cnn"], frame.loc["model=fc"]
    assert cnn["val/acc epoch 0 mean"] == pytest.approx(0.55)
    assert cnn["val/acc epoch 0 std"] == pytest.approx(0.1 / math.sqrt(2))
    assert cnn["val/acc last epoch mean"] == pytest.approx(0.85)
    assert fc["val/acc last epoch mean"] == 0.25
    assert math.isnan(fc["val/acc epoch 1 mean"])

    text = markdown(table)
    assert "## Validation accuracy, % by epoch, from 0" in text
    assert "| group | epoch 0 | epoch 1 | last epoch |" in text
    assert "| model=cnn | 55.00 ± 7.07 | 75.00 ± 7.07 | 85.00 ± 7.07 |" in text
    shown = page(table, None)
    assert "Validation accuracy, % by epoch, from 0" in shown
    assert "85.00 ± 7.07" in shown


def test_without_validation_there_is_no_table(table_with):
    table = table_with(("model=fc", 0, [None, None]))
    assert epochs_of(table) is None
    assert csv_files(table)["epochs.csv"] == b"group\n"
    assert "by epoch" not in markdown(table)
    assert "by epoch" not in page(table, None)
