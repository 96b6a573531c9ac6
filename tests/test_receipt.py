"""A receipt is whole, names no path, is found out where it was changed, and is enough to train its runs again."""

from __future__ import annotations

import copy
import json
import re
import shlex
import shutil
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from vision_baselines.cli.receipt import main as receipt_main
from vision_baselines.cli.reproduce import main as reproduce_main
from vision_baselines.comparison.of_folders import table_of
from vision_baselines.errors import ConfigError, DataError
from vision_baselines.evaluation.receipt import LINKS, PATH, read_receipt, receipt, without_paths
from vision_baselines.evaluation.receipt_check import Outcome, reproduce_receipt
from vision_baselines.runs.factored import factored, merged
from vision_baselines.runs.planned import PLANNED_FILE
from vision_baselines.runs.record import FRESH_SEEDS
from vision_baselines.sweep.planned import note_planned

plain = st.recursive(
    st.none() | st.booleans() | st.integers(-2, 2) | st.text("ab", max_size=2) | st.just([1]) | st.just({}),
    lambda inner: st.dictionaries(st.sampled_from("abcd"), inner, max_size=4),
    max_leaves=12,
)


@pytest.fixture(scope="module")
def sweep(train_tiny, tmp_path_factory):
    """Two groups of two seeds, whose records name a home folder."""
    folder = tmp_path_factory.mktemp("outputs") / "sweep"
    for permuted in ("false", "true"):
        for seed in (0, 1):
            name = f"data.permute_pixels={permuted},seed={seed}"
            train_tiny(folder / name, f"data.permute_pixels={permuted}", f"seed={seed}", "trainer.max_epochs=1")
            path = folder / name / "run.json"
            record = json.loads(path.read_text())
            record |= {"name": name, "sweep": "sweep", "overrides": [f"data.permute_pixels={permuted}", f"seed={seed}"]}
            record["overrides"] += ["paths.data_dir=/home/somebody/data"]
            record["config"]["comparison"] |= {"dirpath": "/home/somebody/x", "note": "~/secret"}
            path.write_text(json.dumps(record))
    return folder


@pytest.fixture(scope="module")
def made(sweep):
    return receipt(table_of([sweep]))


@pytest.fixture
def written(tmp_path):
    def write(content):
        path = tmp_path / "receipt.json"
        path.write_text(json.dumps(content))
        return path

    return write


@given(st.lists(st.dictionaries(st.sampled_from("abcd"), plain, max_size=4), min_size=1, max_size=4))
def test_what_is_factored_is_merged_again(items):
    shared, own = factored(items)
    assert [merged(shared, part) for part in own] == items


@pytest.mark.slow
@pytest.mark.ci
def test_a_receipt_reads_as_what_it_was_made_of(sweep, made, written):
    found = read_receipt(written(made))
    table = table_of([sweep])
    assert [row.mean for row in found.rows] == [row.metrics["test/acc"].mean for row in table.rows]
    for job in table.jobs:
        record = next(record for record in found.records.values() if record.fingerprint == job.record.fingerprint)
        for field in (
            "seed",
            "weights_sha256",
            "final_weights_sha256",
            "data_sha256",
            "metrics",
            "code",
            "environment",
        ):
            assert getattr(record, field) == getattr(job.record, field)


@pytest.mark.slow
@pytest.mark.ci
def test_runs_on_fresh_seeds_whose_figure_is_reported_are_in_it(sweep, tmp_path, written):
    fresh = tmp_path / "sweep"
    shutil.copytree(sweep, fresh)
    for seed in (8, 9):
        source = fresh / "data.permute_pixels=false,seed=0"
        target = fresh / FRESH_SEEDS / f"data.permute_pixels=false,seed={seed}"
        shutil.copytree(source, target)
        record = json.loads((target / "run.json").read_text())
        record |= {"name": target.name, "seed": seed, "fingerprint": str(seed)}
        record["overrides"] = [text.replace("seed=0", f"seed={seed}") for text in record["overrides"]]
        (target / "run.json").write_text(json.dumps(record))
    table = table_of([fresh])
    assert table.fresh
    found = read_receipt(written(receipt(table)))
    assert {row.group for row in found.rows} == {row.label for row in table.shown()}
    assert len(found.records) == 6


@pytest.mark.slow
@pytest.mark.ci
def test_no_path_stands_in_it_unless_asked_for(sweep, made):
    text = json.dumps(made)
    assert "somebody" not in text
    assert "secret" not in text
    assert str(sweep.parent) not in text
    assert "somebody" in json.dumps(receipt(table_of([sweep]), names=True))


@pytest.mark.parametrize("value", ["/home/x", "~/x", "~", "../x", "./x/y", "C:\\x", "D:/x", "'/home/x'"])
def test_a_path_is_known_by_its_looks(value):
    assert without_paths({"overrides": [f"some.key={value}"], "key": value}) == {
        "overrides": [f"some.key={PATH}"],
        "key": PATH,
    }


@pytest.mark.parametrize(
    "value", ["cnn", "[2,3]", "1e-3", "${paths.data_dir}", "vision_baselines.models.cnn.CNN", "a/b"]
)
def test_what_is_no_path_stays(value):
    assert without_paths({"overrides": [f"model={value}"], "key": value}) == {
        "overrides": [f"model={value}"],
        "key": value,
    }


def leaves(node, place=()):
    if isinstance(node, dict):
        for key, value in node.items():
            yield from leaves(value, (*place, key))
    elif isinstance(node, list):
        for key, value in enumerate(node):
            yield from leaves(value, (*place, key))
    else:
        yield place


@pytest.mark.slow
@pytest.mark.ci
def test_whatever_was_changed_is_found(made, written):
    places = list(leaves(made))
    assert len(places) > 200
    for place in places:
        changed = copy.deepcopy(made)
        node = changed
        for key in place[:-1]:
            node = node[key]
        old = node[place[-1]]
        node[place[-1]] = old + 1 if isinstance(old, int | float) and not isinstance(old, bool) else f"{old}x"
        with pytest.raises(DataError):
            read_receipt(written(changed))


@pytest.mark.slow
@pytest.mark.ci
@pytest.mark.parametrize(
    ("field", "value", "link"),
    [
        ("data_sha256", "0" * 64, "data"),
        ("code", {"a": "b"}, "code"),
        ("fingerprint", "0", "config"),
        ("weights_sha256", "0" * 64, "weights"),
        ("metrics", {"test/acc": 1.0}, "predictions"),
    ],
)
def test_the_first_link_that_does_not_fit_is_named(made, written, field, value, link):
    changed = copy.deepcopy(made)
    name = next(iter(changed["runs"]))
    changed["runs"][name][field] = value
    with pytest.raises(DataError, match=f"was changed after it was made: {link} of {re.escape(name)}"):
        read_receipt(written(changed))
    assert link in LINKS


@pytest.mark.parametrize(
    "content", ["", "[]", "{}", '{"receipt": 2}', '{"receipt": 1}', "[" * 10_000, '{"receipt": 1, "rows": [{}]}']
)
def test_a_file_that_is_no_receipt_is_refused_in_a_line(tmp_path, content):
    path = tmp_path / "receipt.json"
    path.write_text(content)
    with pytest.raises(DataError, match="receipt") as caught:
        read_receipt(path)
    assert len(str(caught.value).splitlines()) == 1


_PYTHONS = re.compile(r"Error|\bdict\b|NoneType|Traceback|\{'|\[\]|\bNone\b|object|unhashable|argument|attribute")


@pytest.mark.slow
@pytest.mark.ci
@pytest.mark.parametrize("value", [None, 3, "x", [], {}, [None], [{}], {"x": 1}, {"x": {}}, True])
def test_a_part_of_another_kind_or_none_is_named_in_plain_words(made, written, value):
    name = next(iter(made["runs"]))
    places = [("sweep",), ("metric",), ("rows",), ("rows", 0), ("shared",), ("runs",), ("runs", name), ("sha256",)]
    places += [("rows", 0, key) for key in made["rows"][0]] + [("runs", name, "chain")]
    for place in places:
        for is_removed in (False, True):
            changed = copy.deepcopy(made)
            node = changed
            for key in place[:-1]:
                node = node[key]
            if is_removed and not isinstance(place[-1], int):
                del node[place[-1]]
            else:
                node[place[-1]] = value
            with pytest.raises(DataError) as caught:
                read_receipt(written(changed))
            said = str(caught.value).partition("receipt.json")[2]
            assert not _PYTHONS.search(said), f"{place}: {said}"
            assert len(said.splitlines()) == 1


@pytest.mark.slow
@pytest.mark.ci
def test_a_missing_path_has_to_be_given(made, written):
    changed = receipt_of(made, lambda config: config["data"]["source"].update(root=PATH), written)
    with pytest.raises(ConfigError, match=r"leaves out paths; give data\.source\.root=…"):
        list(reproduce_receipt(changed))


def receipt_of(made, change, written):
    found = read_receipt(written(made))
    for record in found.records.values():
        change(record.config)
    return found


@pytest.mark.slow
@pytest.mark.ci
def test_a_stranger_trains_the_runs_again_from_the_file_alone(sweep, tmp_path, called):
    out = tmp_path / "elsewhere.json"
    code, said, _ = called(receipt_main)(sweep, "--out", out)
    assert code == 0
    assert "4 runs in 2 groups" in said
    verb, *words = shlex.split(said.splitlines()[-1].partition("vision-baselines ")[2])
    assert (verb, [Path(word) for word in words]) == ("reproduce", [out])
    code, said, err = called(reproduce_main)(*words, "--first")
    assert (code, err) == (0, "")
    assert "2 runs: the same bits" in said


def test_a_run_that_does_not_count_is_left_out_by_name_and_reason(sweep, tmp_path, called):
    folder = shutil.copytree(sweep, tmp_path / "sweep")
    path = folder / "data.permute_pixels=true,seed=1" / "run.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | {"status": "diverged"}))
    code, said, _ = called(receipt_main)(folder)
    assert code == 0
    assert "left out, for the comparison does not count it: data.permute_pixels=true,seed=1 (diverged)\n" in said
    assert "3 runs in 2 groups" in said


def test_a_run_without_a_record_that_can_be_read_is_left_out_by_name_and_reason(sweep, tmp_path, called):
    folder = shutil.copytree(sweep, tmp_path / "sweep")
    note_planned(folder, [folder / f"data.permute_pixels=true,seed={seed}" for seed in (0, 1, 2)])
    (folder / "data.permute_pixels=true,seed=1" / "run.json").write_text("{")
    left_out = ["data.permute_pixels=true,seed=1 (unreadable)", "data.permute_pixels=true,seed=2 (not started)"]
    said = called(receipt_main)(folder)[1]
    assert all(one in said for one in left_out)
    assert sorted(json.loads(called(receipt_main)(folder, "--json")[1])["left_out"]) == left_out
    (folder / PLANNED_FILE).write_text("{}")
    code, said, err = called(receipt_main)(folder, "--json")
    assert code == 0
    assert json.loads(said)["left_out"] == left_out[:1]
    assert f"{folder / PLANNED_FILE} cannot be read" in err


@pytest.mark.slow
@pytest.mark.ci
def test_other_weights_fail_and_another_manifest_is_held_to_an_interval(made, written):
    found = read_receipt(written(made))
    first, second = (found.records[row.runs[0]] for row in found.rows)
    first.weights_sha256 = "0" * 64
    second.environment.cpu_capability = "other"
    *runs, outcome = reproduce_receipt(found, first=True)
    assert isinstance(outcome, Outcome)
    assert not outcome.passed
    assert [run.passed for run in runs] == [False, True]
    assert "cpu_capability other" in outcome.reason
    assert all(group.same for group in outcome.groups)
