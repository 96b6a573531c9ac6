"""Identity that ages well: what was one run under the first schema is one run today."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import yaml

from vision_baselines.config.checks import checked_config
from vision_baselines.config.restore import restored
from vision_baselines.runs import fingerprint as identity
from vision_baselines.runs import migrations
from vision_baselines.runs.fingerprint import TOP_LEVEL, differences, fingerprint, job_name, relevant
from vision_baselines.runs.record import read_record

RELEASED = Path(__file__).parent / "released"
CONFIGS = {path.parent.name: json.loads(path.read_text()) for path in RELEASED.glob("*/configs.json")}
# Defaults that have become ``auto`` since; a record says what they were.
SINCE_AUTO = {"data=image_folder": ["data.num_classes=10"]}
# Changed on purpose: batches of 16 where a tenth of the digits is trained on, and a control that can fail.
SINCE_AUTO |= {f"transfer={way}": ["data.batch_size=64"] for way in ("finetuned", "frozen", "scratch")}
ANOTHER = {"experiment=chance_level_noise"}
QUICK = ("", "model=fc", "data=mnist", "experiment=cnn_vs_fc_digits")
CASES = [
    pytest.param(schema, command, marks=() if command in QUICK else pytest.mark.slow)
    for schema, known in CONFIGS.items()
    for command in ["", *known["changes"]]
    if command not in ANOTHER
]


def nested(flat):
    config = {}
    for key, value in flat.items():
        *parents, last = key.split(".")
        node = config
        for parent in parents:
            node = node.setdefault(parent, {})
        node[last] = value
    return config


@pytest.mark.parametrize(("schema", "command"), CASES)
def test_a_command_makes_the_run_that_it_made_under_the_first_schema(compose, schema, command):
    known = CONFIGS[schema]
    then = nested({**known["base"], **known["changes"].get(command, {})})
    now = checked_config(compose(*command.split(), *SINCE_AUTO.get(command, [])))
    assert differences(then, now) == [], "a new key with a default that is not null belongs in migrations.ABSENT"
    assert fingerprint(then) == fingerprint(now)


def test_one_table_says_of_every_top_level_key_whether_it_is_part_of_identity(root, compose):
    file = yaml.safe_load((root / "conf" / "train.yaml").read_text())
    named = [next(iter(entry)) for entry in file["defaults"] if isinstance(entry, dict)]
    groups = {name.removeprefix("optional ").partition("@")[0] for name in named}
    assert set(file) - {"defaults"} | groups | set(compose()) <= set(TOP_LEVEL)


@pytest.mark.parametrize("group", ["transfer", "experiment", "debug", "model", "data", "task"])
def test_a_choice_from_a_group_tells_jobs_apart_by_their_folders(group):
    assert job_name([f"{group}=a", "seed=0"]) != job_name([f"{group}=b", "seed=0"])


@pytest.mark.parametrize("value", [0.0, 0, False, "x", [1, 2], 3])
def test_a_new_key_at_its_default_or_absent_is_the_same_run(monkeypatch, value):
    old, new = {"model": {"width": 3}}, {"model": {"width": 3, "new": value}}
    assert fingerprint(old) != fingerprint(new)
    monkeypatch.setitem(migrations.ABSENT, "model.new", value)
    assert identity.ABSENT is migrations.ABSENT
    assert fingerprint(old) == fingerprint(new)
    assert relevant(new) == {"model.width": 3}
    assert differences(old, {"model": {"width": 3, "new": "other"}}) == ["model.new: (absent) → other"]


def test_false_and_zero_are_distinguished():
    assert fingerprint({"a": 0}) != fingerprint({"a": False})


def test_an_old_run_is_run_again_with_the_default_that_it_had(monkeypatch, tmp_path):
    monkeypatch.setitem(migrations.ABSENT, "trainer.new", 7)
    monkeypatch.setitem(migrations.ABSENT, "no.such.part", 7)
    cfg = restored(read_record(RELEASED / "1" / "finished").config, tmp_path)
    assert cfg.trainer.new == 7
    assert "no" not in cfg


@pytest.mark.parametrize(
    ("name", "new"),
    [("residual_mlp.ResidualMLP", {"norm": "batch"}), ("gated_mlp.GatedMLP", {"gates": True})],
)
def test_a_net_from_before_a_key_is_the_same_run_wherever_the_config_names_it(name, new):
    old = {"_target_": f"vision_baselines.models.{name}", "width": 3}
    for place in (lambda net: {"model": net}, lambda net: {"model": {"match": net}}):
        assert fingerprint(place(old)) == fingerprint(place({**old, **new}))
        assert migrations.with_old_defaults(place(old)) == place({**old, **new})
