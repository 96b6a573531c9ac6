"""A published baseline is held to its bits where they can be promised, and to its spread where they cannot."""

from __future__ import annotations

import dataclasses
import json
import os
import shutil
import signal
import subprocess
import sys
from datetime import datetime, timedelta
from pathlib import Path

import pytest
import yaml
from omegaconf import OmegaConf

from vision_baselines.cli import reproduce as command
from vision_baselines.config.compose import composed, conf_dir
from vision_baselines.errors import ConfigError, DataError
from vision_baselines.evaluation import baseline_overrides, references
from vision_baselines.evaluation.references import (
    Baseline,
    Verdict,
    expectation,
    judge,
    not_run,
    published_names,
    select,
)
from vision_baselines.jobs.signals import Interrupted
from vision_baselines.runs.fingerprint import IRRELEVANT_INSIDE, TOP_LEVEL, fingerprint
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
    copy = tmp_path / "sweep"
    shutil.copytree(sweep, copy)
    edit(copy / "data.permute_pixels=true,seed=0", overrides=["data.permute_pixels=false", "seed=1"], seed=1)
    with pytest.raises(DataError, match="other data than the rest"):
        expectation(copy)


def test_baselines_are_chosen_by_name():
    assert select(["long", "quick"]) == ["long", "quick"]
    assert select(["long", "quick"], ["quick"]) == ["quick"]
    with pytest.raises(ConfigError, match="there is no published baseline 'lng'; there are: long, quick"):
        select(["long", "quick"], ["lng"])
    with pytest.raises(ConfigError, match=r"put blanks between the names: quick long$"):
        select(["long", "quick"], ["quick,long"])


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


def test_time_between_two_commands_is_no_part_of_what_a_baseline_costs(sweep, tmp_path):
    copy = tmp_path / "sweep"
    shutil.copytree(sweep, copy)
    for folder, begun_s in zip(sorted(copy.iterdir()), (0, 5000), strict=True):
        begun = datetime.fromisoformat("2026-11-01T00:00:00+00:00") + timedelta(seconds=begun_s)
        edit(folder, started_at=begun.isoformat(), ended_at=(begun + timedelta(seconds=20)).isoformat())
    assert expectation(copy)["cost_s"] == 40


# What of the fingerprint's irrelevant keys a baseline takes, beside those that `REFUSED` has a reason for.
TAKEN = {
    "logger", "checkpoint_every_n_steps", "rerun", "tags", "notes", "print_config", "trace", "n_jobs", "gpus_per_job",
    "seeds_per_pass", "fail_fast", "trusted_packages", "code", "keep_predictions", "keep_resume_states", "probe",
}  # fmt: skip


def refused(*overrides):
    try:
        baseline_overrides.require_same_runs(overrides)
    except ConfigError as error:
        return str(error)
    return ""


def test_every_key_that_cannot_change_a_result_is_taken_or_has_its_reason():
    tops = {key for key, counts in TOP_LEVEL.items() if not counts}
    assert tops == TAKEN | {key for key in baseline_overrides.REFUSED if "." not in key}
    for key in tops | set(IRRELEVANT_INSIDE):
        assert bool(refused(f"{key}=1")) == (key in baseline_overrides.REFUSED), key


@pytest.mark.parametrize("key", sorted(key for key, counts in TOP_LEVEL.items() if counts))
def test_every_other_key_is_refused_but_what_the_manifest_says(key):
    for text in (f"{key}=1", f"{key}.x=1", f"+{key}.x=1", f"~{key}.x"):
        assert bool(refused(text)) == (text != "threads=1"), text


@pytest.fixture(scope="module")
def plain():
    return fingerprint(OmegaConf.to_container(composed(["experiment=gated_circles", "name=x"])))


@pytest.mark.parametrize(
    "text",
    ["threads=2", "trainer.accelerator=gpu", "trainer=gpu", "paths.data_dir=/x", "n_jobs=1", "data.num_workers=2",
     "+trainer.profiler=simple", "logger=none", "data.on_device=true"],
)  # fmt: skip
def test_an_override_that_is_taken_makes_no_other_run_where_the_manifest_is_the_same(text, plain):
    assert not refused(text)
    other = composed(["experiment=gated_circles", "name=x", text.lstrip("+"), "threads=1", "trainer.accelerator=cpu"])
    assert fingerprint(OmegaConf.to_container(other)) == plain


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("paths.output_dir=x", "scratch folder"),
        ("paths.run_dir=x", "scratch folder"),
        ("name=x", "scratch folder"),
        ("hydra/launcher=basic", "its own"),
        ("hydra.sweep.dir=x", "its own"),
        ("preview=true", "runs nothing"),
        ("list=true", "runs nothing"),
        ("seed=0", "own seeds"),
        ("trainer.max_epochs=2", "can change a result"),
        ("trainer=ddp", "can change a result"),
        ("experiment=finetune", "can change a result"),
        ("no_such_key=1", "can change a result"),
        ("n_jobs=1,2", "one value"),
        ("threads=range(1,3)", "one value"),
        ("=1", "has no key"),
        ("threads=[", "cannot be read"),
        ("n_jobs.x=1", "n_jobs"),
        ("logger=nope", "logger=nope"),
    ],
)
def test_what_would_reproduce_something_else_is_refused_in_a_line_before_anything_is_trained(
    text, said, monkeypatch, capsys
):
    monkeypatch.setattr(references, "run_command", lambda *_, **__: pytest.fail("it has trained"))
    assert ended(["--baselines", "gated_circles", text]) == 2
    lines = capsys.readouterr().err.strip().splitlines()
    assert len(lines) == 1 + ("to add a key" in lines[-1].lower())
    assert said in lines[0]


def ended(words):
    with pytest.raises(SystemExit) as end:
        command.main(words)
    return end.value.code


@pytest.mark.parametrize("name", ["nope", "tiny,gated_circles"])
def test_an_unknown_name_is_refused_before_a_receipt_is_opened(name, monkeypatch, capsys):
    monkeypatch.setattr(references, "read_receipt", lambda path: pytest.fail("it was opened"))
    assert ended(["--baselines", name, "--quick"]) == 2
    assert name in capsys.readouterr().err


@pytest.fixture
def conf(tmp_path, monkeypatch, sweep):
    """Published experiments: three that are damaged, each in its way, and one that is whole, the last by name."""
    folder = tmp_path / "conf" / "experiment"
    folder.mkdir(parents=True)
    receipts = {
        "a_cut": "{",
        "b_changed": json.dumps(
            json.loads((conf_dir() / "experiment" / "gated_circles.json").read_text()) | {"rows": []}
        ),
    }
    for name, text in receipts.items():
        (folder / f"{name}.yaml").write_text(f"name: {name}\n")
        (folder / f"{name}.json").write_text(text)
    (folder / "c_half.yaml").write_text("name: c_half\nexpected: {metric: test/acc}\n")
    (folder / "nothing_expected.yaml").write_text("name: nothing_expected\n# expected: nothing\n")
    whole = {"expected": expectation(sweep) | {"cost_s": 5}}
    (folder / "z_whole.yaml").write_text(f"name: z_whole\n{yaml.safe_dump(whole)}")
    monkeypatch.setattr(references, "conf_dir", lambda: folder.parent)
    return folder


@pytest.mark.parametrize("words", [[], ["--quick"]])
def test_a_damaged_baseline_has_failed_and_the_others_go_on(conf, words, monkeypatch, capsys):
    monkeypatch.setattr(
        references,
        "reproduce_baseline",
        lambda baseline, **_: [Verdict(baseline.name, "g", "1", "1", "bits", passed=True)],
    )
    assert published_names() == ["a_cut", "b_changed", "c_half", "z_whole"]
    assert ended(["--baselines", *words]) == 4
    said = capsys.readouterr()
    rows = [line.split(" | ") for line in said.out.splitlines()[2:]]
    assert [(row[0], row[-1]) for row in rows] == [
        *((f"| {name}", "FAILED |") for name in ("a_cut", "b_changed", "c_half")),
        ("| z_whole", "passed |"),
    ]
    assert [f"{name}." in row[4] for name, row in zip(("a_cut", "b_changed", "c_half"), rows, strict=False)] == [
        True
    ] * 3
    assert said.err.strip().endswith("3 of 4 groups were not reproduced")


def test_a_whole_baseline_is_not_kept_from_by_a_damaged_one(conf, monkeypatch, capsys):
    monkeypatch.setattr(references, "reproduce_baseline", lambda baseline, **_: [])
    assert ended(["--baselines", "z_whole"]) == 2  # no group: of the stand-in
    assert "a_cut" not in capsys.readouterr().err


ASKED = {
    "--baselines": ["--baselines"],
    "--expect": ["--expect", "outputs/nowhere"],
    "--bisect": ["outputs/nowhere", "--bisect"],
    "a receipt": ["nowhere.json"],
    "a run": ["outputs/nowhere"],
}
OPTIONS = {"--quick": [], "--first": [], "--config-dir": ["nowhere"], "--trust": ["json"]}
WORKS_WITH = {
    "--baselines": {"--quick"},
    "--expect": set(),
    "--bisect": {"--config-dir", "--trust"},
    "a receipt": {"--first", "--config-dir", "--trust"},
    "a run": {"--config-dir", "--trust"},
}


@pytest.mark.parametrize(
    ("asked", "option"), [(asked, option) for asked in ASKED for option in OPTIONS if option not in WORKS_WITH[asked]]
)
def test_an_option_that_would_change_nothing_is_refused(asked, option, called):
    code, said, error = called(command.main)(*ASKED[asked], option, *OPTIONS[option])
    assert (code, said) == (2, "")
    assert error.startswith(f"error: {option} works with ")
    assert error.endswith(f", not with {asked}; leave it out\n")


@pytest.mark.parametrize("more", [["--baselines"], ["outputs/demo"]])
def test_an_expectation_is_of_one_sweep_alone(more, called):
    code, _, error = called(command.main)("--expect", "outputs/nowhere", *more)
    assert (code, error.count(f"leave {more[0]} out")) == (2, 1)


def test_what_it_costs_is_said_first_and_each_run_as_it_ends(conf, monkeypatch, capsys):
    def trains(command, *, on_line, **_):
        assert "about" in capsys.readouterr().err
        for line in ("", "✓ seed=0  test/acc 10 %  1.0 s", "the table", "✗ seed=1  no", "Look at it: /nowhere"):
            on_line(line)
        return subprocess.CompletedProcess(command, 4, "", "error: no data")

    monkeypatch.setattr(references, "run_command", trains)
    assert ended(["--baselines", "z_whole"]) == 4
    said = capsys.readouterr()
    assert said.err.splitlines()[:2] == ["1/2 ✓ seed=0  test/acc 10 %  1.0 s", "2/2 ✗ seed=1  no"]
    assert said.out.count("ended with exit code 4: error: no data") == 2


@pytest.mark.parametrize(("error", "code"), [(Interrupted(signal.SIGTERM), 143), (KeyboardInterrupt(), 130)])
def test_after_a_signal_it_says_that_nothing_is_kept_and_leaves_no_folder(conf, error, code, monkeypatch, capsys):
    places = []

    def stopped(command, **_):
        places.append(Path(command[-1].partition("=")[2]))
        assert places[0].is_dir()
        raise error

    monkeypatch.setattr(references, "run_command", stopped)
    assert ended(["--baselines", "z_whole"]) == code
    last = capsys.readouterr().err.strip().splitlines()[-1]
    assert last == f"ended by {signal.Signals(code - 128).name}; nothing of what was trained again is kept"
    assert not places[0].exists()


@pytest.mark.slow
@pytest.mark.skipif(not Path("/proc").is_dir(), reason="reads which processes there are")
def test_ctrl_c_leaves_no_process_and_no_folder(root, tmp_path, environment):
    words = [sys.executable, str(root / "scripts" / "reproduce.py"), "--baselines", "gated_circles"]
    parent = subprocess.Popen(
        words,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env={**environment, "TMPDIR": str(tmp_path)},
        start_new_session=True,
    )
    for line in parent.stderr:  # until its first run has ended
        if line.startswith("1/"):
            break
    os.killpg(parent.pid, signal.SIGINT)
    _, said = parent.communicate()
    assert parent.returncode == 130, said
    assert said.strip().splitlines()[-1] == "ended by SIGINT; nothing of what was trained again is kept"
    assert not list(tmp_path.iterdir())
    with pytest.raises(ProcessLookupError):
        os.killpg(parent.pid, 0)
