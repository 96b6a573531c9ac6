"""What a comparison says beyond its paired test: corrected, for other images, equal, and how many seeds it takes."""

from __future__ import annotations

import hashlib
import math
from pathlib import Path

import numpy as np
import pytest
from rich.console import Console
from scipy import stats

from vision_baselines.analysis.multiple import corrected
from vision_baselines.analysis.two_way import difference_interval, share_interval
from vision_baselines.comparison import outcomes
from vision_baselines.comparison.collection import Collection, Job, collect
from vision_baselines.comparison.outcomes import correct_table
from vision_baselines.comparison.table import tabulate
from vision_baselines.comparison.verdict import headline, on_other_images, short_verdict, winner
from vision_baselines.report.console import rich_table
from vision_baselines.report.frames import groups_frame
from vision_baselines.report.legend import legend
from vision_baselines.report.markdown import markdown
from vision_baselines.report.page import page
from vision_baselines.report.sureness import TERMINAL_SURENESS, size_columns
from vision_baselines.runs.predictions import PREDICTIONS_FILE, Predictions, packed


@pytest.fixture
def sweep(record, tmp_path, monkeypatch):
    """``sweep({model: (S, N) right answers})``: a table of such runs, with predictions unless told otherwise."""
    monkeypatch.setattr(outcomes, "_known", {})

    def make(answers, *, kept=True, seeds=None, **options):
        folder = tmp_path / f"sweep{len(list(tmp_path.iterdir()))}"
        for model, correct in answers.items():
            for seed, line in zip(seeds or range(len(correct)), np.asarray(correct, dtype=bool), strict=True):
                made = record(f"model={model},seed={seed}", float(line.mean()))
                place = folder / made.name
                place.mkdir(parents=True)
                if kept:
                    predicted = np.where(line, 1, 0).astype(np.int32)
                    found = Predictions(predicted, np.ones(len(line), np.int32), None, np.arange(len(line)))
                    content = packed({"test": found})
                    (place / PREDICTIONS_FILE).write_bytes(content)
                    made.predictions_sha256 = hashlib.sha256(content).hexdigest()
                made.write(place)
        return tabulate(collect([folder]), **options)

    return make


def answers(shares, runs=5, images=400, seed=0):
    """Right answers of each model: images of different difficulty, which all models share."""
    rng = np.random.default_rng(seed)
    hard = rng.normal(0, 0.15, images)
    return {model: rng.random((runs, images)) < share + hard for model, share in shares.items()}


def row_of(table, label):
    return next(row for row in table.rows if row.label == label)


def of_differences(record, *models):
    """Records whose paired differences to fc have a p-value of 0.03, or are far below."""
    steps = {"weak": (0.004, 0.010, 0.007, 0.001, 0.008), "strong": (0.05, 0.051, 0.049, 0.05, 0.052)}
    return [
        record(f"model={name},seed={seed}", 0.9 + (0 if kind == "fc" else steps[kind][seed]) + 0.001 * seed)
        for name, kind in models
        for seed in range(5)
    ]


@pytest.fixture
def table_of(record, tmp_path):
    def make(*models, **options):
        folder = tmp_path / "runs"
        for made in of_differences(record, ("fc", "fc"), *models):
            made.write(folder / made.name)
        return tabulate(collect([folder]), **options)

    return make


def test_the_verdict_follows_the_corrected_value_everywhere(table_of):
    alone = table_of(("a", "weak"))
    assert short_verdict(row_of(alone, "model=a").difference, alone.metric) == "better"
    assert winner(alone) == "model=a"


def test_more_comparisons_ask_for_more(table_of):
    table = table_of(*((name, "weak") for name in "abcd"))
    found = row_of(table, "model=a").difference

    assert found.p_value < 0.05 < found.p_corrected
    assert short_verdict(found, table.metric) == "cannot tell"
    assert winner(table) is None
    assert "corrected for 4 comparisons" in headline(table)
    assert "corrected (Holm) for the 4 comparisons" in legend(table)
    for text in (markdown(table), page(table, None), _terminal(table)):
        assert "cannot tell" in text
        assert "better" not in text.replace("is the better one", "")
    assert groups_frame(table)["test/acc difference conclusion"].dropna().unique().tolist() == ["not distinguishable"]


def _terminal(table):
    console = Console(width=110, highlight=False)
    with console.capture() as captured:
        console.print(rich_table(table))
        console.print(rich_table(table, TERMINAL_SURENESS))
    return captured.get()


def test_without_a_baseline_every_pair_could_have_been_claimed(sweep):
    table = sweep(answers({"a": 0.9, "b": 0.7, "c": 0.6, "d": 0.85}))
    p_values = [row.difference.p_value for row in table.rows if row.difference]

    assert (table.baseline, table.reference, table.family) == (None, "model=a", 6)
    assert [row.difference.p_corrected for row in table.rows if row.difference] == pytest.approx(
        [of[0] for of in corrected([[p] for p in p_values], others=3)]
    )
    assert row_of(table, "model=a").difference is None
    assert "it beats model=b, model=c" in headline(table)


def test_nothing_is_corrected_where_nothing_is_tested(sweep):
    table = sweep(answers({"a": 0.9, "b": 0.7, "c": 0.6}, runs=2))

    assert table.family == 1
    assert "corrected" not in headline(table) + legend(table)
    assert all(row.over_images is None for row in table.rows)


def test_no_number_of_seeds_finds_a_difference_of_zero(record, tmp_path):
    for seed in range(4):
        for model, acc in (("fc", 0.9 + 0.01 * seed), ("cnn", 0.93 - 0.01 * seed)):
            record(f"model={model},seed={seed}", acc).write(tmp_path / "s" / f"{model}{seed}")
    table = tabulate(collect([tmp_path / "s"]))
    written = {column.name: column.write(row_of(table, "model=cnn")) for column in size_columns(table)}

    assert written["detectable"] != "–"
    assert written.get("needed", "–") == "–"


def test_differences_along_a_setting_are_claims_of_the_page_too(record, tmp_path):
    for model in ("cnn", "fc"):
        for fraction in ("0.1", "0.5"):
            for seed in range(3):
                made = record(f"model={model},data.train_fraction={fraction},seed={seed}", 0.8 + 0.01 * seed**2)
                made.config["data"] = {"train_fraction": float(fraction)}
                made.metrics["test/acc"] += (model == "cnn") * (0.01 + 0.002 * seed)
                made.write(tmp_path / "sweep" / made.name)

    table = tabulate(
        collect([tmp_path / "sweep"]), over="data.train_fraction", baseline="model=fc, data.train_fraction=0.1"
    )
    tested = [row for row in table.rows if row.difference and row.difference.is_tested]
    along = [row for line in table.series for _, row in line.rows if row.difference and row.difference.is_tested]

    assert len(along) == 2
    assert table.family == len(tested) + len(along) - 1  # cnn against fc at 0.1 is both
    assert all(math.isfinite(row.difference.p_corrected) for row in (*tested, *along))


def test_other_images_are_spoken_of_by_the_runs_predictions(sweep):
    table = sweep(answers({"cnn": 0.9, "fc": 0.8}, seed=1))
    cnn, fc = row_of(table, "model=cnn"), row_of(table, "model=fc")
    left, right = (correct_table(outcomes.outcomes_of(row.counted)) for row in (cnn, fc))
    expected = difference_interval(left, right, paired=True)

    assert cnn.over_images == share_interval(left)
    assert cnn.evidence.over_images == expected
    assert cnn.evidence.images_p == max(expected.p_value, cnn.difference.p)
    assert on_other_images(cnn, table.metric) == "better"
    assert "on other test images of this kind [" in headline(table)
    assert groups_frame(table).set_index("group").loc["model=cnn", "test/acc images ci_low"] == cnn.over_images.low


def test_sure_on_these_images_may_be_unsure_on_others(sweep):
    # Every run of cnn is right on the same four images more: the seeds agree, the images are few.
    fc = np.random.default_rng(0).random((5, 60)) < 0.5
    fc[:, :4] = False
    cnn = fc.copy()
    cnn[:, :4] = True
    cnn[np.arange(5), 10 + np.arange(5)] ^= True
    table = sweep({"cnn": cnn, "fc": fc})

    assert short_verdict(row_of(table, "model=cnn").difference, table.metric) == "better"
    assert row_of(table, "model=cnn").evidence.over_images.images_part > 0.5


def test_other_images_are_never_surer_than_these(sweep):
    for seed in range(10):
        table = sweep(answers({"cnn": 0.84, "fc": 0.8, "mlp": 0.81}, runs=3, images=300, seed=seed))
        for row in table.rows:
            if on_other_images(row, table.metric) in ("better", "worse"):
                assert short_verdict(row.difference, table.metric) == on_other_images(row, table.metric)


def test_without_predictions_other_images_are_unknown(sweep):
    table = sweep(answers({"cnn": 0.9, "fc": 0.8}), kept=False)

    assert row_of(table, "model=cnn").over_images is None
    assert on_other_images(row_of(table, "model=cnn"), table.metric) == "unknown"
    assert "What other test images would say is unknown" in markdown(table)
    assert "other test images of this kind" not in headline(table)


def test_two_single_runs_have_mcnemars_test(sweep):
    cnn, fc = np.arange(40) >= 2, np.arange(40) >= 10
    table = sweep({"cnn": cnn[None], "fc": fc[None]})

    assert row_of(table, "model=cnn").evidence.mcnemar_p == pytest.approx(2 / 2**8)
    assert "of these two runs alone, McNemar's exact test: p = 0.008" in headline(table)
    assert "McNemar" in page(table, None)


@pytest.mark.parametrize(("margin", "conclusion"), [(None, "not distinguishable"), (5.0, "equal"), (0.01, None)])
def test_equal_is_said_within_a_margin_only(record, tmp_path, margin, conclusion):
    for seed in range(6):
        record(f"model=fc,seed={seed}", 0.9 + 0.001 * seed).write(tmp_path / "s" / f"fc{seed}")
        record(f"model=cnn,seed={seed}", 0.9 + 0.001 * (5 - seed)).write(tmp_path / "s" / f"cnn{seed}")
    table = tabulate(collect([tmp_path / "s"]), equivalence=margin)
    row = row_of(table, "model=cnn")

    assert row.difference.conclusion == (conclusion or "not distinguishable")
    assert ("equals model=fc within ±5.00 points of test accuracy" in headline(table)) is (margin == 5.0)
    if margin is not None:
        assert row.evidence.wanted == pytest.approx(margin / 100)
        assert f"equal within ±{margin:g} points" in markdown(table)


def test_more_seeds_narrow_the_intervals_and_say_the_same_where_nothing_is_decided(sweep):
    small, large = (sweep(answers({"cnn": 0.8, "fc": 0.8}, runs=n, seed=5)) for n in (4, 16))
    few, many = (row_of(table, "model=cnn") for table in (small, large))

    assert short_verdict(few.difference, small.metric) == short_verdict(many.difference, large.metric) == "cannot tell"
    assert many.difference.ci_high - many.difference.ci_low < few.difference.ci_high - few.difference.ci_low
    assert many.over_images.high - many.over_images.low < few.over_images.high - few.over_images.low
    assert many.evidence.detectable < few.evidence.detectable
    for table in (small, large):
        assert "seeds needed" in markdown(table)
        assert row_of(table, "model=cnn").evidence.needed > 4


@pytest.mark.parametrize("accs", [(0.99, 0.99, 0.99), (0.98, 0.99)])
def test_equal_runs_and_two_runs_have_no_interval(record, tmp_path, accs):
    for seed, acc in enumerate(accs):
        record(f"model=cnn,seed={seed}", acc).write(tmp_path / "s" / str(seed))
    [row] = tabulate(collect([tmp_path / "s"])).rows

    assert math.isnan(row.metrics["test/acc"].ci_low)


def test_a_lower_loss_beats(record, tmp_path):
    for seed in range(4):
        record(f"model=fc,seed={seed}", 0.8 + 0.01 * seed).write(tmp_path / "s" / f"fc{seed}")
        record(f"model=cnn,seed={seed}", 0.9 + 0.011 * seed).write(tmp_path / "s" / f"cnn{seed}")
    table = tabulate(collect([tmp_path / "s"]), metric="test/loss")

    assert row_of(table, "model=cnn").evidence.beats.probability > 0.9
    assert row_of(table, "model=cnn").evidence.over_images is None
    assert on_other_images(row_of(table, "model=cnn"), table.metric) == "unknown"


def test_groups_that_share_no_seed_are_compared_without_pairs(sweep, record, tmp_path):
    found = answers({"cnn": 0.9, "fc": 0.7})
    for model, first in (("cnn", 0), ("fc", 10)):
        for seed, line in enumerate(found[model], first):
            record(f"model={model},seed={seed}", float(line.mean())).write(tmp_path / "apart" / f"{model}{seed}")
    row = row_of(tabulate(collect([tmp_path / "apart"])), "model=cnn")
    accs = [line.mean() for line in found["cnn"]], [line.mean() for line in found["fc"]]

    assert not row.difference.is_paired
    assert row.difference.p == pytest.approx(stats.ttest_ind(*accs, equal_var=False).pvalue)
    assert row.evidence.beats.probability > 0.9
    assert math.isnan(row.evidence.correlation)
    assert "n = 5 and 5 runs, not paired" in headline(tabulate(collect([tmp_path / "apart"])))
    assert "share none (Welch's t test)" in legend(tabulate(collect([tmp_path / "apart"])))


@pytest.mark.slow
@pytest.mark.parametrize("baseline", [None, "model=m0"])
def test_sweeps_of_equal_groups_announce_a_winner_in_at_most_one_of_twenty(record, baseline):
    sweeps, said = 300, 0
    for seed in range(sweeps):
        rng = np.random.default_rng(seed)
        jobs = [
            Job(Path(f"m{group}/{run}"), f"{group}{run}", record(f"model=m{group},seed={run}", rng.normal(0.9, 0.01)))
            for group in range(10)
            for run in range(5)
        ]
        table = tabulate(Collection(tuple(jobs)), baseline=baseline)
        verdicts = [short_verdict(row.difference, table.metric) for row in table.rows if row.difference]
        said += any(word in ("better", "worse") for word in verdicts)

    # 5% and three Monte Carlo standard errors; without the correction it is more than three sweeps in ten.
    assert said / sweeps <= 0.05 + 3 * math.sqrt(0.05 * 0.95 / sweeps)


@pytest.mark.parametrize("seeds", [1, 3])
def test_groups_without_a_finished_run_are_compared_without_a_result(record, failed, seeds):
    runs = [failed(f"model={model},seed={seed}") for model in ("fc", "cnn") for seed in range(seeds)]
    table = tabulate(Collection(tuple(Job(Path(run.name), run.name, run) for run in runs)), baseline="model=fc")
    row = row_of(table, "model=cnn")
    assert (row.n_finished, row.evidence.family, row.difference.is_tested) == (0, 1, False)
    assert math.isnan(row.evidence.images_p)
