"""Seeds are added to groups that are undecided: rounds, resume, failures, refusals, with runs that are made up."""

from __future__ import annotations

import json
import math
import shutil
from dataclasses import replace
from itertools import combinations
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
from hydra.core.utils import JobReturn, JobStatus
from omegaconf import OmegaConf

from vision_baselines.analysis.sequential import look_level
from vision_baselines.analysis.two_way import OverImages
from vision_baselines.comparison import sequential
from vision_baselines.comparison.ablation import AblatedPart, Ablation
from vision_baselines.comparison.caveats import caveats
from vision_baselines.comparison.decided import looks
from vision_baselines.comparison.sequential import SEQUENTIAL_FILE, Sequential, read_sequential
from vision_baselines.config.comparison_options import check_comparison
from vision_baselines.config.compose import composed
from vision_baselines.config.hydra_part import check_hydra
from vision_baselines.errors import ConfigError, StorageError, TrainingError
from vision_baselines.jobs.signals import Interrupted
from vision_baselines.report.looks import look_columns
from vision_baselines.report.write import compare
from vision_baselines.runs.record import TaskFacts
from vision_baselines.sweep import until_decided
from vision_baselines.sweep.callback import SweepCallback

# Test accuracy, and its standard deviation over seeds.
GROUPS = {"fc": (0.90, 0.002), "cnn": (0.97, 0.002), "same": (0.90, 0.002), "worse": (0.80, 0.002)}


def accuracy(model, seed):
    mean, std = GROUPS[model]
    return mean + std * np.random.default_rng([seed, *model.encode()]).standard_normal()


def settings_of(job):
    return dict(text.split("=", 1) for text in job)


class Sweep:
    """A sweep's folder, and a launcher that leaves made-up records there."""

    def __init__(self, folder, record, failed):
        self.folder, self.record, self.failed = folder, record, failed
        self.launched = []
        self.fails = lambda model, seed: False
        self.interrupts_at = None
        self.changes = lambda model, seed: {}

    def launch(self, jobs, index):
        assert index == sum(map(len, self.launched))
        if self.interrupts_at == len(self.launched):
            raise Interrupted(2)
        self.launched.append([",".join(sorted(job)) for job in jobs])
        returned, lines = [], []
        for job in jobs:
            found = settings_of(job)
            model, seed = found["model"], int(found["seed"])
            bad = self.fails(model, seed)
            changes = {"name": ",".join(sorted(job)), **self.changes(model, seed)}
            made = self.failed(job, **changes) if bad else self.record(job, accuracy(model, seed), **changes)
            made.write(self.folder / made.name)
            returned.append(JobReturn(status=JobStatus.FAILED if bad else JobStatus.COMPLETED))
            lines += [f"{made.name}: diverged"] if bad else []
        SweepCallback.last_words = ["counts", *lines] if lines else []
        return returned

    def run(self, models="cnn,fc", *, jobs=None, preview=False, ablate=None, **options):
        self.launched = []
        defaults = dict.fromkeys(("group_by", "metric", "baseline", "equivalence", "max_seeds"))
        config = {"comparison": {**defaults, **options}, "hydra": {"sweep": {"dir": str(self.folder)}}}
        config["ablate"] = ablate
        jobs = jobs or [[f"model={model}", "seed=auto"] for model in models.split(",")]
        return until_decided.run_until_decided(
            jobs, self.launch, config=OmegaConf.create({**config, "preview": preview}), hydra_context=None
        )

    def seeds(self, model):
        """Seeds of a model, round by round."""
        return [
            [int(settings_of(job.split(","))["seed"]) for job in jobs if f"model={model}" in job.split(",")]
            for jobs in self.launched
        ]

    @property
    def plan(self):
        return read_sequential(self.folder)

    def decisions(self):
        return {name: (self.plan.last(name).decision, self.plan.last(name).seeds) for name in self.plan.comparisons}


@pytest.fixture
def sweep(tmp_path, monkeypatch, record, failed):
    folder = tmp_path / "outputs" / "demo"
    folder.mkdir(parents=True)

    def planned_job(index, job, config, context):
        source = settings_of(job).get("init_from")
        plan = SimpleNamespace(
            overrides=tuple(job), folder=folder / ",".join(sorted(job)), config={"seed": 0}, fingerprint=str(index),
            starts_from=folder / f"model={source},seed=0" / "checkpoints" / "best.ckpt" if source else None,
        )  # fmt: skip
        return None, plan

    monkeypatch.setattr(until_decided, "planned_job", planned_job)
    monkeypatch.setattr(SweepCallback, "last_words", [])
    monkeypatch.setattr(sequential, "look_level", lambda max_n, alpha: alpha / 5)  # takes a second
    return Sweep(folder, record, failed)


def test_the_error_is_shared_out_among_the_comparisons():
    plan = Sequential.planned("a", ["c", "b"], max_seeds=5, equivalence=None)
    assert plan.level == look_level(5, 0.05 / 2)
    assert plan.comparisons == plan.open == ["b", "c"]


def test_a_large_difference_is_decided_after_few_seeds_and_the_sweep_ends(sweep):
    sweep.run("cnn,fc")
    assert sweep.decisions() == {"model=cnn": ("better", 3)}
    assert sweep.launched == [[f"model={model},seed={seed}" for seed in range(3) for model in ("cnn", "fc")]]


def test_seeds_go_to_the_undecided_groups_and_the_baseline_until_the_budget_ends(sweep):
    sweep.run("cnn,fc,same,worse", max_seeds=6)
    decisions = sweep.decisions()
    assert decisions["model=same"] == ("undecided", 6)
    assert decisions["model=cnn"][0] == "better"
    assert decisions["model=worse"][0] == "worse"
    assert sweep.seeds("same") == sweep.seeds("fc") == [[0, 1, 2], [3], [4], [5]]
    last = max(decisions["model=cnn"][1], decisions["model=worse"][1])
    assert sum(map(len, sweep.seeds("cnn"))) == decisions["model=cnn"][1] <= last < 6


def test_without_a_margin_nothing_is_equal_and_with_one_a_small_difference_is(sweep):
    sweep.run("same,fc", max_seeds=8)
    assert sweep.decisions()["model=same"] == ("undecided", 8)
    (sweep.folder / SEQUENTIAL_FILE).unlink()
    sweep.run("same,fc", max_seeds=8, equivalence=2)
    decision, seeds = sweep.decisions()["model=same"]
    assert decision == "equal"
    assert seeds < 8
    assert max(abs(sweep.plan.last("model=same").low), sweep.plan.last("model=same").high) <= 0.02


def test_of_a_loss_the_smaller_one_is_better(sweep):
    sweep.changes = lambda model, seed: {"task": TaskFacts(headline="loss", mode="min")}
    sweep.run("cnn,fc,worse")
    assert {name: found for name, (found, _) in sweep.decisions().items()} == {
        "model=cnn": "better",
        "model=worse": "worse",
    }
    assert sweep.plan.metric == "test/loss"
    assert sweep.plan.last("model=cnn").mean < 0


@pytest.mark.parametrize("ends_at", [0, 2])
def test_an_interrupted_sweep_goes_on_from_its_records_to_the_same_decisions(sweep, ends_at):
    sweep.run("cnn,same,fc", max_seeds=5)
    whole, jobs = (sweep.folder / SEQUENTIAL_FILE).read_bytes(), sweep.launched
    for path in [*sweep.folder.glob("*/run.json"), sweep.folder / SEQUENTIAL_FILE]:
        path.unlink()
    sweep.interrupts_at = ends_at
    with pytest.raises(Interrupted):
        sweep.run("cnn,same,fc", max_seeds=5)
    partly = sweep.plan
    assert len({found.seeds for found in partly.looks}) == ends_at
    sweep.interrupts_at = None
    sweep.run("cnn,same,fc", max_seeds=5)
    assert (sweep.folder / SEQUENTIAL_FILE).read_bytes() == whole
    assert sweep.launched == jobs  # those that are finished are skipped by the launcher


def test_a_resumed_sweep_forgets_no_look_while_it_takes_them_again(sweep):
    sweep.run("same,fc", max_seeds=5)
    whole = (sweep.folder / SEQUENTIAL_FILE).read_bytes()
    for sweep.interrupts_at in (0, 1):
        with pytest.raises(Interrupted):
            sweep.run("same,fc", max_seeds=5)
        assert (sweep.folder / SEQUENTIAL_FILE).read_bytes() == whole


def test_a_failed_seed_that_is_tried_again_changes_the_looks(sweep):
    sweep.fails = lambda model, seed: model == "same" and seed == 1
    with pytest.raises(TrainingError):
        sweep.run("same,fc", max_seeds=5)
    assert [look.n for look in sweep.plan.looks] == [2, 3, 4]
    sweep.fails = lambda model, seed: False
    sweep.run("same,fc", max_seeds=5)
    assert [look.n for look in sweep.plan.looks] == [3, 4, 5]


def test_seeds_that_were_trained_before_are_not_looked_at_before_their_turn(sweep):
    sweep.run("same,fc", max_seeds=5)
    few = (sweep.folder / SEQUENTIAL_FILE).read_bytes()
    for model in ("same", "fc"):
        for seed in range(5, 20):
            made = sweep.record([f"model={model}", f"seed={seed}"], accuracy(model, seed) + (model == "same"))
            made.write(sweep.folder / made.name)
    sweep.run("same,fc", max_seeds=5)
    assert (sweep.folder / SEQUENTIAL_FILE).read_bytes() == few


def test_other_runs_in_the_folder_change_no_decision(sweep):
    made = [
        sweep.record([f"model={model}", "optimizer.lr=0.1", f"seed={s}"], 0.1)
        for model in ("cnn", "fc")
        for s in (0, 1)
    ]
    for one in made:
        one.write(sweep.folder / one.name)
    sweep.run("cnn,fc")
    assert sweep.decisions() == {"model=cnn": ("better", 3)}


def test_a_seed_that_failed_on_one_side_is_no_pair_and_the_sweep_goes_on(sweep):
    sweep.fails = lambda model, seed: model == "cnn" and seed == 1
    with pytest.raises(TrainingError, match=r"1 of \d+ jobs failed, \d+ finished; model=cnn,seed=1: diverged"):
        sweep.run("cnn,fc")
    decision = sweep.plan.last("model=cnn")
    assert decision.decision == "better"
    assert decision.n == decision.seeds - 1
    assert SweepCallback.last_words[1:] == ["model=cnn,seed=1: diverged"]


@pytest.mark.parametrize("bad", ["cnn", "fc"])
def test_a_group_that_always_fails_gets_no_more_seeds(sweep, bad):
    sweep.fails = lambda model, seed: model == bad
    with pytest.raises(TrainingError, match="3 of 6 jobs failed"):
        sweep.run("cnn,fc", max_seeds=30)
    assert sweep.decisions() == {"model=cnn": ("no pairs", 3)}


def test_jobs_that_left_no_record_are_no_pairs(sweep):
    sweep.launch = lambda jobs, index: [JobReturn(status=JobStatus.FAILED, _return_value=TrainingError("gone"))]
    with pytest.raises(TrainingError, match="gone"):
        sweep.run("cnn,fc")
    assert sweep.decisions() == {"model=cnn": ("no pairs", 3)}


def test_a_group_that_was_tested_on_other_images_gets_no_more_seeds(sweep):
    sweep.changes = lambda model, seed: {"data_sha256": model, "test_sha256": "b" if model == "same" else "a"}
    sweep.run("cnn,same,fc", max_seeds=10)
    assert sweep.decisions()["model=same"] == ("other test images", 3)
    assert sweep.decisions()["model=cnn"][0] == "better"


def test_runs_that_others_start_from_get_their_seeds_too(sweep):
    jobs = [["model=cnn", "seed=auto"], ["model=fc", "seed=auto"], ["model=same", "init_from=cnn", "seed=auto"]]
    sweep.run(jobs=jobs, max_seeds=5)
    decisions = {name.split(",")[-1]: found for name, found in sweep.decisions().items()}
    assert decisions["model=cnn"] == ("better", 3)
    assert sweep.seeds("same") == sweep.seeds("cnn") == [[0, 1, 2], [3], [4]]


def test_groups_may_hold_several_settings(sweep):
    jobs = [[f"model={model}", f"x={x}", "seed=auto"] for model in ("cnn", "fc") for x in (1, 2)]
    sweep.run(jobs=jobs, group_by="model", baseline="model=fc")
    assert sweep.plan.comparisons == ["model=cnn"]
    assert len(sweep.launched[0]) == 12


def test_a_preview_launches_the_first_round_alone_and_says_what_may_follow(sweep, capsys):
    sweep.run("cnn,same,fc", max_seeds=10, preview=True)
    out = capsys.readouterr().out
    assert "after 3, 4, 5, 6, 7, 8, 10 seeds" in out.replace("\n", " ")
    assert "at most 30 jobs" in out
    assert sweep.seeds("cnn") == [[0, 1, 2]]
    assert not (sweep.folder / SEQUENTIAL_FILE).exists()


def test_what_each_look_showed_is_said_once(sweep, capsys):
    sweep.run("cnn,same,fc", max_seeds=5)
    out = capsys.readouterr().out
    assert out.count("model=cnn is better than model=fc: decided after") == 1
    assert out.count("model=same cannot be told from model=fc after 4 seeds") == 1
    assert "after 5 seeds" not in out  # with the comparison that follows
    compare([sweep.folder], pictures=False).show()
    shown = " ".join(capsys.readouterr().out.split())
    assert shown.count("model=same cannot be told from model=fc after 5 seeds") == 1


@pytest.mark.parametrize("key", ["data.split_seed", "data.fold"])
def test_another_chance_than_seeds_is_refused(sweep, key):
    jobs = [[f"model={model}", f"{key}={value}", "seed=auto"] for model in ("cnn", "fc") for value in (0, 1)]
    with pytest.raises(ConfigError, match=rf"{key} is 0, 1; .* decides over seeds alone"):
        sweep.run(jobs=jobs)
    assert sweep.launched == []


# Differences that a t test of 5% would call larger after six pairs, and looks at 1% do not.
CLOSE = dict(enumerate([0.01, 0.02, 0.03, 0.02, 0.0, 0.02]))


@pytest.fixture
def close(sweep, monkeypatch):
    """A sweep of a group that stays undecided though its p-value is small, and of two that do not."""
    made = accuracy
    monkeypatch.setitem(globals(), "accuracy", lambda m, s: 0.9 + (CLOSE[s] if m == "close" else 0) if m in
                        ("close", "fc") else made(m, s))  # fmt: skip
    sweep.run("cnn,close,fc,worse", max_seeds=6)
    return sweep


def test_the_page_the_terminal_and_the_headline_say_what_the_looks_said(close, capsys):
    comparison = compare([close.folder], pictures=False)
    assert close.decisions()["model=close"] == ("undecided", 6)
    rows = {row.label: row.difference for row in comparison.table.rows}
    assert rows["model=close"].conclusion == "not distinguishable"
    assert (rows["model=cnn"].conclusion, rows["model=worse"].conclusion) == ("larger", "smaller")
    assert math.isnan(rows["model=close"].p_value)
    last = close.plan.last("model=cnn")
    assert (rows["model=cnn"].n, rows["model=cnn"].ci_low) == (last.n, last.low)
    comparison.show()
    shown = " ".join(capsys.readouterr().out.split())
    page = comparison.page.read_text()
    text = (comparison.out / "comparison.md").read_text()
    assert "model=close cannot be told from model=fc after 6 seeds" in shown
    assert f"model=cnn is better than model=fc: decided after {last.seeds} seeds" in shown
    for written in (page, text):
        assert "Seeds until decided" in written
        assert "all looks at 3 comparisons together err in at most 5% of sweeps" in written
        assert "interval at every look" in written


def test_a_comparison_that_seeds_were_not_added_for_warns_of_its_p_values(close):
    comparison = compare([close.folder], metric="val/acc", pictures=False)
    assert any("look surer than they are" in caveat for caveat in caveats(comparison.table))
    assert "Seeds until decided" not in comparison.page.read_text()
    plain = {row.label: row.difference for row in comparison.table.rows}
    assert plain["model=close"].conclusion == "larger"


def test_runs_that_were_added_by_hand_are_warned_of_too(close):
    def warned():
        found = caveats(compare([close.folder], pictures=False).table)
        return any("look surer than they are" in caveat for caveat in found)

    assert not warned()
    for seed in range(4):
        made = close.record(["model=other", f"seed={seed}"], 0.8 + 0.01 * seed)
        made.write(close.folder / made.name)
    assert warned()


def test_a_damaged_file_stops_a_comparison_rather_than_showing_p_values_that_do_not_hold(close):
    (close.folder / SEQUENTIAL_FILE).write_text("{")
    with pytest.raises(StorageError, match="move it away"):
        compare([close.folder], pictures=False)


def test_the_share_of_the_images_stands_beside_a_decision(close):
    table = compare([close.folder], pictures=False).table
    found = OverImages(mean=0.07, low=math.nan, high=math.nan, p_value=math.nan, images_part=0.5)
    rows = [
        replace(row, evidence=replace(row.evidence, over_images=found)) if row.label == "model=cnn" else row
        for row in table.rows
    ]
    assert "images" not in {column.name for column in look_columns(table)}
    [column] = [column for column in look_columns(replace(table, rows=tuple(rows))) if column.name == "images"]
    shown = {look.comparison: column.write(look) for look in looks(table)}
    assert shown == {"model=cnn": "50%", "model=close": "–", "model=worse": "–"}


def test_a_margin_stands_on_the_page(sweep):
    sweep.run("same,fc", max_seeds=8, equivalence=2)
    comparison = compare([sweep.folder], pictures=False)
    assert "equal within ±2 points" in comparison.page.read_text()
    assert comparison.headline.startswith("model=same equals model=fc within ±2.00 points")


@pytest.mark.parametrize(
    ("models", "options", "says"),
    [
        ("cnn,same", {}, "choose it with comparison.baseline=…, which is one of 'model=cnn', 'model=same'"),
        ("cnn,fc", {"baseline": "model=nope"}, "baseline='model=nope' names nothing"),
        ("fc", {}, "nothing to decide"),
        ("cnn,fc", {"group_by": "model,seed"}, "names seed"),
        ("cnn,fc", {"group_by": ["seed"]}, "names seed"),
    ],
)
def test_what_cannot_be_decided_is_refused_before_anything_is_launched(sweep, models, options, says):
    with pytest.raises(ConfigError, match=says):
        sweep.run(models, **options)
    assert sweep.launched == []
    assert sweep.plan is None


@pytest.mark.parametrize("seeds", [["seed=0"], [], ["seed=auto", "seed=1"], ["+seed=3"]])
def test_the_sweeper_needs_auto_as_the_seed(sweep, seeds):
    with pytest.raises(ConfigError, match="it needs seed=auto"):
        sweep.run(jobs=[["model=cnn", *seeds], ["model=fc", *seeds]])
    assert sweep.launched == []


@pytest.mark.parametrize(
    ("models", "options", "says"),
    [
        ("cnn,fc", {"max_seeds": 10}, "max_seeds was 5 and is 10"),
        ("cnn,fc", {"max_seeds": 5, "equivalence": 0.1}, "equivalence was null and is 0.1"),
        ("cnn,fc", {"max_seeds": 5, "baseline": "model=cnn"}, "baseline was model=fc and is model=cnn"),
        ("cnn,fc,same", {"max_seeds": 5}, "comparisons was model=cnn and is model=cnn, model=same"),
    ],
)
def test_another_plan_for_results_that_were_looked_at_is_refused(sweep, models, options, says):
    sweep.run("cnn,fc", max_seeds=5)
    with pytest.raises(ConfigError, match=says):
        sweep.run(models, **options)
    assert sweep.launched == []


@pytest.mark.parametrize(
    ("before", "after", "says"),
    [
        ([], ["optimizer.lr=1e-2"], "fixed was nothing and is optimizer.lr=1e-2"),
        (["data.split_seed=1"], [], "fixed was data.split_seed=1 and is nothing"),
        (
            ["trainer.max_epochs=1"],
            ["trainer.max_epochs=2"],
            "fixed was trainer.max_epochs=1 and is trainer.max_epochs=2",
        ),
        (["+a=1", "b=1"], ["b=2", "+a=1"], "fixed was b=1 and is b=2"),
        (["n_jobs=1", "notes=x", "b=1"], ["n_jobs=2", "b=0", "b=1"], ""),
    ],
)
def test_what_is_fixed_in_all_runs_is_a_part_of_the_plan(sweep, before, after, says):
    def jobs(more):
        return [[f"model={model}", "seed=auto", *more] for model in ("cnn", "fc")]

    sweep.run(jobs=jobs(before), max_seeds=5)
    whole = (sweep.folder / SEQUENTIAL_FILE).read_bytes()
    if says:
        with pytest.raises(ConfigError, match=says):
            sweep.run(jobs=jobs(after), max_seeds=5)
        assert sweep.launched == []
    else:
        sweep.run(jobs=jobs(after), max_seeds=5)
    assert (sweep.folder / SEQUENTIAL_FILE).read_bytes() == whole


def test_other_settings_within_a_group_are_another_plan(sweep):
    def jobs(other):
        return [[f"model={model}", "seed=auto", f"optimizer.lr={lr}"] for model in ("cnn", "fc") for lr in (1, other)]

    sweep.run(jobs=jobs(2), max_seeds=5, group_by="model", baseline="model=fc")
    with pytest.raises(ConfigError, match="the settings within a group were others"):
        sweep.run(jobs=jobs(3), max_seeds=5, group_by="model", baseline="model=fc")


def test_a_plan_of_an_earlier_version_which_has_no_settings_goes_on(sweep):
    sweep.run("same,fc", max_seeds=5)
    before = json.loads((sweep.folder / SEQUENTIAL_FILE).read_text())
    del before["settings"]
    (sweep.folder / SEQUENTIAL_FILE).write_text(json.dumps(before))
    sweep.run("same,fc", max_seeds=5)
    assert sweep.plan.looks == Sequential.model_validate(before).looks


def test_where_runs_that_were_looked_at_are_gone_the_numbers_say_so(sweep):
    sweep.run("same,fc", max_seeds=5)
    n = sweep.plan.last("model=same").n
    assert not any("not all of its pairs" in said for said in caveats(compare([sweep.folder], pictures=False).table))
    shutil.rmtree(sweep.folder / "model=same,seed=1")
    [said] = [said for said in caveats(compare([sweep.folder], pictures=False).table) if "not all of its pairs" in said]
    assert said.endswith(f"among these runs: model=same ({n - 1} of {n} pairs).")


@pytest.mark.parametrize(("one", "other"), [(None, "test/loss"), ("test/loss", None)])
def test_another_metric_is_another_plan(sweep, one, other):
    sweep.run("same,fc", max_seeds=4, metric=one)
    whole = (sweep.folder / SEQUENTIAL_FILE).read_bytes()
    with pytest.raises(ConfigError, match=r"metric was test/\w+ and is test/\w+"):
        sweep.run("same,fc", max_seeds=4, metric=other)
    assert (sweep.folder / SEQUENTIAL_FILE).read_bytes() == whole


def test_a_plan_that_nobody_has_looked_by_can_be_changed(sweep):
    sweep.interrupts_at = 0
    with pytest.raises(Interrupted):
        sweep.run("cnn,fc", max_seeds=5)
    sweep.interrupts_at = None
    sweep.run("cnn,fc", max_seeds=10)
    assert sweep.plan.max_seeds == 10


@pytest.mark.parametrize("content", ["", "{}", "[]", "nope", '{"level": 1}', json.dumps({"schema_version": 2})])
def test_a_damaged_file_is_named_and_nothing_is_launched(sweep, content):
    (sweep.folder / SEQUENTIAL_FILE).write_text(content)
    with pytest.raises(StorageError, match="move it away"):
        sweep.run("cnn,fc")
    assert sweep.launched == []


@pytest.mark.parametrize("value", [2, 0, -1, 201, True, 3.5, "many", [3], {"a": 1}, float("nan"), float("inf")])
def test_a_budget_is_a_whole_number_of_at_least_three(value):
    with pytest.raises(ConfigError, match=r"comparison\.max_seeds is .*; expected a whole number from 3 to 200"):
        check_comparison({"comparison": {"max_seeds": value}})


@pytest.mark.parametrize("value", [0, -0.1, True, "0.1", [0.1], float("nan"), float("inf")])
def test_a_margin_is_a_positive_number(value):
    with pytest.raises(ConfigError, match=r"comparison\.equivalence is .*; expected a number above 0"):
        check_comparison({"comparison": {"equivalence": value}})


def test_numbers_of_a_comparison_may_be_left_out():
    check_comparison({"comparison": {"max_seeds": None, "equivalence": None}})
    check_comparison({"comparison": {"max_seeds": 200, "equivalence": 0.1}})


def test_a_budget_that_another_sweeper_does_not_heed_is_refused():
    words = ["comparison.max_seeds=10", "hydra/sweeper=until_decided"]
    cfg = composed(words, with_hydra=True)
    check_hydra(cfg, words, [])
    cfg.hydra.sweeper._target_ = "hydra_plugins.vision_baselines_local.PairedSweeper"
    with pytest.raises(ConfigError, match="until_decided heeds it, and PairedSweeper does not"):
        check_hydra(cfg, words, [])


def test_a_seed_of_auto_without_the_sweeper_is_refused(compose, tmp_path: Path):
    from vision_baselines.config.plan import planned

    with pytest.raises(ConfigError, match="it needs -m and hydra/sweeper=until_decided"):
        planned(compose("seed=auto"), tmp_path)


def test_a_baseline_that_no_group_has_is_refused_beside_the_one_that_was_planned(sweep):
    sweep.run("cnn,fc", max_seeds=5)
    with pytest.raises(ConfigError, match=r"'model=nope' names nothing.*was begun with the baseline model=fc"):
        sweep.run("cnn,fc", max_seeds=5, baseline="model=nope")


def test_another_metric_is_refused_before_anything_is_launched(sweep):
    sweep.run("same,fc", max_seeds=4)
    with pytest.raises(ConfigError, match="metric was test/acc and is test/loss"):
        sweep.run("same,fc", max_seeds=4, metric="test/loss")
    assert sweep.launched == []


@pytest.mark.parametrize(("planned", "asked"), [(None, 30), (2, 30), (2, 1.5)])
def test_a_margin_that_was_not_planned_is_refused_and_nothing_is_written(sweep, planned, asked):
    sweep.run("same,fc", max_seeds=4, equivalence=planned)
    with pytest.raises(ConfigError, match=f"equivalence is {asked:g}, .* cannot be changed afterwards"):
        compare([sweep.folder], equivalence=asked, pictures=False)
    assert not list(sweep.folder.glob("comparison/equivalence*"))


def test_the_planned_margin_may_be_asked_for_and_any_for_another_metric(sweep):
    sweep.run("same,fc", max_seeds=4, equivalence=2)
    assert compare([sweep.folder], equivalence=2, pictures=False).table.equivalence == 2
    assert compare([sweep.folder], metric="val/acc", equivalence=30, pictures=False).table.equivalence == 30


@pytest.mark.parametrize(
    ("error", "has_run", "is_shown"),
    [
        (ConfigError("no"), False, False),
        (ConfigError("no"), True, True),
        (TrainingError("no"), False, True),
        (None, False, True),
    ],
)
def test_a_sweep_that_was_refused_before_a_job_ran_shows_no_table(monkeypatch, error, has_run, is_shown):
    callback = SweepCallback()
    monkeypatch.setattr(SweepCallback, "current", callback)
    if has_run:
        SweepCallback.update()
    compared = []
    monkeypatch.setattr(callback, "_compare", lambda **options: compared.append(options))
    SweepCallback.finish(error)
    assert bool(compared) is is_shown


def test_where_a_part_is_left_out_the_full_run_is_what_others_are_compared_with(sweep):
    sweep.run("cnn,fc", max_seeds=5, ablate={"convolutions": "model=fc"})
    assert sweep.plan.baseline == "model=cnn"
    part = AblatedPart(name="convolutions", without=["model=fc"], full=["model=cnn"])
    Ablation(parts=[part], settings=[[]]).write(sweep.folder)
    table = compare([sweep.folder], pictures=False, as_given=True).table
    assert table.baseline == "model=cnn"
    [effect] = table.effects
    look = sweep.plan.last("model=fc")
    assert (effect.low, effect.high) == (-look.high, -look.low)
    assert effect.is_decided


@pytest.mark.parametrize("is_all", [False, True])
@pytest.mark.parametrize("names", [("same",), ("same", "worse"), ("same", "worse", "fc")])
def test_parts_alone_share_the_error_and_runs_without_two_follow_them(sweep, names, is_all, capsys):
    ablate = {name: f"+no_{name}=1" for name in names}
    kinds = [kind for n in range(len(names) + 1) for kind in combinations(names, n)]
    changes = {"pairs": True, "all": is_all} if len(names) > 1 else {}
    model = {(): "cnn", **{(name,): name for name in names}}  # of two, or all: what nothing is decided by
    jobs = [[f"model={model.get(kind, 'cnn')}", "seed=auto", *(f"+no_{name}=1" for name in kind)] for kind in kinds]
    sweep.run(jobs=jobs, max_seeds=6, ablate={**ablate, **changes})
    n_compared = len(names) + (is_all and len(names) > 1)
    assert len(sweep.plan.comparisons) == n_compared
    assert sweep.plan.level == 0.05 / n_compared / 5
    lacks = {label: [name for name in names if f"no_{name}=1" in label] for label in sweep.plan.comparisons}
    assert all(len(found) in (1, len(names)) for found in lacks.values())
    assert len(sweep.launched[0]) == 3 * len(kinds)  # each kind has the first seeds
    said = capsys.readouterr().out
    assert "seeds 0 to 2, of at most 6, of model=cnn; " in said
    for round_ in sweep.launched:
        lacked = [{name for name in names if f"+no_{name}=1" in job} for job in round_]
        alone = {name for found in lacked if len(found) == 1 for name in found}
        assert all(found & alone for found in lacked if 1 < len(found) < len(names))


@pytest.mark.parametrize(
    ("ablate", "baseline", "said"),
    [
        ({"x": "model=gone"}, None, "ablate makes 3 full runs of this sweep"),
        ({"x": "model=fc"}, None, "ablate makes 2 full runs of this sweep"),
    ],
)
def test_seeds_are_added_for_one_full_run_alone(sweep, ablate, baseline, said):
    with pytest.raises(ConfigError, match=said):
        sweep.run("cnn,same,fc", max_seeds=5, ablate=ablate, baseline=baseline)
    with pytest.raises(ConfigError, match="ablate compares with the full run; leave it out"):
        sweep.run("cnn,fc", max_seeds=5, ablate={"x": "model=fc"}, baseline="model=fc")
    assert sweep.launched == []
