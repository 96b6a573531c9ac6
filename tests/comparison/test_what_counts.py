"""What counts as one comparison of a page and as one draw of chance, and that gaps are said."""

from __future__ import annotations

import hashlib
import math
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats

from vision_baselines.analysis.two_way import OverImages, share_interval
from vision_baselines.comparison import outcomes
from vision_baselines.comparison.caveats import caveats
from vision_baselines.comparison.collection import Collection, Job, collect
from vision_baselines.comparison.formatting import probability
from vision_baselines.comparison.metric import Metric
from vision_baselines.comparison.table import tabulate
from vision_baselines.comparison.verdict import against_baseline, headline
from vision_baselines.report.legend import legend, sureness_legend
from vision_baselines.report.sureness import is_shown, size_columns
from vision_baselines.runs.predictions import PREDICTIONS_FILE, Predictions, packed


def table_of(records, **options):
    jobs = (Job(Path(str(n)), f"place{n}", found) for n, found in enumerate(records))
    return tabulate(Collection(tuple(jobs)), **options)


def row_of(table, label):
    return next(row for row in table.rows if row.label == label)


def accuracies(models, seeds=4):
    """(model, seed, accuracy), of groups that differ a little."""
    rng = np.random.default_rng(0)
    return [
        (model, seed, 0.9 - 0.01 * place + 0.004 * rng.normal())
        for place, model in enumerate(models)
        for seed in range(seeds)
    ]


@pytest.fixture
def with_answers(record, tmp_path, monkeypatch):
    """Run folders with predictions: ``with_answers([(overrides, accuracy or None, (N,) right answers or None)])``."""
    monkeypatch.setattr(outcomes, "_known", {})

    def make(runs, *, first_id=None, **options):
        for overrides, acc, right in runs:
            made = record(overrides, 0.5)
            made.metrics["test/acc"] = float(np.mean(right)) if acc is None else acc
            place = tmp_path / "sweep" / made.name
            place.mkdir(parents=True)
            if right is not None:
                ids = np.arange(len(right)) + (first_id or {}).get(overrides, 0)
                found = Predictions(np.where(right, 1, 0).astype(np.int32), np.ones(len(right), np.int32), None, ids)
                content = packed({"test": found})
                (place / PREDICTIONS_FILE).write_bytes(content)
                made.predictions_sha256 = hashlib.sha256(content).hexdigest()
            made.write(place)
        return tabulate(collect([tmp_path / "sweep"]), **options)

    return make


@pytest.mark.parametrize(("ranked", "unranked"), [(2, 0), (2, 1), (3, 0), (3, 3), (2, 4)])
def test_without_a_baseline_any_ranked_group_could_have_been_the_reference(record, ranked, unranked):
    models = [f"m{n}" for n in range(ranked + unranked)]
    made = [record(f"model={model},seed={seed}", acc) for model, seed, acc in accuracies(models)]
    for found in made[4 * ranked :]:
        del found.metrics["val/acc"]

    assert table_of(made).family == ranked * (ranked - 1) // 2 + ranked * unranked


@pytest.mark.parametrize(("baseline", "family"), [("model=fc, optimizer.lr=0.1", 7), (None, 15)])
def test_a_comparison_that_stands_on_the_page_twice_counts_once(record, baseline, family):
    # 5 groups against the baseline and, at each of 3 learning rates, cnn against fc: one of those is the same.
    # Without one, those at a learning rate are among all 15 pairs.
    made = []
    for place, (model, seed, acc) in enumerate(accuracies(["cnn", "fc"] * 3)):
        lr = (0.1, 0.2, 0.3)[place // 8]
        made.append(record(f"model={model},optimizer.lr={lr},seed={seed}", acc))
        made[-1].config["optimizer"] = {"lr": lr}
    table = table_of(made, over="optimizer.lr", baseline=baseline)

    assert table.family == family
    for x, row in (point for line in table.series for point in line.rows):
        if x == 0.1 and baseline and row.difference:
            group = row_of(table, "model=cnn, optimizer.lr=0.1")
            assert row.difference.p_corrected == group.difference.p_corrected


def test_several_runs_of_a_seed_are_one_draw(record, with_answers):
    rng = np.random.default_rng(1)
    right = {(lr, seed): rng.random(60) < 0.8 + 0.04 * seed for lr in (0.1, 0.2, 0.3) for seed in range(4)}
    table = with_answers(
        [(f"model=a,optimizer.lr={lr},seed={seed}", None, of) for (lr, seed), of in right.items()], group_by="model"
    )
    [row] = table.rows
    seeds = np.stack([np.mean([of for (_, s), of in right.items() if s == seed], axis=0) for seed in range(4)])
    low, high = stats.t.interval(0.95, 3, seeds.mean(), stats.sem(seeds.mean(axis=1)))
    found = row.metrics["test/acc"]

    assert found.n == 12
    assert (found.mean, found.ci_low, found.ci_high) == pytest.approx((seeds.mean(), low, min(high, 1)))
    assert row.over_images == share_interval(seeds)
    assert "its 12 runs are of 4 seeds" in "\n".join(caveats(table))
    assert "n = 12 runs of 4 seeds" in headline(table)


def test_two_seeds_with_many_runs_have_no_interval(with_answers):
    rng = np.random.default_rng(1)
    runs = [(f"model=a,optimizer.lr={lr},seed={s}", None, rng.random(50) < 0.8) for lr in (1, 2, 3) for s in (0, 1)]
    [row] = with_answers(runs, group_by="model").rows

    assert math.isnan(row.metrics["test/acc"].ci_low)
    assert row.over_images is None


def test_a_run_without_a_finite_metric_stands_in_no_number_and_repeats_no_seed(with_answers):
    rng = np.random.default_rng(2)
    right = rng.random((5, 60)) < 0.8
    runs = [(f"model={m},seed={s}", None, of) for m in ("a", "fc") for s, of in enumerate(right)]
    runs[3] = ("model=a,seed=3", math.nan, None)
    table = with_answers(runs)
    row = row_of(table, "model=a")

    assert row.over_images == share_interval(right[[0, 1, 2, 4]])
    assert row.difference.n == 4
    said = "\n".join(caveats(table))
    assert "1 finished job without a finite test/acc" in said
    assert "several runs of one seed" not in said


def test_pairs_that_are_missing_are_said_of_the_group_that_was_compared_with(record):
    made = [record(f"model={m},seed={s}", 0.9 - 0.1 * (m == "b") + 0.01 * s**2) for m in "ab" for s in range(5)]
    said = "\n".join(caveats(table_of(made[:-1])))

    assert "model=b against model=a: 1 seed finished on one side only" in said
    assert "None" not in said


def test_runs_without_predictions_are_said_where_others_have_some(with_answers):
    rng = np.random.default_rng(3)
    right = rng.random((4, 60)) < 0.7
    better = right | (rng.random((4, 60)) < 0.5)
    runs = [
        (f"model={m},seed={s}", None, of) for m, side in (("a", better), ("fc", right)) for s, of in enumerate(side)
    ]
    runs[1] = ("model=a,seed=1", float(better[1].mean()), None)
    table = with_answers(runs)
    said = "\n".join(caveats(table))

    assert "model=a: 1 of 4 runs has no predictions" in said
    assert "calibration error is of the other 3 alone" in said
    assert "model=fc: " not in said
    assert "what other test images would say is unknown" in headline(table)


def test_predictions_of_other_images_are_said(with_answers):
    rng = np.random.default_rng(3)
    runs = [(f"model={m},seed={s}", None, rng.random(60) < 0.7) for m in ("a", "fc") for s in range(3)]
    moved = {f"model=fc,seed={s}": 7 for s in range(3)}
    table = with_answers(runs, first_id=moved)

    assert "Predictions are of 2 different sets of test images" in "\n".join(caveats(table))
    assert "what other test images would say is unknown" in headline(table)


@pytest.mark.parametrize("models", [("a", "b"), ("a", "b", "c")])
def test_a_p_value_that_is_not_corrected_says_so(with_answers, models):
    shares = {"a": 0.9, "b": 0.6, "c": 0.5}
    runs = [(f"model={model},seed=0", None, np.arange(60) < 60 * shares[model]) for model in models]
    table = with_answers(runs, baseline="model=b")
    row = row_of(table, "model=a")
    heading = next(column.heading for column in size_columns(table) if column.name == "mcnemar p")
    claim = against_baseline(row, "model=b", table.metric).proof

    assert ("not corrected" in heading) is (len(models) > 2)
    assert ("not corrected for 2 comparisons" in claim) is (len(models) > 2)
    assert ("headed as not corrected" in sureness_legend(table)) is (len(models) > 2)


@pytest.mark.parametrize(
    ("apart", "words", "is_planned_for_all"),
    [
        ("", "both get the same new seed.", True),
        ("bc", "each gets a new seed of its own.", None),
        ("c", "both get the same new seed (each its own, if groups share none).", False),
    ],
)
def test_the_legend_says_which_seeds_new_runs_have(record, apart, words, is_planned_for_all):
    made = [record(f"model={m},seed={seed + 10 * (m in apart)}", acc) for m, seed, acc in accuracies("abc")]
    said = sureness_legend(table_of(made, baseline="model=a"))

    assert words in said
    assert ("Could find" in said) is (is_planned_for_all is not None)
    assert ("not given where groups share no seed" in said) is (is_planned_for_all is False)


@pytest.mark.parametrize("sign", [1, -1])
@pytest.mark.parametrize("signed", [True, False])
@pytest.mark.parametrize("name", ["test/acc", "test/loss"])
def test_numbers_below_zero_have_a_minus_sign_and_zero_has_none(name, signed, sign):
    metric = Metric(name)
    written = metric.interval(-0.0267, 0.0128, signed=signed)

    assert "-" not in written
    assert written.startswith("[−")
    assert ("+" in written) is signed
    assert Metric("test/acc").signed(sign * 1e-6) == Metric("test/acc").bare(sign * 1e-6) == "0.00"


def test_an_interval_over_images_that_holds_zero_has_its_signs_beside_a_lead(record):
    made = [
        record(f"model={m},seed={s}", 0.9 + 0.03 * (m == "a") + 0.001 * s**2) for m in ("a", "fc") for s in range(4)
    ]
    made[0].metrics["test/acc"] += 0.001
    table = table_of(made)
    [row] = [row for row in table.rows if row.difference]
    images = OverImages(row.difference.mean, -0.0267, 0.0128, 0.4, 0.5)
    row = replace(row, evidence=replace(row.evidence, over_images=images))

    assert "of this kind [−2.67, +1.28]" in against_baseline(row, "model=fc", table.metric).proof


@given(st.floats(0.04, 0.06))
def test_a_written_p_value_is_on_the_right_side_of_the_level(p_value):
    written = float(probability(p_value).removeprefix("p = "))

    assert (written < 0.05) is (p_value < 0.05)
    assert written != 0.05 or p_value == pytest.approx(0.05, abs=1e-11)


def test_columns_without_a_number_are_left_out(record):
    made = [record(f"model={m},seed={s}", 0.9 + 0.01 * (m == "a") + 0.002 * s) for m in ("a", "fc") for s in range(4)]

    assert not is_shown(size_columns(table_of(made)))  # no spread: nothing is tested


@pytest.mark.parametrize("over", [None, "all"])
@pytest.mark.parametrize(
    "said",
    [
        "classes of the test images are never predicted: 8",
        "every test prediction is one class, 8: that of 10.00% of the test images",
    ],
)
def test_a_fold_of_validation_is_not_called_test(record, over, said):
    made = []
    for fold in range(3):
        acc = 0.5 + 0.01 * fold
        data = {"folds": 3, "fold": fold, "folds_over": over}
        metrics = {"test/acc": acc} if over else {"val/acc": acc}
        made.append(record(f"model=a,data.fold={fold}", metrics=metrics, config={"seed": 0, "data": data}))
        made[-1].caveats = [said]
    table = table_of(made)
    written = next(caveat for caveat in caveats(table) if "3 of 3 jobs" in caveat)

    assert ("test" in written) is (over is not None)
    assert ("tested on this test split" in legend(table)) is (over is not None)


def test_columns_of_pairs_of_seeds_are_left_out_over_folds(record):
    made = []
    for model, fold, acc in accuracies("ab", seeds=5):
        config = {"seed": 0, "data": {"folds": 5, "fold": fold, "folds_over": None}}
        made.append(record(f"model={model},data.fold={fold}", metrics={"val/acc": acc}, config=config))
    table = table_of(made, baseline="model=b")

    assert row_of(table, "model=a").difference.is_tested
    assert not {"beats", "detectable", "needed"} & {column.name for column in size_columns(table)}
    assert "Could find" not in sureness_legend(table)
