"""That the words claim what the numbers show, and nothing more."""

from __future__ import annotations

from pathlib import Path

import pytest

from vision_baselines.comparison.collection import Collection, Job
from vision_baselines.comparison.table import tabulate
from vision_baselines.comparison.verdict import headline, is_better, short_verdict, winner
from vision_baselines.runs.record import Status


def table_of(*records, **options):
    return tabulate(
        Collection(tuple(Job(Path(str(n)), f"place{n}", found) for n, found in enumerate(records))), **options
    )


@pytest.fixture
def compared(record):
    def build(cnn, fc, **options):
        made = [record(f"model=cnn,seed={s}", acc) for s, acc in enumerate(cnn)]
        return table_of(*made, *(record(f"model=fc,seed={s}", acc) for s, acc in enumerate(fc)), **options)

    return build


def test_a_certain_lead_is_reported_with_its_interval_pairs_and_p(compared):
    text = headline(compared([0.912, 0.923, 0.931], [0.900, 0.910, 0.920]))

    assert text.startswith("model=cnn beats model=fc by 1.20 points of test accuracy (95% interval [")
    assert "n = 3 pairs, p = 0.002" in text


def test_a_certain_lag_is_reported_as_one(compared):
    table = compared([0.900, 0.911, 0.920], [0.912, 0.922, 0.931])

    assert headline(table).startswith("model=cnn falls behind model=fc by 1.13 points")
    assert is_better(table.rows[0].difference, table.metric) is False


def test_a_lower_loss_is_better(compared):
    table = compared([0.912, 0.923, 0.931], [0.900, 0.910, 0.920], metric="test/loss")

    assert table.rows[0].difference.conclusion == "smaller"
    assert short_verdict(table.rows[0].difference, table.metric) == "better"
    assert headline(table).startswith("model=cnn beats model=fc by 0.01200 in test loss (95% interval [0.0")


def test_an_interval_that_holds_zero_tells_nothing_apart(compared):
    text = headline(compared([0.90, 0.93, 0.91], [0.91, 0.90, 0.92]))

    assert "cannot be told apart from model=fc in test accuracy" in text
    assert "beats" not in text


@pytest.mark.parametrize("n", [1, 2])
def test_too_few_pairs_give_no_verdict_and_no_p(compared, n):
    text = headline(compared([0.95, 0.96][:n], [0.90, 0.90][:n]))

    assert f"cannot be told apart from model=fc with n = {n} pair" in text
    assert "it takes at least 3" in text
    assert "p " not in text.replace("pair", "").replace("point", "").replace("apart", "")


def test_no_shared_seed_is_said(record):
    table = table_of(*(record(f"model=cnn,seed={s}") for s in (0, 1)), *(record(f"model=fc,seed={s}") for s in (2, 3)))

    assert "no seed finished in both" in headline(table)


def test_runs_that_are_equal_or_shifted_by_one_amount_are_not_tested(compared):
    assert "equals model=fc in test accuracy for every seed" in headline(compared([0.9, 0.8, 0.7], [0.9, 0.8, 0.7]))
    said = headline(compared([0.75, 0.625, 0.5], [0.5, 0.375, 0.25]))
    assert "for every seed, which leaves nothing to test; add seeds" in said
    assert "perhaps the seed did not reach the runs" in headline(compared([0.75] * 3, [0.5] * 3))


def test_of_many_groups_the_best_is_named_and_compared(record):
    accs = {"cnn": [0.95, 0.96, 0.972], "fc": [0.90, 0.91, 0.92], "mlp": [0.93, 0.91, 0.95]}
    table = table_of(*(record(f"model={m},seed={s}", acc) for m, v in accs.items() for s, acc in enumerate(v)))

    assert headline(table).startswith(
        "model=cnn, chosen by validation accuracy among 3 settings, has a test accuracy of 96.07 ± 1.10%, and "
        "beats model=fc by 5.07 points ("
    )


def test_a_baseline_that_is_best_is_reported_with_what_it_beats(record):
    accs = {"cnn": [0.90, 0.91, 0.92], "fc": [0.95, 0.96, 0.972], "mlp": [0.95, 0.94, 0.97]}
    table = table_of(*(record(f"model={m},seed={s}", acc) for m, v in accs.items() for s, acc in enumerate(v)))

    assert headline(table).startswith("The baseline model=fc, chosen by validation accuracy among 3 settings,")
    assert "it beats model=cnn, and 1 group cannot be told apart from it" in headline(table)


def test_without_a_baseline_the_chosen_is_held_against_the_rest(record):
    accs = {"a": [0.90, 0.91, 0.92], "b": [0.80, 0.81, 0.822], "c": [0.90, 0.89, 0.93]}
    two = table_of(record("model=a,seed=0", 0.9), record("model=b,seed=0", 0.8))
    three = table_of(*(record(f"model={m},seed={s}", acc) for m, v in accs.items() for s, acc in enumerate(v)))

    assert "; model=b cannot be told apart from model=a with n = 1 pair: it takes at least 3" in headline(two)
    assert "; it beats model=b, and 1 group cannot be told apart from it" in headline(three)
    assert "p-values are corrected for 3 comparisons" in headline(three)
    assert winner(three) is None


def test_one_group_states_its_mean(record):
    assert headline(table_of(record("model=a,seed=0", 0.9))) == "model=a reaches a test accuracy of 90.00% (n = 1 run)."


def test_nothing_finished_is_said_with_the_reasons(failed):
    assert headline(table_of(failed("model=a,seed=0"))) == "No job has a result (1 failed)."


@pytest.mark.parametrize(
    ("other", "is_open"),
    [("running", True), ("interrupted", True), ("failed", False), ("diverged", False), ("part", False)],
)
def test_a_result_is_said_to_be_missing_yet_only_where_it_may_come(record, other, is_open):
    def of(group, seed=0):
        if other == "part":
            return record(f"model={group},seed={seed}", 0.5, partial=["trainer.limit_test_batches=1"])
        return record(f"model={group},seed={seed}", None, status=Status(other))

    alone = headline(table_of(of("a")))
    beside = headline(table_of(record("model=a,seed=0", 0.9), of("b")))
    baseline = headline(
        table_of(record("model=a,seed=0", 0.9), record("model=c,seed=0", 0.8), of("b"), baseline="model=b")
    )
    assert alone.startswith("No job has a result" + (" yet" if is_open else " that counts" * (other == "part")) + " (")
    for said in (beside, baseline):
        assert "has no result" in said or "has a result" in said
        assert ("result yet" in said) == is_open


def test_groups_with_too_few_pairs_are_not_called_alike(record):
    made = [
        record(f"model={model},seed={s}", acc) for model, acc in (("a", 0.9), ("b", 0.1), ("c", 0.5)) for s in (0, 1)
    ]
    text = headline(table_of(*made))
    assert "2 groups cannot be tested against it: fewer than 3 pairs of runs" in text
    assert "told apart" not in text
