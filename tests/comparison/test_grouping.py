"""Which jobs make a group, and what it is called."""

from __future__ import annotations

from pathlib import Path

import pytest

from vision_baselines.comparison.collection import Job
from vision_baselines.comparison.errors import UnknownNameError
from vision_baselines.comparison.grouping import find_group, group_jobs, natural_order
from vision_baselines.runs.record import FRESH_SEEDS


def jobs(*records, folder=None):
    """Each in the folder of its sweep, or in another one."""
    return [Job(Path(folder or found.sweep, str(n)), f"place{n}", found) for n, found in enumerate(records)]


def labels(groups):
    return [group.label for group in groups]


def test_groups_are_the_overrides_without_seed_and_name(record):
    found = group_jobs(jobs(*(record(f"model={m},seed={s},name=demo") for m in ("fc", "cnn") for s in (1, 0))))

    assert labels(found) == ["model=cnn", "model=fc"]
    assert [job.record.seed for job in found[0].jobs] == [0, 1]


def test_the_order_of_jobs_and_of_overrides_does_not_matter(record):
    one = jobs(record("model=cnn,lr=1"), record("lr=2,model=cnn"), record("model=fc,lr=1"))
    other = jobs(record("lr=1,model=fc"), record("model=cnn,lr=2"), record("lr=1,model=cnn"))

    assert labels(group_jobs(one)) == labels(group_jobs(other))


def test_an_override_that_all_jobs_share_is_left_out_of_the_label(record):
    found = group_jobs(jobs(record("model=cnn,trainer.max_epochs=3"), record("model=fc,trainer.max_epochs=3")))

    assert labels(found) == ["model=cnn", "model=fc"]
    assert found[0].parts == ("model=cnn", "trainer.max_epochs=3")


def test_a_single_group_keeps_its_whole_name(record):
    assert labels(group_jobs(jobs(record("model=cnn,seed=0"), record("model=cnn,seed=1")))) == ["model=cnn"]


def test_a_job_without_overrides_is_the_default(record):
    assert labels(group_jobs(jobs(record("seed=0"), record("model=fc,seed=0")))) == ["default", "model=fc"]


@pytest.mark.parametrize("key", ["rerun=true", "fail_fast=true", "preview=false", "logger=csv", "paths.output=x"])
def test_how_a_sweep_was_run_makes_no_group(record, key):
    assert labels(group_jobs(jobs(record("model=cnn,seed=0"), record(f"model=cnn,seed=1,{key}")))) == ["model=cnn"]


def test_labels_hold_the_sweep_only_where_they_would_be_ambiguous(record):
    apart = jobs(record("model=cnn", sweep="a"), record("model=fc", sweep="b"))
    clashing = jobs(record("model=cnn", sweep="a"), record("model=cnn", sweep="b"), record("model=fc", sweep="b"))

    assert labels(group_jobs(apart)) == ["model=cnn", "model=fc"]
    assert labels(group_jobs(clashing)) == ["a: model=cnn", "b: model=cnn", "b: model=fc"]


@pytest.mark.parametrize("folder", ["b", "outputs/b", "a", "c"])
def test_runs_of_a_sweep_that_was_renamed_are_of_the_groups_of_those_that_it_goes_on_with(record, folder):
    made = [
        record(f"model={m},seed={s}", sweep=sweep) for m in ("cnn", "fc") for s, sweep in enumerate(["a", "b", "b"])
    ]
    made.append(record("model=mlp,seed=0", sweep="a"))
    found = group_jobs(jobs(*made, folder=folder))
    assert {group.label: [job.record.seed for job in group.jobs] for group in found} == {
        "model=cnn": [0, 1, 2],
        "model=fc": [0, 1, 2],
        "model=mlp": [0],
    }
    fresh = [Job(Path(folder, FRESH_SEEDS, f"{n}"), f"fresh{n}", one) for n, one in enumerate(made)]
    assert labels(group_jobs(fresh)) == labels(found)
    elsewhere = group_jobs([*jobs(*made[:2], folder=folder), *jobs(record("model=cnn,seed=7", sweep="x"))])
    present = "b" if Path(folder).name == "b" else "a"
    assert labels(elsewhere) == [f"{present}: model=cnn", "x: model=cnn"]


def test_runs_side_by_side_that_differ_in_more_than_their_seeds_stay_apart(record):
    other = {"seed": 1, "model": {"_target_": "cnn"}, "optimizer": {"lr": 0.1}}
    made = [record("model=cnn,seed=0", sweep="a"), record("model=cnn,seed=1", sweep="b", config=other)]
    assert labels(group_jobs(jobs(*made, folder="b"))) == ["a: model=cnn", "b: model=cnn"]
    made.append(record("model=cnn,seed=2", sweep="c", config={**other, "seed": 2}))
    found = group_jobs(jobs(*made, folder="b"))
    assert {group.label: len(group.jobs) for group in found} == {"a: model=cnn": 1, "b: model=cnn": 2}


def test_group_by_merges_sweeps_and_separates_them_when_asked(record):
    both = jobs(record("model=cnn,seed=0", sweep="a"), record("model=cnn,seed=1", sweep="b"))

    assert labels(group_jobs(both, "model")) == ["model=cnn"]
    assert labels(group_jobs(both, ["sweep", "model"])) == ["sweep=a, model=cnn", "sweep=b, model=cnn"]


def test_group_by_takes_a_dotted_config_key_and_one_spelling_of_its_value(record):
    found = jobs(
        record("model=cnn,seed=0", config={"optimizer": {"lr": 0.001}}),
        record("model=cnn,optimizer.lr=1e-3,seed=1", config={"optimizer": {"lr": 0.001}}),
    )

    assert labels(group_jobs(found, "optimizer.lr")) == ["optimizer.lr=0.001"]


def test_group_by_a_config_group_takes_its_name_from_the_overrides(record):
    assert labels(group_jobs(jobs(record("seed=0"), record("model=fc")), "model")) == ["model=default", "model=fc"]


def test_an_unknown_key_is_refused_with_those_that_exist(record):
    with pytest.raises(ValueError, match=r"group_by='modle' .*there is: .*model.*seed"):
        group_jobs(jobs(record("model=cnn,seed=0")), "modle")


def test_numbers_in_labels_sort_by_value():
    assert sorted(["lr=0.1", "lr=10", "lr=1e-3", "lr=2"], key=natural_order) == ["lr=1e-3", "lr=0.1", "lr=2", "lr=10"]


def test_a_group_is_found_by_label_or_by_its_settings(record):
    groups = group_jobs(
        jobs(record("model=cnn,lr=1,data=m"), record("model=fc,lr=1,data=m"), record("model=fc,lr=2,data=m"))
    )

    assert find_group(groups, "lr=1, model=cnn").label == "lr=1, model=cnn"
    assert find_group(groups, "model=fc,lr=2").label == "lr=2, model=fc"
    assert find_group(groups, "model=cnn,data=m").label == "lr=1, model=cnn"
    with pytest.raises(UnknownNameError, match="lr=1, model=fc, lr=2, model=fc"):
        find_group(groups, "model=fc")
    with pytest.raises(ValueError, match="baseline='model=vit'"):
        find_group(groups, "model=vit")


def test_commas_inside_brackets_do_not_split_a_baseline(record):
    made = [record(["model.channels=[8,16]", "seed=0"]), record(["model.channels=[4]"])]
    groups = group_jobs(jobs(*made))

    assert find_group(groups, "model.channels=[8,16]").jobs[0].record.overrides[0] == "model.channels=[8,16]"
