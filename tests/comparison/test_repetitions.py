"""Seed, split seed and fold are axes of chance: they make no group, pair runs, and say what a mean was taken over."""

from __future__ import annotations

import math
from pathlib import Path

import pytest
from scipy import stats

from vision_baselines.comparison.caveats import caveats
from vision_baselines.comparison.collection import Collection, Job
from vision_baselines.comparison.repetition import Part, Repetition, in_words
from vision_baselines.comparison.table import tabulate
from vision_baselines.comparison.verdict import headline
from vision_baselines.report.legend import legend

FOLD_LUCK = (0.00, 0.02, -0.01, 0.03, 0.01)
GAIN = (0.02, 0.01, 0.03, 0.02, 0.04)


def fold_run(record, model, fold, seed=0, *, over=None, split_seed=None, shift=0.0, folds=5, **changes):
    acc = 0.8 + FOLD_LUCK[fold] + 0.001 * seed + shift
    words = [f"model={model}", f"data.folds={folds}", f"data.fold={fold}", f"seed={seed}"]
    if split_seed is not None:
        words.append(f"data.split_seed={split_seed}")
    data = {"folds": folds, "fold": fold, "folds_over": over, "split_seed": split_seed}
    return record(
        words,
        metrics={"val/acc": acc, "test/acc": acc - 0.05},
        config={"seed": seed, "model": {"_target_": model}, "data": data},
        data_sha256="d",
        **({"test_sha256": f"{split_seed}-{fold}" if over == "all" else "same"} | changes),
    )


def table_of(*records, **options):
    jobs = tuple(Job(Path(str(n)), f"place{n}", found) for n, found in enumerate(records))
    return tabulate(Collection(jobs, ()), **options)


@pytest.fixture
def two_models(record):
    def made(seeds=(0,), **options):
        return [
            fold_run(record, model, fold, seed, shift=GAIN[fold] * (model == "cnn"), **options)
            for model in ("cnn", "fc")
            for fold in range(5)
            for seed in seeds
        ]

    return made


@pytest.mark.parametrize(("over", "metric"), [(None, "val/acc"), ("all", "test/acc")])
def test_folds_are_one_group_compared_on_the_part_held_out(two_models, over, metric):
    table = table_of(*two_models(over=over))
    assert [row.label for row in table.rows] == ["model=cnn", "model=fc"]
    assert table.metric.name == metric
    assert not any(row.is_tested_elsewhere for row in table.rows)
    assert not any("different test sets" in caveat for caveat in caveats(table))


@pytest.mark.parametrize("seeds", [(0,), (0, 1, 2)])
def test_difference_over_folds_has_the_corrected_variance_whatever_the_number_of_seeds(two_models, seeds):
    found = table_of(*two_models(seeds)).rows[0].difference
    mean, variance = 0.024, 0.00013  # of GAIN, by hand
    error = math.sqrt(variance * (1 / 5 + 1 / 4))
    assert found.n == 5
    assert found.mean == pytest.approx(mean)
    assert found.p_value == pytest.approx(2 * stats.t.sf(mean / error, 4))
    assert found.ci_high - found.mean == pytest.approx(stats.t.ppf(0.975, 4) * error)


def test_interval_of_a_mean_over_folds_and_seeds_is_that_of_fold_means(two_models):
    row = table_of(*two_models((0, 1, 2))).rows[1]
    found = row.metrics["val/acc"]
    error = math.sqrt(0.00025 * (1 / 5 + 1 / 4))  # FOLD_LUCK has a variance of 0.00025
    assert (found.n, found.mean) == (15, pytest.approx(0.811))
    assert found.ci_high - found.mean == pytest.approx(stats.t.ppf(0.975, 4) * error)
    assert row.averaged_over("val/acc") == "5 folds × 3 seeds"


def test_a_test_split_that_every_fold_shares_is_not_corrected_for_overlap(two_models):
    found = table_of(*two_models(), metric="test/acc").rows[1].metrics["test/acc"]
    assert found.ci_high - found.mean == pytest.approx(stats.t.ppf(0.975, 4) * math.sqrt(0.00025 / 5))


def test_folds_of_another_cut_are_not_paired(record):
    runs = [
        fold_run(record, model, fold, split_seed=cut) for model, cut in (("cnn", 1), ("fc", 2)) for fold in range(3)
    ]
    assert table_of(*runs).rows[0].difference.n == 0


def test_repeated_folds_count_each_fold_of_each_cut(record):
    runs = [
        fold_run(record, model, fold, split_seed=cut, shift=(GAIN[fold] + 0.001 * cut) * (model == "cnn"))
        for model in ("cnn", "fc")
        for cut in (1, 2)
        for fold in range(5)
    ]
    table = table_of(*runs)
    assert table.rows[0].difference.n == 10
    assert table.rows[0].difference.over == "5 folds × 2 split seeds"


def test_fold_tested_on_other_images_than_its_pair_is_not_compared(record):
    runs = [fold_run(record, model, 0, over="all", test_sha256=model) for model in ("cnn", "fc")]
    table = table_of(*runs)
    assert table.rows[0].is_tested_elsewhere
    assert any("2 different test sets" in caveat for caveat in caveats(table))


def test_page_says_which_folds_are_missing_and_that_test_took_no_part(two_models):
    found = "\n".join(caveats(table_of(*two_models()[:-1])))
    assert "model=fc: only 4 of 5 folds stand in its numbers." in found
    assert "model=cnn: only" not in found
    assert "1 run finished on one side only" in found
    assert "Validation accuracy is cross-validated" in found
    found = "\n".join(caveats(table_of(*two_models(over="all"))))
    assert "cross-validated" not in found
    assert "took part in the choice by validation in others" in found


def test_legend_says_what_the_intervals_are_over(two_models):
    assert "over folds or split seeds" in legend(table_of(*two_models()))
    assert "paired by seed, split seed and fold" in legend(table_of(*two_models()))


def test_copies_between_a_fold_and_the_rest_are_said(record):
    facts = {"num_classes": 2, "image_shape": [1, 8, 8], "mean": [0], "std": [1], "splits": {}}
    made = fold_run(record, "fc", 0, data={**facts, "duplicates": {"train and val": 3, "train and test": 1}})
    assert any("3 validation images are in train too" in caveat for caveat in caveats(table_of(made)))


def test_one_fold_is_compared_over_its_seeds(record):
    runs = [
        fold_run(record, model, 0, seed, shift=GAIN[seed] * (model == "cnn"))
        for model in ("cnn", "fc")
        for seed in range(3)
    ]
    row = table_of(*runs).rows[0]
    assert row.difference.n == 3
    assert row.averaged_over("val/acc") == ""


def test_two_folds_are_too_few_however_many_seeds(record):
    runs = [
        fold_run(record, model, fold, seed, folds=2, shift=GAIN[fold] * (model == "cnn"))
        for model in ("cnn", "fc")
        for fold in (0, 1)
        for seed in range(4)
    ]
    table = table_of(*runs)
    assert table.rows[0].difference.conclusion == "too few pairs"
    assert math.isnan(table.rows[0].metrics["val/acc"].ci_low)


def test_verdict_says_what_was_averaged_over(two_models):
    assert "n = 5 folds × 3 seeds" in headline(table_of(*two_models((0, 1, 2))))


@pytest.mark.parametrize(
    ("split", "cut_from", "ratio"), [("test", "train", 0.25), ("test", None, 0.0), ("val", "train", 1 / 3)]
)
def test_split_seeds_are_corrected_where_they_cut_what_is_measured(record, split, cut_from, ratio):
    splits = {
        "train": {"size": 60},
        "val": {"size": 20, "cut_from": "train"},
        "test": {"size": 20, "cut_from": cut_from},
    }
    facts = {"num_classes": 2, "image_shape": [1, 8, 8], "mean": [0], "std": [1], "splits": splits}
    runs = [
        record(
            f"data.split_seed={cut}",
            0.8 + FOLD_LUCK[cut],
            config={"data": {"split_seed": cut}},
            data=facts,
        )
        for cut in range(5)
    ]
    row = table_of(*runs).rows[0]
    found = row.metrics[f"{split}/acc"]
    assert row.averaged_over("test/acc") == "5 split seeds"
    half = stats.t.ppf(0.975, 4) * math.sqrt(0.00025 * (1 / 5 + ratio))
    assert found.ci_high - found.mean == pytest.approx(half)


@pytest.mark.parametrize("value", ["many", [1], {"a": 1}, True, 1])
def test_a_strange_fold_in_a_record_is_no_error(record, value):
    made = record("model=cnn", config={"data": {"folds": value, "fold": value, "split_seed": value}})
    assert table_of(made).rows[0].n_finished == 1


def test_words():
    folds = [Repetition(seed, Part(cut, 5, fold)) for seed in (0, 1) for cut in (7, 8) for fold in range(5)]
    assert in_words(folds) == "5 folds × 2 split seeds × 2 seeds"
    assert in_words(folds[:-1]) == "19 runs of 5 folds × 2 split seeds × 2 seeds"
    assert in_words([Repetition(0)]) == "1 seed"
