"""What parts are worth: which runs are of an ablation, effects and interactions against hand arithmetic, and words."""

from __future__ import annotations

import json
import logging
import math
from dataclasses import replace
from itertools import chain, combinations

import numpy as np
import pytest
from scipy import stats

from vision_baselines.comparison.ablation import AblatedPart, Ablation, Setting, read_ablation, settings_of
from vision_baselines.comparison.collection import Collection, Job
from vision_baselines.comparison.decided import decided
from vision_baselines.comparison.evidence import simultaneous
from vision_baselines.comparison.metric import Metric
from vision_baselines.comparison.part_effects import effects_of, interactions_of
from vision_baselines.comparison.part_words import effect_verdict, effect_words, interaction_verdict, interaction_words
from vision_baselines.comparison.rows import Costs, GroupRow
from vision_baselines.comparison.sequential import Sequential
from vision_baselines.comparison.table import tabulate
from vision_baselines.comparison.verdict import finding, headline, winner
from vision_baselines.errors import StorageError
from vision_baselines.report.ablation import NARROW, NARROW_PAIRS, ablation_section
from vision_baselines.report.frames import effects_frame, interactions_frame
from vision_baselines.report.markdown import markdown
from vision_baselines.report.page import page
from vision_baselines.report.result import comparison_facts
from vision_baselines.report.tables import group_columns
from vision_baselines.report.write import compare

log = logging.getLogger(__name__)

WITHOUT = {"dropout": ["model.dropout=0"], "norm": ["model.norm=none", "model.bias=true"], "pooling": ["model.pool=no"]}
PARTS = [AblatedPart(name=name, without=texts) for name, texts in WITHOUT.items()]
KINDS = list(chain.from_iterable(combinations(WITHOUT, n) for n in range(4)))


def ablation(*names, **options):
    """Of some parts, or all, of the one setting without other overrides."""
    parts = [part for part in PARTS if not names or part.name in names]
    return Ablation(parts=parts, **{"settings": [[]], **options})


@pytest.fixture
def runs(tmp_path, record):
    """``runs(accuracy, seeds, *more)``: a finished run for each kind of each seed, `accuracy(lacking, seed)` each."""

    def make(accuracy, seeds=range(5), *more, kinds=KINDS, **changes):
        found = []
        for lacking in kinds:
            for seed in seeds:
                texts = [*more, *(text for name in lacking for text in WITHOUT[name]), f"seed={seed}"]
                name = ",".join(texts)
                made = record(texts, accuracy(lacking, seed), config={"seed": seed}, **changes)
                found.append(Job(tmp_path / "demo" / name, name, made))
        return found

    return make


def linear(**worth):
    """A metric that each part adds to, and each two parts, with noise that an independent reference can use too."""

    def accuracy(lacking, seed):
        rng = np.random.default_rng([seed, *map(ord, "".join(lacking))])
        there = [name for name in WITHOUT if name not in lacking]
        pairs = [f"{a}_{b}" for a, b in combinations(there, 2)]
        return 0.9 + 0.01 * seed + sum(worth.get(name, 0) for name in [*there, *pairs]) + 1e-4 * rng.normal()

    return accuracy


def table_of(jobs, found, **options):
    return tabulate(Collection(tuple(jobs)), ablation=found, **options)


def test_an_effect_is_scipys_paired_t_interval_at_the_level_of_all_claims(runs):
    accuracy = linear(dropout=0.01, norm=-0.002, norm_pooling=0.003)
    table = table_of(runs(accuracy), ablation(pairs=True))
    assert [effect.name for effect in table.effects] == list(WITHOUT)
    assert table.family == 6  # three parts and three pairs
    for effect in table.effects:
        full, without = ([accuracy(lacking, seed) for seed in range(5)] for lacking in ((), effect.parts))
        test = stats.ttest_rel(full, without)
        assert effect.difference.mean == pytest.approx(np.mean(full) - np.mean(without))
        interval = test.confidence_interval(1 - 0.05 / 6)
        assert (effect.low, effect.high) == pytest.approx((interval.low, interval.high))
        assert effect.difference.p == pytest.approx(min(1, 6 * test.pvalue))
    for found in table.interactions:
        a, b = found.parts
        kinds = ((), (a,), (b,), tuple(name for name in WITHOUT if name in (a, b)))
        full, no_a, no_b, neither = (np.array([accuracy(kind, seed) for seed in range(5)]) for kind in kinds)
        test = stats.ttest_1samp(full - no_a - (no_b - neither), 0)
        interval = test.confidence_interval(1 - 0.05 / 6)
        assert (found.low, found.high) == pytest.approx((interval.low, interval.high))
        assert (found.there, found.missing) == pytest.approx((np.mean(full - no_a), np.mean(no_b - neither)))
    verdicts = {effect.name: effect_verdict(effect, table.metric) for effect in table.effects}
    assert verdicts == {"dropout": "helps", "norm": "helps", "pooling": "helps"}  # norm and pooling help together
    assert [interaction_verdict(found, table.metric) for found in table.interactions] == [
        "cannot tell", "cannot tell", "more together"
    ]  # fmt: skip


@pytest.mark.parametrize("seed", range(8))
def test_verdict_and_interval_never_disagree_and_both_tables_say_the_same(runs, seed):
    rng = np.random.default_rng(seed)
    luck = {(lacking, s): 0.9 + 0.002 * rng.normal() for lacking in KINDS for s in range(4)}
    worth = dict(zip(WITHOUT, 0.006 * rng.random(3), strict=True))
    jobs = runs(lambda lacking, s: luck[lacking, s] - sum(worth[name] for name in lacking), range(4))
    table = table_of(jobs, ablation(all=True))
    assert table.baseline == "default"
    by_runs = {frozenset(job.folder for job in row.counted): row for row in table.rows}
    for effect in table.effects:
        row = by_runs[frozenset(job.folder for job in effect.without.counted)]
        assert (effect.difference.conclusion in ("larger", "smaller")) == (not effect.low <= 0 <= effect.high)
        assert row.difference.p == pytest.approx(effect.difference.p)
        said = {row.difference.conclusion, effect.difference.conclusion}
        assert said in ({"larger", "smaller"}, {"not distinguishable"})
    of_pairs = [row for row in table.rows if row.difference is None and row.label != "default"]
    assert len(of_pairs) == 3  # of two parts: none of the questions


def test_rounding_of_single_precision_is_no_interaction(runs):
    worth = {"dropout": 0.01, "norm": 0.02, "pooling": 0.0}

    def accuracy(lacking, seed):
        return float(np.float32(0.7 + 0.003 * seed - sum(worth[name] for name in lacking)))

    table = table_of(runs(accuracy, range(10)), ablation(pairs=True))
    for found in table.interactions:
        assert found.difference.conclusion in ("identical", "no spread")
        assert math.isnan(found.low)
    assert {effect_verdict(effect, table.metric) for effect in table.effects} == {"no spread", "identical"}


def test_a_run_counts_by_its_overrides_whatever_command_trained_it(runs, tmp_path, record):
    found = Ablation(parts=[
        AblatedPart(name="dropout", without=["model.dropout=0"], full=["model.dropout=0.3"]),
        AblatedPart(name="norm", without=["+model.norm=none"]),
    ], settings=[[]])  # fmt: skip
    cases = {
        ("model.dropout=0.3", "seed=1", "name=x"): ((), frozenset()),
        ("model.dropout=0",): ((), {"dropout"}),
        ("model.norm=none", "model.dropout=0.3", "data=x"): (("data=x",), {"norm"}),
        ("++model.norm=none", "model.dropout=0"): ((), {"dropout", "norm"}),
        ("model.dropout=0.5",): None,  # neither with it nor without
        (): None,  # whose dropout is the default
        ("model.norm=group", "model.dropout=0.3"): None,
        ("model.dropout=0.5", "model.dropout=0.3"): ((), frozenset()),  # the last counts
    }
    for overrides, wanted in cases.items():
        assert found.place_of(overrides) == wanted, overrides


def test_settings_are_told_apart_and_one_of_which_nothing_was_left_out_is_none(runs, record, tmp_path):
    lone = Job(tmp_path / "demo" / "model=big", "model=big", record("model=big,x=1,seed=0", 0.9))
    kinds = [(), ("norm",)]
    jobs = [
        *runs(linear(norm=0.01), range(3), "model=a", "x=1", kinds=kinds),
        *runs(linear(), range(3), "model=b", "x=1", kinds=kinds),
        lone,
    ]
    both = [["model=a", "x=1"], ["model=b", "x=1"]]
    found = settings_of(ablation(settings=both), jobs, table_of(jobs, None).metric)
    assert [setting.label for setting in found] == ["model=a", "model=b"]
    table = table_of(jobs, ablation("norm", settings=both))
    assert [(effect.setting, effect.name) for effect in table.effects] == [("model=a", "norm"), ("model=b", "norm")]
    assert table.baseline == "model=a"
    claim = finding(table).claim
    assert claim.startswith("model=a: norm is worth 1.0")
    assert ". model=b: norm cannot be told from nothing" in claim
    # the other settings' groups are compared with their own full run; the full runs with the baseline
    compared = {row.label for row in table.rows if row.difference is not None}
    assert "model=b" in compared
    assert not any(label.startswith("model=b, ") or "model.bias=true, model=b" in label for label in compared)


def test_nothing_is_chosen_where_parts_are_left_out(runs):
    table = table_of(runs(linear(dropout=0.01)), ablation())
    assert table.choice is None
    assert winner(table) is None
    assert "chosen" not in headline(table)


@pytest.mark.parametrize(
    ("change", "verdict", "words"),
    [
        (lambda lacking, seed: 0.9, "identical", "dropout makes no difference for any seed"),
        (lambda lacking, seed: 0.9 - 0.01 * ("dropout" in lacking), "no spread",
         "dropout makes the same difference for every seed, +1.00 points, which leaves nothing to test"),
        (lambda lacking, seed: 0.9 + (0.01 + seed / 1e4) * ("dropout" in lacking), "harms",
         "dropout costs 1.02 points of test accuracy [1.00, 1.04]"),
        (lambda lacking, seed: 0.9 - (0.01 + seed / 1e4) * ("dropout" in lacking), "helps",
         "dropout is worth 1.02 points of test accuracy [1.00, 1.04]"),
    ],
)  # fmt: skip
def test_effects_in_words(runs, change, verdict, words):
    table = table_of(runs(change, kinds=[(), ("dropout",)]), ablation("dropout"))
    [effect] = table.effects
    assert effect_verdict(effect, table.metric) == verdict
    assert effect_words(effect, table.metric) == words


def test_a_lower_loss_is_a_gain(runs):
    jobs = runs(lambda lacking, seed: 0.9 - (0.01 + seed / 1e4) * ("dropout" in lacking))
    table = table_of(jobs, ablation("dropout"), metric="test/loss")
    [effect] = table.effects
    assert effect.difference.mean < 0
    assert effect_verdict(effect, table.metric) == "helps"
    assert effect_words(effect, table.metric).startswith("dropout lowers test loss by 0.0102")


def test_equal_within_a_margin_is_said_so(runs):
    table = table_of(runs(linear(), range(8)), ablation("dropout", "norm"), equivalence=0.5)
    assert [effect_verdict(effect, table.metric) for effect in table.effects] == ["equal", "equal"]
    assert "dropout makes no difference within ±0.50 points" in finding(table).claim


@pytest.mark.parametrize("margin", [0.05, 0.1, 0.15, 0.2, 0.3, 0.5])
def test_equal_is_what_has_its_whole_interval_within_the_margin(runs, margin):
    jobs = runs(lambda lacking, seed: 0.9 + 0.0015 * np.sin(7 * seed + len(lacking)), range(6))
    table = table_of(jobs, ablation(), equivalence=margin)
    by_runs = {frozenset(job.folder for job in row.counted): row for row in table.rows}
    for effect in table.effects:
        is_within = max(abs(effect.low), abs(effect.high)) < margin / 100
        assert (effect_verdict(effect, table.metric) == "equal") == is_within
        row = by_runs[frozenset(job.folder for job in effect.without.counted)]
        assert (row.difference.conclusion == "equal") == is_within


@pytest.mark.parametrize(("seeds", "verdict"), [(range(2), "too few pairs"), (range(0), None)])
def test_too_few_seeds_are_no_verdict(runs, seeds, verdict):
    table = table_of(runs(linear(dropout=0.1), seeds), ablation(pairs=True)) if verdict else None
    if table is None:
        return
    assert {effect_verdict(effect, table.metric) for effect in table.effects} == {verdict}
    assert "it takes at least 3 seeds" in finding(table).claim
    assert all(math.isnan(effect.low) for effect in table.effects)
    assert {interaction_verdict(found, table.metric) for found in table.interactions} == {verdict}


MISSING = [
    *((kind,) for kind in KINDS),
    (("pooling",), ("norm", "pooling")),
    (("dropout",), ("norm",)),
    tuple(kind for kind in KINDS if "norm" in kind),
    tuple(kind for kind in KINDS if len(kind) == 2),
]


@pytest.mark.few(6)
@pytest.mark.parametrize("missing", MISSING, ids=lambda kinds: "-".join(map("+".join, kinds)) or "full")
def test_a_part_without_runs_is_a_row_and_no_interval_narrows(runs, missing):
    asked = ablation(pairs=True, all=True)
    whole = table_of(runs(linear(dropout=0.01)), asked)
    table = table_of(runs(linear(dropout=0.01), kinds=[kind for kind in KINDS if kind not in missing]), asked)
    assert [effect.parts for effect in table.effects] == [effect.parts for effect in whole.effects]
    assert [found.parts for found in table.interactions] == [found.parts for found in whole.interactions]
    assert len(table.effects) + len(table.interactions) == asked.n_claims == 7
    for kept, before in zip([*table.effects, *table.interactions], [*whole.effects, *whole.interactions], strict=True):
        if math.isfinite(kept.low):
            assert (kept.low, kept.high, kept.family) == (before.low, before.high, 7)
    verdicts = [effect_verdict(effect, table.metric) for effect in table.effects]
    frame = effects_frame(table)
    for effect, verdict in zip(table.effects, verdicts, strict=True):
        assert (verdict == "no run without it") == (effect.parts in missing)
        assert (verdict == "no full run") == (() in missing and effect.parts not in missing)
        if effect.parts in missing:
            assert effect.name in finding(table).claim
            assert frame.loc[frame["part"] == effect.name, "verdict"].tolist() == ["no run without it"]
    for found in table.interactions:
        kinds = [(), *((name,) for name in found.parts), found.parts]
        said = interaction_verdict(found, table.metric)
        assert said.startswith("no ") == any(kind in missing for kind in kinds)
        assert ("cannot be judged" in interaction_words(found, table.metric)) == said.startswith("no ")
    page(table, None)
    markdown(table)


def test_a_setting_without_runs_counts_and_has_its_rows(runs):
    asked = ablation("norm", "dropout", settings=[["model=a"], ["model=b"]])
    table = table_of(runs(linear(norm=0.01), range(4), "model=a", kinds=[(), ("norm",), ("dropout",)]), asked)
    assert [(effect.setting, effect_verdict(effect, table.metric)) for effect in table.effects] == [
        ("model=a", "cannot tell"), ("model=a", "helps"), ("model=b", "no run without it"),
        ("model=b", "no run without it"),
    ]  # fmt: skip
    assert {effect.family for effect in table.effects if math.isfinite(effect.low)} == {4}


def test_the_table_of_groups_has_the_corrected_intervals_the_other_way_round(runs):
    luck = np.random.default_rng(1).normal(0, 0.004, (8, 4))
    jobs = runs(lambda lacking, seed: 0.9 - 0.01 * ("norm" in lacking) + luck[KINDS.index(lacking), seed], range(4))
    table = table_of(jobs, ablation(pairs=True))
    by_runs = {frozenset(job.folder for job in row.counted): row for row in table.rows}
    for effect in table.effects:
        row = by_runs[frozenset(job.folder for job in effect.without.counted)]
        assert (row.difference.ci_low, row.difference.ci_high) == pytest.approx((-effect.high, -effect.low))
        leaves_out_0 = not row.difference.ci_low <= 0 <= row.difference.ci_high
        assert leaves_out_0 == (row.difference.conclusion in ("larger", "smaller"))
    [column] = [column for column in group_columns(table) if column.name == "difference interval"]
    assert column.heading == "interval, all at once"
    for text in (markdown(table), page(table, None)):
        assert "minus what the part is worth" in text
        assert "has the other sign" in text
    [plain] = [column for column in group_columns(table_of(jobs, None)) if column.name == "difference interval"]
    assert plain.heading == "95% interval"


def test_what_is_missing_is_named_and_stands_in_no_effect(runs):
    jobs = [job for job in runs(linear(dropout=0.1), range(4)) if "model.pool=no" not in job.record.overrides]
    without_full = [job for job in jobs if len(job.record.overrides) > 1]
    table = table_of(without_full, ablation())
    assert [effect_verdict(effect, table.metric) for effect in table.effects] == [
        "no full run", "no full run", "no run without it"
    ]  # fmt: skip
    table = table_of(jobs, ablation(pairs=True))
    assert [found.parts for found in table.interactions if not found.reason] == [("dropout", "norm")]
    apart = [replace(job, record=job.record.model_copy(update={"seed": job.record.seed + 10 * (not place)}))
             for place, job in enumerate(jobs)]  # fmt: skip
    table = table_of(apart, ablation(pairs=True))
    assert table.effects[0].difference.n == table.interactions[0].difference.n == 3
    assert table.interactions[0].difference.unpaired == 2


def test_interactions_in_words(runs):
    table = table_of(runs(linear(dropout_norm=0.02, norm_pooling=-0.02)), ablation(pairs=True))
    said = [interaction_words(found, table.metric) for found in table.interactions]
    assert said[0].startswith("dropout is worth 2.0")
    assert "points more where norm is there [1." in said[0] or "points more where norm is there [2." in said[0]
    assert "points less where pooling is there [" in said[2]
    assert "dropout is worth" in finding(table).claim


def test_seeds_that_were_added_until_decided_leave_interactions_untested(runs):
    jobs = runs(linear(dropout=0.05), range(5))
    table = table_of(jobs, ablation(pairs=True))
    plan = Sequential.planned("default", [row.label for row in table.rows if row.label != "default"],
                              max_seeds=5, equivalence=None)  # fmt: skip
    groups = {row.label: list(row.jobs) for row in table.rows}
    looked = decided(table, plan.looked(groups, 5, table.metric))
    effect = looked.effects[0]
    look = looked.sequential.last("model.dropout=0")
    assert (effect.low, effect.high) == (-look.high, -look.low)
    assert effect_verdict(effect, table.metric) == "helps"
    assert {found.difference.conclusion for found in looked.interactions} == {"not distinguishable"}
    assert {interaction_verdict(found, table.metric) for found in looked.interactions} == {"not tested"}
    said = [interaction_words(found, table.metric) for found in looked.interactions]
    assert all(" is not tested: " in words for words in said)
    assert "cannot tell" not in markdown(looked).split("Which parts need each other")[1].split("\n- ")[0]
    assert all(math.isnan(found.low) for found in looked.interactions)
    assert "intervals hold at every look" in finding(looked).proof


HOSTILE = ["a|b", "<script>x</script>", "ünï cödé", "=1+1"]


@pytest.mark.parametrize("name", HOSTILE)
def test_names_are_foreign_text_everywhere(runs, name):
    jobs = runs(linear(dropout=0.01))
    parts = [AblatedPart(name=name, without=WITHOUT["dropout"]), AblatedPart(name="norm", without=WITHOUT["norm"])]
    table = table_of(jobs, Ablation(parts=parts, pairs=True, settings=[[]]))
    text, html = markdown(table), page(table, None)
    assert "<script>x" not in html
    assert "<script>" not in text
    rows = [line for line in text.splitlines() if line.startswith("| a\\|b")]
    assert all(line.count("|") - line.count("\\|") in (10, 9) for line in rows)


def test_every_form_of_a_comparison_has_the_effects(runs, tmp_path):
    jobs = runs(linear(dropout=0.01, norm_pooling=-0.01))
    for job in jobs:
        job.record.write(job.folder)
    folder = tmp_path / "demo"
    ablation(pairs=True, all=True).write(folder)
    found = compare([folder], pictures=False)
    facts = json.loads(json.dumps(comparison_facts(found)))
    assert [row["part"] for row in facts["effects"]] == [*WITHOUT, "all parts together"]
    assert facts["effects"][0]["verdict"] == "helps"
    assert {(row["first"], row["second"]) for row in facts["interactions"]} == set(combinations(WITHOUT, 2))
    assert {"effects.csv", "interactions.csv"} <= {path.name for path in found.files}
    header, *lines = (found.out / "effects.csv").read_text().splitlines()
    assert header.startswith("part,with mean,without mean,pairs,effect,low,high,p,p_corrected,verdict")
    assert len(lines) == 4
    html, text = found.page.read_text(), (found.out / "comparison.md").read_text()
    for shown in (html, text):
        assert "What each part is worth" in shown
        assert "Which parts need each other" in shown
    assert "ntervals hold all at once in 95% of such sweeps, corrected for 7 comparisons" in text
    section = ablation_section(found.table)
    assert set(NARROW) - {"setting"} <= {column.name for column in section.effect_columns}
    assert set(NARROW_PAIRS) - {"setting"} <= {column.name for column in section.interaction_columns}
    (folder / "ablation.json").unlink()
    plain = compare([folder], pictures=False)
    assert not plain.table.effects
    assert "What each part is worth" not in plain.page.read_text()
    assert len(effects_frame(plain.table)) == len(interactions_frame(plain.table)) == 0


@pytest.mark.parametrize("content", ["{", "[]", '{"schema_version": 1}', '{"schema_version": 1, "parts": [], "x": 1}'])
def test_a_damaged_file_is_said_to_be_one(tmp_path, content):
    (tmp_path / "ablation.json").write_text(content)
    with pytest.raises(StorageError, match=r"ablation\.json cannot be read"):
        read_ablation(tmp_path)


def test_a_file_of_a_later_version_is_refused(tmp_path):
    content = ablation().model_dump() | {"schema_version": 2}
    (tmp_path / "ablation.json").write_text(json.dumps(content))
    with pytest.raises(StorageError, match="schema 2"):
        read_ablation(tmp_path)


def simulated(runs, n_sweeps, *, seeds, worth, seed=0):
    """How often the claims on three parts and their pairs are right, in sweeps whose truth is known.

    Luck of a seed is shared by all kinds of runs; each kind has noise of its own, of another size; an accuracy is as
    coarse as that of 360 test images. A claim is made where its interval leaves out 0, which is where a table makes it.

    Returns:
        Shares of sweeps: all intervals hold at once; some claim is false; all uncorrected 95% intervals hold at once;
        and of all claims that are true, those that are made.
    """
    rng = np.random.default_rng(seed)
    asked, metric = ablation(pairs=True), Metric("test/acc")
    jobs = {frozenset(kind): tuple(runs(lambda lacking, s: 0.9, range(seeds), kinds=[kind])) for kind in KINDS}
    truth = {kind: 0.9 + sum(value for names, value in worth.items() if not set(names) & kind) for kind in jobs}
    spread = {kind: 0.003 * (1 + len(kind)) for kind in jobs}
    rows = {kind: GroupRow(f"without {sorted(kind)}", of, of, (), {}, {}, Costs()) for kind, of in jobs.items()}
    real = {(name,): truth[frozenset()] - truth[frozenset({name})] for name in WITHOUT}
    for a, b in combinations(WITHOUT, 2):
        both = truth[frozenset({b})] - truth[frozenset({a, b})]
        real[a, b] = truth[frozenset()] - truth[frozenset({a})] - both
    counts = dict.fromkeys(("at once", "false claim", "uncorrected", "power"), 0.0)
    for _ in range(n_sweeps):
        luck = 0.004 * rng.normal(size=seeds)
        for kind, of in jobs.items():
            for job in of:
                share = truth[kind] + luck[job.record.seed] + spread[kind] * rng.normal()
                job.record.metrics["test/acc"] = share + rng.uniform(-1, 1) / 720
        settings = [Setting("", rows)]
        claims = [*effects_of(asked, settings, metric), *interactions_of(asked, settings, metric)]
        intervals = {claim.parts: simultaneous(claim.difference, len(claims)) for claim in claims}
        counts["at once"] += all(low <= real[parts] <= high for parts, (low, high) in intervals.items())
        plain = [(claim.difference.ci_low, claim.difference.ci_high, real[claim.parts]) for claim in claims]
        counts["uncorrected"] += all(low <= true <= high for low, high, true in plain)
        made = {parts: np.sign(low) for parts, (low, high) in intervals.items() if not low <= 0 <= high}
        counts["false claim"] += any(sign != np.sign(round(real[parts], 9)) for parts, sign in made.items())
        counts["power"] += np.mean([parts in made for parts, value in real.items() if abs(value) > 1e-9] or [0])
    return {name: count / n_sweeps for name, count in counts.items()}


SOME = {("dropout",): 0.03, ("norm", "pooling"): 0.03}  # worth something alone, and something together


def test_intervals_hold_at_once_and_claims_are_right_in_made_up_sweeps(runs):
    found = simulated(runs, 50, seeds=5, worth=SOME)
    assert found["at once"] >= 0.84  # 95%, less three and a half standard errors of 50 sweeps
    assert found["false claim"] <= 0.16
    assert found["uncorrected"] < 0.9
    assert found["power"] > 0.2


@pytest.mark.slow
@pytest.mark.parametrize(("seeds", "worth"), [(3, {}), (5, {}), (10, {}), (5, SOME)])
def test_intervals_hold_at_once_in_many_made_up_sweeps(runs, seeds, worth):
    n = 2000
    found = simulated(runs, n, seeds=seeds, worth=worth, seed=seeds)
    log.info("%d seeds, %s: %s", seeds, "some" if worth else "nothing", found)
    error = 3 * math.sqrt(0.05 * 0.95 / n)
    assert found["at once"] >= 0.95 - error
    assert found["false claim"] <= 0.05 + error
    assert found["uncorrected"] < 0.9
