"""What probes measured, the metric over a setting, accuracy by second: the numbers, and that the page shows them."""

from __future__ import annotations

import math
import re

import numpy as np
import pytest
from scipy import stats

from vision_baselines.cli.compare import main
from vision_baselines.comparison.collection import Collection, Job, collect
from vision_baselines.comparison.errors import UnknownNameError
from vision_baselines.comparison.metric import Metric
from vision_baselines.comparison.table import tabulate
from vision_baselines.plots.curves import timed_curves_figure
from vision_baselines.plots.measured import curve_figure, curve_names, curve_points, over_figure
from vision_baselines.report.pictures import draw
from vision_baselines.report.write import compare
from vision_baselines.runs.record import Curve, EpochRow, Timings


def table_of(tmp_path, *records, **options):
    jobs = tuple(Job(tmp_path / str(n), f"place{n}", found) for n, found in enumerate(records))
    return tabulate(Collection(jobs), **options)


def curve(*y, x=(0, 1, 2)):
    return {"shift/acc": Curve(x=list(x), y=list(y), x_label="images moved by, px", y_label="test accuracy")}


def lines(figure):
    """The x and y of every line of a figure's first axes."""
    return [line.get_xydata().T.tolist() for line in figure.axes[0].get_lines()]


@pytest.fixture
def probed(record):
    """Two groups of three seeds with a curve each; one seed of the first was probed a pixel less far."""
    return [
        record(
            f"model={model},seed={seed}",
            0.9,
            curves=curve(*(0.9 - 0.1 * px - 0.02 * seed for px in range(places)), x=range(places)),
        )
        for model, far in (("cnn", (3, 3, 2)), ("fc", (3, 3, 3)))
        for seed, places in enumerate(far)
    ]


def test_a_curve_is_the_mean_over_seeds_with_students_interval_at_each_place(tmp_path, probed):
    points = dict(curve_points(table_of(tmp_path, *probed).rows[0], "shift/acc"))
    values = [0.8, 0.78, 0.76]
    low, high = stats.t.interval(0.95, 2, np.mean(values), stats.sem(values))

    assert points[1].mean == pytest.approx(np.mean(values))
    assert (points[1].ci_low, points[1].ci_high) == pytest.approx((low, high))
    assert (points[0].n, points[2].n) == (3, 2)


def test_places_where_nothing_finite_was_measured_are_left_out(tmp_path, record):
    table = table_of(tmp_path, record("seed=0", curves=curve(0.5, math.nan, math.inf)))

    assert [x for x, _ in curve_points(table.rows[0], "shift/acc")] == [0]


def test_the_figure_draws_each_group_in_percent_and_its_band_ends_at_a_hundred(tmp_path, record):
    shaky = [record(f"model=cnn,seed={s}", curves=curve(y, y, y)) for s, y in enumerate((0.7, 0.99))]
    table = table_of(tmp_path, *shaky)
    figure = curve_figure(table, table.rows, "shift/acc")

    assert lines(figure) == [[[0, 1, 2], pytest.approx([84.5] * 3)]]
    band = figure.axes[0].collections[0].get_paths()[0].vertices[:, 1]
    assert (band.min(), band.max()) == (0, 100)
    assert figure.axes[0].get_ylabel() == "test accuracy, %"


@pytest.mark.slow
@pytest.mark.ci
def test_the_page_and_tensorboard_show_the_curve_and_none_without(tmp_path, probed, record, write):
    write(tmp_path / "with", *probed)
    write(tmp_path / "without", record("model=cnn,seed=0"))
    page = compare([tmp_path / "with"]).page.read_text()

    assert "<h3>Shift accuracy</h3>" in page
    assert "images moved by, px" in page
    assert "curve_shift_acc" in draw(tabulate(collect([tmp_path / "with"]))).pngs()
    assert "Shift accuracy" not in compare([tmp_path / "without"]).page.read_text()


def test_differences_are_drawn_about_zero_on_a_linear_axis_however_far_they_spread(tmp_path, record):
    def curves(of, y):
        return {of: Curve(x=[50.0, 90.0], y=y, x_label="confidence, %", y_label="gap, points")}

    both = {**curves("calibration/gap", [0.1, 40.0]), **curves("calibration/gap_scaled", [-3.0, -0.1])}
    table = table_of(tmp_path, record("model=cnn,seed=0", curves=both), record("model=cnn,seed=1", curves=both))
    figure = curve_figure(table, table.rows, "calibration/gap")
    low, high = figure.axes[0].get_ylim()
    assert figure.axes[0].get_yscale() == "linear"
    assert low <= -3 < 40 <= high
    assert [0.0, 0.0] in [y for _, y in lines(figure)]
    assert curve_names(table.rows) == ["calibration/gap"]


@pytest.mark.slow
@pytest.mark.ci
def test_a_curve_of_any_name_is_drawn_and_its_text_means_nothing_to_a_browser(tmp_path, record, write):
    evil = "<script>alert(1)</script>"
    found = {
        name: Curve(x=[0.5, 1.25], y=[2.0, 3.0], x_label=evil, y_label=evil) for name in (f"a/{evil}", "a/b", "a_b")
    }
    write(tmp_path, record("model=cnn,seed=0", curves=found))
    pictures = draw(tabulate(collect([tmp_path])))
    keys = [picture.key for picture in pictures.figures if picture.key.startswith("curve_")]

    assert len(set(keys)) == 3
    assert all(re.fullmatch(r"\w+", key) for key in keys)
    page = compare([tmp_path]).page.read_text()
    assert page.count("<script") == 1  # the page's own
    assert evil not in page


def test_a_probes_metric_is_compared_like_any_other_and_accuracies_are_in_percent(tmp_path, record):
    far = [
        record(
            f"model={model},seed={s}", metrics={"test/acc": 0.9, "shift/acc_4px": base + 0.01 * s, "depth/block_0": 2}
        )
        for model, base in (("cnn", 0.7), ("fc", 0.3))
        for s in range(3)
    ]
    table = table_of(tmp_path, *far, metric="shift/acc_4px")

    assert table.metric.title == "shift accuracy 4px"
    assert table.metric.mean_and_std(table.rows[0].metrics["shift/acc_4px"].mean, 0.01) == "71.00 ± 1.00"
    assert table.rows[0].difference.mean == pytest.approx(0.4)
    assert {"shift/acc_4px", "depth/block_0"} <= set(table.metrics)
    assert Metric("shift/acc_4px").validation_name == "val/acc"
    assert not Metric("depth/block_0").is_share


@pytest.fixture
def fractions(record):
    """Two models over three shares of the data and three seeds, with what they know written down by hand."""
    return [
        record(f"data.train_fraction={share},model={model},seed={seed}", acc + 0.01 * seed)
        for model, accs in (("cnn", (0.5, 0.7, 0.9)), ("fc", (0.4, 0.6, 0.8)))
        for share, acc in zip(("0.01", "0.1", "1.0"), accs, strict=True)
        for seed in range(3)
    ]


def test_over_a_setting_there_is_a_series_for_each_group_of_the_rest(tmp_path, fractions):
    table = table_of(tmp_path, *fractions, over="data.train_fraction")

    assert len(table.rows) == 6
    assert [series.label for series in table.series] == ["model=cnn", "model=fc"]
    assert [(x, found.n) for x, found in table.series[1].points] == [(0.01, 3), (0.1, 3), (1.0, 3)]
    assert [found.mean for _, found in table.series[1].points] == pytest.approx([0.41, 0.61, 0.81])


def test_over_names_a_key_of_the_config_too_and_group_by_what_is_left(tmp_path, record):
    records = [
        record(f"model={model},seed={s}", config={"seed": s, "model": {"_target_": model}, "optimizer": {"lr": lr}})
        for model in ("cnn", "fc")
        for s, lr in ((0, 0.1), (1, 0.2))
    ]
    table = table_of(tmp_path, *records, over="optimizer.lr", group_by="model,optimizer.lr")

    assert [(series.label, [x for x, _ in series.points]) for series in table.series] == [
        ("model=cnn", [0.1, 0.2]),
        ("model=fc", [0.1, 0.2]),
    ]


def test_a_wide_setting_is_drawn_on_a_logarithmic_axis_and_a_narrow_one_is_not(tmp_path, fractions, record):
    narrow = [record(f"model.dropout={p},seed=0") for p in (0.0, 0.5)]

    wide_axes = over_figure(table_of(tmp_path, *fractions, over="data.train_fraction")).axes[0]
    assert wide_axes.get_xscale() == "log"
    assert [label.get_text() for label in wide_axes.get_xticklabels()] == ["0.01", "0.1", "1"]
    assert over_figure(table_of(tmp_path, *narrow, over="model.dropout")).axes[0].get_xscale() == "linear"


@pytest.mark.slow
@pytest.mark.ci
def test_the_page_shows_the_metric_over_the_setting_under_its_own_legend(tmp_path, fractions, write):
    write(tmp_path, *fractions)
    page = compare([tmp_path], over="data.train_fraction").page.read_text()

    assert "<h3>Test accuracy over data.train_fraction</h3>" in page
    [legend] = re.findall(
        r"Test accuracy over data.train_fraction</h3>\s*<p class=\"lines\">(.*?)</p>", page, flags=re.S
    )
    assert re.findall(r"<span>([^<]*)</span>", legend) == ["model=cnn", "model=fc"]
    assert len(set(re.findall(r"--g\d", legend))) == 2


@pytest.mark.parametrize(
    ("key", "message"),
    [
        ("data.fraction", r"^over='data\.fraction' names nothing in these records; there is: .*data\.train_fraction"),
        ("model", r"^over='model' is no number in these records \(cnn, fc\); expected a key such as"),
    ],
)
def test_a_setting_that_no_run_has_or_that_is_no_number_is_one_line(tmp_path, fractions, key, message):
    with pytest.raises(UnknownNameError, match=message):
        table_of(tmp_path, *fractions, over=key)


@pytest.mark.slow
@pytest.mark.ci
def test_the_command_line_names_the_setting(tmp_path, fractions, write, capsys):
    write(tmp_path, *fractions)
    codes = []
    for key in ("data.train_fraction", "model"):
        with pytest.raises(SystemExit) as ended:
            main([str(tmp_path), f"over={key}"])
        codes.append(ended.value.code)

    assert codes == [0, 2]
    assert "over='model' is no number" in capsys.readouterr().err


def test_a_failed_run_gives_no_point_over_a_setting(tmp_path, fractions, failed):
    table = table_of(
        tmp_path, *fractions, failed("data.train_fraction=0.5,model=fc,seed=0"), over="data.train_fraction"
    )

    assert 0.5 not in [x for x, _ in table.series[1].points]


def history(*values):
    return [EpochRow(epoch=e, step=e, lr=0.1, metrics={"val/acc": v}) for e, v in enumerate(values)]


def test_by_second_an_epoch_stands_at_the_mean_second_of_its_group(tmp_path, record):
    records = [
        record("seed=0", history=history(0.2, 0.4), timings=Timings(epoch_fit_s=[1.0, 2.0])),
        record("seed=1", history=history(0.4, 0.6), timings=Timings(epoch_fit_s=[3.0, 6.0])),
    ]
    table = table_of(tmp_path, *records)

    assert lines(timed_curves_figure(table, table.rows, "val/acc")) == [[[2.0, 4.0], pytest.approx([30.0, 50.0])]]


def test_runs_that_kept_no_time_have_no_curve_by_second(tmp_path, record):
    table = table_of(tmp_path, record("seed=0", history=history(0.2, 0.4)))

    assert timed_curves_figure(table, table.rows, "val/acc") is None
