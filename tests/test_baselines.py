"""A published baseline is held to its bits where they can be promised, and to its spread where they cannot."""

from __future__ import annotations

import dataclasses
import json

import pytest

from vision_baselines.errors import ConfigError, DataError
from vision_baselines.evaluation.references import Baseline, expectation, judge, not_run, select
from vision_baselines.runs.record import Environment, read_record


@pytest.fixture(scope="module")
def sweep(train_tiny, tmp_path_factory):
    """Two groups on different data, with a seed each; records say what Hydra's overrides would have been."""
    folder = tmp_path_factory.mktemp("outputs") / "sweep"
    for permuted in ("false", "true"):
        name = f"data.permute_pixels={permuted},seed=0"
        train_tiny(folder / name, f"data.permute_pixels={permuted}")
        edit(folder / name, overrides=["experiment=some", f"data.permute_pixels={permuted}", "seed=0"])
    return folder


def edit(folder, **changes):
    content = json.loads((folder / "run.json").read_text())
    (folder / "run.json").write_text(json.dumps(content | changes))


def records(folder):
    return [read_record(path) for path in sorted(folder.iterdir())]


def baseline(folder):
    expected = expectation(folder)
    environment = Environment.model_validate(expected.pop("environment"))
    return Baseline(name="some", environment=environment, **expected)


def test_an_expectation_names_each_groups_data_where_they_differ(sweep):
    found = expectation(sweep)
    assert list(found["data_sha256"]) == ["data.permute_pixels=false", "data.permute_pixels=true"]
    assert len(set(found["data_sha256"].values())) == 2
    assert found["metric"] == "test/acc"
    assert set(found["runs"]) == {f"{label},seed=0" for label in found["data_sha256"]}


def test_the_same_runs_pass_by_their_bits(sweep):
    verdicts = judge(baseline(sweep), records(sweep))
    assert [(v.passed, v.how) for v in verdicts] == [(True, "bits: 1 of 1 runs identical")] * 2


def test_other_weights_or_other_data_fail(sweep):
    expected = baseline(sweep)
    first = next(iter(expected.runs))
    others = dataclasses.replace(expected, runs={**expected.runs, first: "0" * 64})
    assert [v.passed for v in judge(others, records(sweep))] == [False, True]
    labels = list(expected.groups)
    data = {labels[0]: expected.data_sha256[labels[0]], labels[1]: "0" * 64}
    verdicts = judge(dataclasses.replace(expected, data_sha256=data), records(sweep))
    assert [v.passed for v in verdicts] == [True, False]
    assert verdicts[1].how.startswith("other data")


def test_under_another_manifest_the_mean_decides(sweep):
    expected = baseline(sweep)
    elsewhere = expected.environment.model_copy(update={"threads": 7})
    groups = {label: {**group, "std": 0.01} for label, group in expected.groups.items()}
    first = next(iter(groups))
    groups[first] = {**groups[first], "mean": groups[first]["mean"] + 0.5}
    runs = dict.fromkeys(expected.runs, "0" * 64)
    verdicts = judge(dataclasses.replace(expected, environment=elsewhere, groups=groups, runs=runs), records(sweep))
    assert [v.passed for v in verdicts] == [False, True]
    assert all("not comparable by bits: threads 7" in v.how for v in verdicts)


def test_runs_of_one_group_on_other_data_make_no_expectation(sweep, tmp_path):
    import shutil

    copy = tmp_path / "sweep"
    shutil.copytree(sweep, copy)
    edit(copy / "data.permute_pixels=true,seed=0", overrides=["data.permute_pixels=false", "seed=1"], seed=1)
    with pytest.raises(DataError, match="other data than the rest"):
        expectation(copy)


def test_baselines_are_chosen_by_name_or_by_cost(sweep):
    quick, long = (dataclasses.replace(baseline(sweep), name=n, cost_s=c) for n, c in (("quick", 5), ("long", 500)))
    assert [b.name for b in select([quick, long], quick=True)] == ["quick"]
    assert [b.name for b in select([quick, long], quick=False, names=["long"])] == ["long"]
    with pytest.raises(ConfigError, match="there is no published baseline 'lng'; there are: quick, long"):
        select([quick, long], quick=False, names=["lng"])


def test_a_baseline_that_could_not_be_run_has_not_passed(sweep):
    verdicts = not_run(baseline(sweep), "no data")
    assert [(v.passed, v.how) for v in verdicts] == [(False, "no data")] * 2


def test_seeds_that_all_gave_the_same_pass_under_another_manifest(sweep):
    expected = baseline(sweep)
    groups = {label: {**group, "std": 0.0} for label, group in expected.groups.items()}
    elsewhere = expected.environment.model_copy(update={"cpu": "another"})
    assert all(
        v.passed for v in judge(dataclasses.replace(expected, environment=elsewhere, groups=groups), records(sweep))
    )
