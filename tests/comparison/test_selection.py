"""Chosen on validation, reported on test: what ranks groups, and what is said where nothing can."""

from __future__ import annotations

import re
from datetime import UTC, datetime
from pathlib import Path

import pytest

from vision_baselines.comparison.caveats import caveats, why_none_is_chosen
from vision_baselines.comparison.collection import Collection, Job, collect
from vision_baselines.comparison.errors import UnknownNameError
from vision_baselines.comparison.search import Search, SearchTrial
from vision_baselines.comparison.selection import settings_tested
from vision_baselines.comparison.table import tabulate
from vision_baselines.comparison.verdict import headline, winner
from vision_baselines.config.comparison_options import check_comparison
from vision_baselines.errors import ConfigError
from vision_baselines.evaluation.export_facts import repetitions
from vision_baselines.plots.intervals import accuracy_figure
from vision_baselines.plots.style import house_style
from vision_baselines.report.csv_files import csv_files
from vision_baselines.report.legend import legend
from vision_baselines.report.markdown import markdown
from vision_baselines.report.page import page
from vision_baselines.runs.record import EpochRow, TaskFacts

LOSS = TaskFacts(headline="pinball", mode="min", modes={"pinball": "min", "acc": "max"})


def table_of(*records, **options):
    return tabulate(
        Collection(tuple(Job(Path(str(n)), f"place{n}", found) for n, found in enumerate(records))), **options
    )


def runs(record, model, val, test, names=("val/acc", "test/acc"), **changes):
    """Three runs of a model; its seeds differ a little, and not in the same way on both splits."""
    return [
        record(
            f"model={model},seed={seed}",
            metrics={names[0]: val + 0.001 * seed, names[1]: test + 1e-5 * seed * ord(model[0])},
            history=[EpochRow(epoch=0, step=1, lr=0.1, metrics={names[0]: val})],
            **changes,
        )
        for seed in range(3)
    ]


@pytest.fixture
def opposed(record):
    """Three models whose order on validation is the reverse of that on test."""
    return [
        *runs(record, "a", 0.95, 0.80),
        *runs(record, "fc", 0.93, 0.85),
        *runs(record, "z", 0.91, 0.90),
    ]


def test_the_winner_the_order_and_the_words_go_by_validation_and_test_is_only_shown(opposed):
    table = table_of(*opposed)

    assert [row.label for row in table.best_first()] == ["model=a", "model=fc", "model=z"]
    assert headline(table).startswith(
        "model=a, chosen by validation accuracy among 3 settings, has a test accuracy of 80.10 ± 0.10%, but "
        "falls behind model=fc by 5.00 points"
    )
    assert winner(table) is None  # model=z is better on test, and was not chosen


def test_every_table_and_figure_has_the_order_of_validation_and_bold_is_by_validation(opposed):
    table = table_of(*opposed)
    lines = [line for line in markdown(table).splitlines() if line.startswith("| model=")]
    with house_style():
        figure = accuracy_figure(table)
    names = [text for text in figure.axes[0].texts if text.get_text().startswith("model=")]

    assert [line.split(" | ")[0] for line in lines[:3]] == ["| model=a", "| model=fc", "| model=z"]
    assert [line.count("**") for line in lines[:3]] == [2, 0, 0]
    assert lines[0].split(" | ")[1] == "**95.10**"
    by_epoch = csv_files(table)["epochs.csv"].decode().splitlines()
    assert [line.partition(",")[0] for line in by_epoch] == ["group", "model=a", "model=fc", "model=z"]
    assert [(name.get_text(), name.get_fontweight()) for name in names] == [
        ("model=a", "bold"), ("model=fc", "normal"), ("model=z", "normal")
    ]  # fmt: skip
    text = page(table, None)
    assert text.index("95.10") < text.index("93.10") < text.index("91.10")
    assert set(re.findall(r'<span class="best">([^ <]+)', text)) == {"95.10"}


def test_another_metric_of_the_validation_split_can_select(record):
    made = [
        record(f"model={model},seed=0", metrics={"val/acc": acc, "val/loss": loss, "test/acc": acc})
        for model, acc, loss in (("a", 0.9, 0.5), ("b", 0.8, 0.3))
    ]

    assert [row.label for row in table_of(*made).ranked()] == ["model=a", "model=b"]
    by_loss = table_of(*made, select="val/loss")
    assert [row.label for row in by_loss.ranked()] == ["model=b", "model=a"]
    assert "model=b, chosen by validation loss among 2 settings, has a test accuracy of 80.00%" in headline(by_loss)


@pytest.mark.parametrize(
    "wanted", ["test/acc", "test/loss", "train/acc", "shift/acc_4px", "acc", "val/", "", 3, ["val/acc"]]
)
def test_only_a_metric_of_the_validation_split_can_select(record, wanted):
    with pytest.raises(ConfigError, match=r"select is .*expected a metric of the validation split"):
        table_of(record("seed=0"), select=wanted)
    with pytest.raises(ConfigError, match=r"comparison\.select is"):
        check_comparison({"comparison": {"select": wanted}})


def test_a_metric_that_no_run_has_is_refused_with_those_that_exist(record):
    with pytest.raises(UnknownNameError, match=r"select='val/f1' .*there is: val/acc"):
        table_of(record("seed=0"), select="val/f1")


def test_without_validation_images_no_metric_of_them_can_be_asked_for():
    with pytest.raises(ConfigError, match="val_size=0 leaves no image"):
        check_comparison({"comparison": {"select": "val/acc"}, "data": {"val_size": 0}})


@pytest.mark.parametrize(
    ("config", "reason"),
    [
        ({"data": {"val_size": 0}}, r"no images were held out for validation \(data.val_size=0\)"),
        ({"data": {"val_size": None}}, "no record has val/acc"),  # a record of an earlier version
    ],
)
def test_without_a_validation_metric_nothing_is_ranked_and_comparisons_with_the_baseline_remain(record, config, reason):
    made = [
        record(f"model={model},seed={seed}", metrics={"test/acc": acc + 0.001 * seed * bend}, config=config)
        for model, acc, bend in (("a", 0.7, 1), ("fc", 0.8, 2), ("z", 0.9, 3))
        for seed in range(3)
    ]
    table = table_of(*made)

    assert table.ranked() == table.best_groups == []
    assert table.choice is None
    assert [row.label for row in table.best_first()] == ["model=a", "model=fc", "model=z"]
    assert [row.difference is not None for row in table.rows] == [True, False, True]
    assert headline(table).startswith("No group was chosen among 3: ")
    assert "of the baseline model=fc: it beats model=a, and it falls behind model=z" in headline(table)
    assert "**|" not in markdown(table).replace(" ", "")
    for said in (headline(table), legend(table), *caveats(table)[:1], page(table, None)):
        assert re.search(reason, said)


@pytest.mark.parametrize("number", [1, 2])
def test_one_group_or_a_group_and_its_baseline_choose_nothing(record, number):
    made = [found for model in ("cnn", "fc")[:number] for found in runs(record, model, 0.9, 0.9)]
    table = table_of(*made)

    assert table.choice is None
    assert "chosen" not in headline(table)
    assert not any("chosen" in caveat for caveat in caveats(table))


def test_two_groups_without_a_baseline_among_them_are_a_choice(record):
    table = table_of(*runs(record, "a", 0.9, 0.9), *runs(record, "b", 0.8, 0.8))

    assert table.choice.label == "model=a"
    assert any("some optimism about the setting stays" in caveat for caveat in caveats(table))


def test_equal_groups_are_named_and_the_first_is_taken(record):
    table = table_of(*runs(record, "b", 0.9, 0.7), *runs(record, "a", 0.9, 0.8), *runs(record, "c", 0.8, 0.9))

    assert table.choice.label == "model=a"
    assert any("is the same for model=a, model=b; the first" in caveat for caveat in caveats(table))


def test_a_group_without_the_metric_that_selects_is_shown_last_and_named(record):
    odd = [found.model_copy(update={"metrics": {"test/acc": 0.99}}) for found in runs(record, "a", 0.9, 0.9)]
    table = table_of(*odd, *runs(record, "b", 0.8, 0.8), *runs(record, "c", 0.7, 0.7))

    assert [row.label for row in table.best_first()] == ["model=b", "model=c", "model=a"]
    assert "among 2 settings" in headline(table)
    assert "Not ranked, since no run has a finite val/acc: model=a." in caveats(table)


def test_a_run_without_a_finite_metric_that_selects_is_said(record):
    made = [*runs(record, "a", 0.9, 0.9), *runs(record, "b", 0.8, 0.8)]
    made[0].metrics["val/acc"] = float("nan")

    assert "model=a: 1 finished job without a finite val/acc." in caveats(table_of(*made))


@pytest.mark.parametrize(
    ("value", "is_said"), [(2.5, True), (-0.3, True), (1.0, False), (1.0000001, False), (0.0, False)]
)
@pytest.mark.parametrize("name", ["val/acc", "test/acc"])
def test_a_share_that_is_none_is_said(record, name, value, is_said):
    made = [*runs(record, "a", 0.9, 0.9), *runs(record, "b", 0.8, 0.8)]
    made[0].metrics[name] = value

    assert (
        f"model=a: {name} of 1 job is not from 0 to 1, as a share is: it is wrong." in caveats(table_of(*made))
    ) is is_said


@pytest.mark.parametrize("mode", ["min", "max"])
def test_a_task_of_the_users_own_is_chosen_shown_and_compared_by_its_headline_metric(record, mode):
    task = TaskFacts(headline="score", mode=mode, modes={"score": mode, "acc": "max"})
    names = ("val/score", "test/score")
    made = [
        found
        for model, at in (("a", 2.0), ("b", 1.0), ("c", 3.0))
        for found in runs(record, model, at, at, names, task=task)
    ]
    table = table_of(*made)
    best = {"min": "model=b", "max": "model=c"}[mode]

    assert (table.metric.name, table.selection.name) == ("test/score", "val/score")
    assert table.choice.label == best
    assert table.metric.lower_is_better is table.selection.lower_is_better is (mode == "min")
    assert headline(table).startswith(f"{best}, chosen by validation score among 3 settings, has a test score of")


def test_runs_of_tasks_with_other_headline_metrics_are_not_ranked_and_it_is_said(record):
    mixed = [*runs(record, "a", 0.9, 0.9), *runs(record, "b", 0.4, 0.4, ("val/pinball", "test/pinball"), task=LOSS)]
    table = table_of(*mixed)

    assert table.ranked() == []
    assert "have different headline metrics: val/acc (mode max), val/pinball (mode min)" in caveats(table)[0]
    chosen = table_of(*mixed, metric="test/acc", select="val/acc")
    assert [row.label for row in chosen.ranked()] == ["model=a"]


def test_a_metric_whose_direction_the_runs_do_not_share_is_refused(record):
    modes = [TaskFacts(headline="score", mode=mode, modes={"score": mode}) for mode in ("min", "max")]
    names = ("val/score", "test/score")
    mixed = [found for task in modes for found in runs(record, task.mode, 1.0, 1.0, names, task=task)]

    with pytest.raises(ConfigError, match="test/score is better higher in some"):
        table_of(*mixed)


def test_settings_tested_are_counted_for_each_test_split_whatever_the_groups(record):
    made = [record(f"model={m},optimizer.lr={lr},seed={s}") for m in "ab" for lr in (1, 2, 3) for s in (0, 1)]
    groups = table_of(*made, group_by="model").groups

    assert settings_tested(groups) == [6]
    assert "6 settings have been tested on this test split in this sweep." in legend(table_of(*made, group_by="model"))
    made[0].test_sha256 = made[1].test_sha256 = "f" * 64
    assert settings_tested(groups) == [5, 1]


def test_a_sweep_that_was_renamed_has_tested_no_setting_twice(record, tmp_path):
    """And the card of one of its nets tells the seeds of before."""
    for seed, sweep in enumerate(["before", "before", "now"]):
        for model in "ab":
            found = record(f"model={model},seed={seed}", sweep=sweep)
            found.write(tmp_path / "now" / found.name)
    collection = collect([tmp_path])
    assert tabulate(collection).sweeps == ("now",)
    assert settings_tested(tabulate(collection).groups) == [2]
    mine = collection.jobs[0]
    assert [found.seed for found in repetitions(mine.folder, mine.record)] == [0, 1, 2]


def test_a_group_of_other_data_is_no_setting_to_choose(record):
    """As in `experiment=finetune`, whose pretraining is easier than what is learned after it."""
    easy = runs(record, "a", 0.999, 0.999, test_sha256="e" * 64, data_sha256="e" * 64)
    rest = [runs(record, m, at, at, test_sha256="f" * 64, data_sha256="f" * 64) for m, at in (("b", 0.8), ("fc", 0.7))]
    table = table_of(*easy, *(found for group in rest for found in group))

    assert [row.label for row in table.best_first()] == ["model=b", "model=fc", "model=a"]
    assert "model=b, chosen by validation accuracy among 2 settings" in headline(table)
    alone = table_of(*easy, *rest[0])  # no baseline says which data is meant
    assert alone.ranked() == []
    assert "not ranked, and none was chosen: they were not tested on the same images" in caveats(alone)[0]


@pytest.mark.parametrize(
    ("other_code", "complete", "chosen"),
    [
        ([], [0, 1, 2], "x=1"),  # of equals, what the search calls best, whatever the order of the table
        ([("x=0", 1)], [0, 1, 2], "x=1"),  # a seed of a worse trial that was lucky
        ([("x=2", 0)], [0, 1, 2], "x=1"),
        ([("x=1", 1)], [0, 1, 2], None),  # its seeds are two groups, and neither is what the search found
        ([], [0, 2], "x=2"),
    ],
)
@pytest.mark.parametrize("backwards", [False, True])
def test_of_a_search_the_best_trial_is_chosen_or_none(record, tmp_path, other_code, complete, chosen, backwards):
    jobs, trials = [], []
    for number, (low, high) in enumerate([(0.1, 0.9), (0.6, 0.8), (0.8, 0.6)]):
        names = [f"x={number},seed={seed}" for seed in range(2)]
        state = "complete" if number in complete else "pruned"
        value = [0.5, 0.7, 0.7][number]
        trials.append(SearchTrial(number=number, state=state, settings={"x": number}, values=[value], folders=names))
        for seed, accuracy in enumerate((low, high)):
            is_old = (f"x={number}", seed) in other_code
            when = datetime(2030, 1, 1, 1 if is_old else 2, tzinfo=UTC)
            found = record(names[seed], accuracy, code={"some.module": "old" if is_old else "new"}, started_at=when)
            jobs.append(Job(tmp_path / names[seed], names[seed], found))
    facts = {"seeds": [0, 1], "sampler": "tpe", "sampler_seed": 0, "pruner": "none", "wanted": 3, "parameters": []}
    search = Search(objectives={"val/acc": "max"}, trials=trials, **facts)
    table = tabulate(Collection(tuple(jobs[::-1] if backwards else jobs)), search=search)
    assert (table.choice.label if table.choice else None) == chosen
    if chosen is None:
        assert "trial 1, the best, are not all in one group" in why_none_is_chosen(table)
