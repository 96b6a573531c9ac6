"""Axes end where values do, whatever the runs reached and however few they are."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from vision_baselines.comparison.collection import Collection, Job
from vision_baselines.comparison.table import tabulate
from vision_baselines.plots.cost import parameters_figure, seconds_figure
from vision_baselines.plots.curves import curves_figure, timed_curves_figure
from vision_baselines.plots.intervals import accuracy_figure, difference_figure
from vision_baselines.plots.measured import curve_figure, over_difference_figure, over_figure
from vision_baselines.report.columns import chosen
from vision_baselines.report.frames import jobs_frame
from vision_baselines.report.tables import job_columns, job_rows
from vision_baselines.runs.record import Curve, EpochRow, Parameters, Timings

shares = st.one_of(st.sampled_from([0.0, 1.0, 0.5]), st.floats(0, 1))


def table_of(*records, **options):
    jobs = tuple(Job(Path(str(n)), f"place{n}", found) for n, found in enumerate(records))
    return tabulate(Collection(jobs), **options)


def run(record, model, seed, value, *, epochs=2, lr=0.1):
    return record(
        f"model={model},data.train_fraction={lr},seed={seed}",
        value,
        history=[EpochRow(epoch=e, step=e, lr=0.1, metrics={"val/acc": value}) for e in range(epochs)],
        best_epoch=epochs - 1,
        curves={"shift/acc": Curve(x=[0, 1], y=[value, value / 2], x_label="px", y_label="test accuracy")},
        timings=Timings(fit_s=2.0, epoch_fit_s=[1.0 + e for e in range(epochs)]),
        parameters=Parameters(total=10, trainable=10),
    )


@pytest.mark.slow
@pytest.mark.ci
@settings(max_examples=15)
@given(values=st.lists(st.tuples(shares, shares), min_size=1, max_size=4))
def test_no_axis_of_an_accuracy_shows_what_an_accuracy_cannot_be(record, values):
    records = [
        run(record, model, seed, value, lr=lr)
        for seed, pair in enumerate(values)
        for model, value in zip(("cnn", "fc"), pair, strict=True)
        for lr in (0.1, 0.2)
    ]
    table = table_of(*records, group_by="model", over="data.train_fraction")
    sides = [
        (accuracy_figure(table), "x", 0),
        (difference_figure(table), "x", -100),
        (curves_figure(table, table.rows, "val/acc"), "y", 0),
        (timed_curves_figure(table, table.rows, "val/acc"), "y", 0),
        (curve_figure(table, table.rows, "shift/acc"), "y", 0),
        (over_figure(table), "y", 0),
        (over_difference_figure(table), "y", -100),
        (parameters_figure(table, table.rows), "y", 0),
        (seconds_figure(table, table.rows), "y", 0),
    ]

    for figure, side, lowest in sides:
        low, high = sorted(getattr(figure.axes[0], f"get_{side}lim")())
        assert lowest - 1e-9 <= low < high <= 100 + 1e-9


@pytest.mark.parametrize("epochs", [1, 2, 3, 40])
def test_epochs_are_whole_numbers_from_0_in_the_picture_as_in_the_record(record, epochs):
    table = table_of(*(run(record, "cnn", seed, 0.9, epochs=epochs) for seed in range(2)))
    figure = curves_figure(table, table.rows, "val/acc")
    figure.draw_without_rendering()
    axes = figure.axes[0]
    low, high = axes.get_xlim()
    labels = [label.get_text() for label in axes.get_xticklabels()]
    shown = [int(text) for text, at in zip(labels, axes.get_xticks(), strict=True) if low <= at <= high]

    assert axes.get_lines()[0].get_xdata().tolist() == list(range(epochs))
    assert shown[0] == 0
    assert set(shown) <= set(range(-1, epochs + 1))
    assert len(shown) == len(set(shown)) == (1 if epochs == 1 else len(shown))


def test_the_best_epoch_has_one_number_everywhere(record):
    table = table_of(run(record, "cnn", 0, 0.9, epochs=10))
    [column] = chosen(job_columns(table), ("best_epoch",))

    assert column.heading == "best epoch, from 0"
    assert column.write(job_rows(table)[0]) == "9"
    assert jobs_frame(table)["best_epoch"].tolist() == [table.jobs[0].record.best_epoch] == [9]
    assert curves_figure(table, table.rows, "val/acc").axes[0].get_lines()[0].get_xdata().max() == 9


@pytest.mark.parametrize("length", [10, 60, 300])
def test_a_long_label_is_wrapped_and_the_number_beside_it_stays(record, length):
    label = ", ".join(["optimizer.weight_decay=0.0001"] * 12)[:length]
    table = table_of(*(record([f"model={label}", f"seed={s}"], 0.9) for s in range(3)))
    figure = accuracy_figure(table)
    texts = [text.get_text() for text in figure.axes[0].texts]

    assert max(map(len, texts)) <= 55
    assert sum(map(len, texts)) >= min(length, 160)
    assert texts[-1].endswith("n = 3")
