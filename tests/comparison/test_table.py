"""The numbers of a comparison, against SciPy and hand arithmetic."""

from __future__ import annotations

import math
from pathlib import Path

import numpy as np
import pytest
from scipy import stats

from vision_baselines.comparison.collection import Collection, Job, Unreadable
from vision_baselines.comparison.repetition import Repetition
from vision_baselines.comparison.table import tabulate
from vision_baselines.runs.record import Parameters, Status, Timings

CNN = [0.91, 0.93, 0.92, 0.95]
FC = [0.90, 0.90, 0.91, 0.92]


def table_of(*records, unreadable=(), **options):
    jobs = tuple(Job(Path(str(n)), f"place{n}", found) for n, found in enumerate(records))
    return tabulate(Collection(jobs, tuple(unreadable)), **options)


def two_models(record):
    return [record(f"model=cnn,seed={s}", acc) for s, acc in enumerate(CNN)] + [
        record(f"model=fc,seed={s}", acc) for s, acc in enumerate(FC)
    ]


def test_mean_std_median_and_best_match_hand_arithmetic(record):
    cnn = table_of(*two_models(record)).rows[0]
    summary = cnn.metrics["test/acc"]

    assert summary.n == 4
    assert summary.mean == pytest.approx(3.71 / 4)
    assert summary.std == pytest.approx(math.sqrt(8.75e-4 / 3))  # squared deviations from 0.9275
    assert summary.median == pytest.approx(0.925)
    assert cnn.best == pytest.approx({"test/acc": 0.95, "test/loss": 0.05, "val/acc": 0.95})


def test_the_interval_matches_scipy(record):
    summary = table_of(*two_models(record)).rows[0].metrics["test/acc"]
    expected = stats.t.interval(0.95, df=3, loc=np.mean(CNN), scale=stats.sem(CNN))

    assert (summary.ci_low, summary.ci_high) == pytest.approx(expected)


def test_the_paired_difference_matches_scipy(record):
    cnn, fc = table_of(*two_models(record)).rows
    expected = stats.ttest_rel(CNN, FC)
    interval = expected.confidence_interval(0.95)

    assert cnn.difference.mean == pytest.approx(0.02)
    assert cnn.difference.p_value == pytest.approx(expected.pvalue)
    assert (cnn.difference.ci_low, cnn.difference.ci_high) == pytest.approx((interval.low, interval.high))
    assert fc.difference is None


def test_pairs_are_made_by_seed_whatever_the_order(record):
    shuffled = [two_models(record)[i] for i in (6, 2, 5, 0, 7, 3, 1, 4)]

    assert table_of(*shuffled).rows[0].difference.mean == pytest.approx(0.02)


def test_a_seed_that_finished_on_one_side_is_in_the_mean_and_in_no_pair(record, failed):
    records = [*two_models(record)[:7], failed("model=fc,seed=3")]
    cnn, fc = table_of(*records).rows

    assert (cnn.metrics["test/acc"].n, fc.metrics["test/acc"].n) == (4, 3)
    assert (cnn.difference.n, cnn.difference.unpaired) == (3, 1)
    assert len(fc.failed) == 1


def test_the_group_model_fc_is_the_baseline_unless_another_is_named(record):
    records = two_models(record)

    assert table_of(*records).baseline == "model=fc"
    assert table_of(*records, baseline="model=cnn").rows[1].difference.mean == pytest.approx(-0.02)
    assert table_of(record("model=cnn"), record("model=vit")).baseline is None


def test_every_record_is_in_exactly_one_count(record, failed):
    records = [
        *two_models(record),
        record("model=cnn,seed=0", 0.91),
        failed("model=fc,seed=9"),
        failed("model=fc,seed=10", status=Status.DIVERGED),
        record("model=cnn,seed=11", None, status=Status.RUNNING),
        record("model=cnn,seed=12", None, status=Status.INTERRUPTED),
    ]
    table = table_of(*records, unreadable=[Unreadable("broken", "why")])
    counts = [row.n_finished + len(row.failed) + len(row.pending) + len(row.repeated) for row in table.rows]

    assert counts == [len(row.jobs) for row in table.rows]
    assert sum(counts) + len(table.unreadable) == len(records) + 1


def test_a_repetition_of_the_same_run_counts_once(record):
    once, again = record("model=cnn,seed=0", 0.9), record("model=cnn,seed=0", 0.9)
    row = table_of(once, again, record("model=cnn,seed=1", 0.8)).rows[0]

    assert row.metrics["test/acc"].n == 2
    assert row.metrics["test/acc"].mean == pytest.approx(0.85)
    assert len(row.repeated) == 1


def test_several_runs_of_a_seed_are_averaged_before_pairing(record):
    records = [
        record(f"model={m},lr={lr},seed={s}", acc + 0.1 * lr)
        for m, acc in (("cnn", 0.6), ("fc", 0.5))
        for lr in (1, 2)
        for s in (0, 1)
    ]
    cnn = table_of(*records, group_by="model").rows[0]

    assert cnn.metrics["test/acc"].n == 4
    assert cnn.values("test/acc") == pytest.approx({Repetition(0): 0.75, Repetition(1): 0.75})
    assert cnn.difference.n == 2
    assert cnn.difference.mean == pytest.approx(0.1)


@pytest.mark.parametrize("broken", [math.nan, math.inf])
def test_a_value_that_is_no_number_stays_out_of_the_mean(record, broken):
    row = table_of(record("seed=0", 0.5), record("seed=1", 0.7), record("seed=2", broken)).rows[0]

    assert row.n_finished == 3
    assert row.metrics["test/acc"].n == 2
    assert row.metrics["test/acc"].mean == pytest.approx(0.6)


def test_costs_are_medians_of_what_is_known(record):
    records = [
        record(
            f"seed={s}",
            parameters=Parameters(total=10, trainable=10, flops_per_image=flops),
            timings=Timings(fit_s=fit_s, images_per_s=rate),
            peak_memory_bytes=memory,
        )
        for s, fit_s, rate, memory, flops in (
            (0, 1.0, None, 100, None),
            (1, 5.0, 30.0, 300, 7),
            (2, 3.0, 10.0, None, 7),
        )
    ]
    costs = table_of(*records).rows[0].costs

    assert (costs.parameters, costs.flops_per_image, costs.fit_s) == (10, 7, 3.0)
    assert (costs.images_per_s, costs.peak_memory_bytes) == (20.0, 200)


def test_an_unknown_metric_is_refused_with_those_that_exist(record):
    with pytest.raises(ValueError, match=r"metric='test/f1' .*there is: test/acc, test/loss, val/acc"):
        table_of(record("seed=0"), metric="test/f1")


def test_any_metric_is_taken_as_long_as_nothing_finished(failed):
    assert table_of(failed("seed=0"), metric="test/f1").rows[0].metrics == {}


def test_ranking_follows_the_direction_of_the_metric(record):
    records = two_models(record)

    assert [row.label for row in table_of(*records).ranked()] == ["model=cnn", "model=fc"]
    assert [row.label for row in table_of(*records, metric="test/loss").ranked()] == ["model=cnn", "model=fc"]
