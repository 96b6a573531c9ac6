"""What a config takes from the environment is never written down; a number that is decoded from it is."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from omegaconf import OmegaConf

from vision_baselines.config.plan import planned
from vision_baselines.config.references import override_texts, plain_config, recorded_config
from vision_baselines.errors import ConfigError
from vision_baselines.runs.fingerprint import job_name

SECRET = "s3cr3t-of-nobody"
ENV = "${oc.env:TOKEN}"
PLACES = {
    "a value": ({"note": ENV}, {"note": ENV}),
    "part of a text": ({"note": f"a-{ENV}-b"}, {"note": f"a-{ENV}-b"}),
    "a reference to it": ({"a": ENV, "b": "${a}"}, {"a": ENV, "b": ENV}),
    "a relative one": ({"g": {"a": ENV, "b": "x${.a}"}}, {"g": {"a": ENV, "b": f"x{ENV}"}}),
    "a list": ({"note": ["x", ENV]}, {"note": ["x", ENV]}),
    "a group's copy": ({"g": {"a": [ENV]}, "h": "${g}"}, {"g": {"a": [ENV]}, "h": {"a": [ENV]}}),
    "decoded": ({"note": "${oc.decode:${oc.env:TOKEN}}"}, {"note": "${oc.decode:${oc.env:TOKEN}}"}),
    "with a default": ({"note": "${oc.env:TOKEN,none}"}, {"note": ENV}),
    "twice": ({"note": ENV + ENV}, {"note": ENV + ENV}),
    "below a path": (
        {"paths": {"data_dir": "/x"}, "root": "${paths.data_dir}/" + ENV},
        {"root": "${paths.data_dir}/" + ENV},
    ),
    "the default that is used": ({"note": "${oc.env:NOT_SET,7}"}, {"note": "7"}),
    "a number": ({"lr": "${oc.decode:${oc.env:RATE}}"}, {"lr": 0.02}),
    "a switch": ({"on": "${oc.decode:${oc.env:SWITCH}}"}, {"on": True}),
}


@pytest.fixture(autouse=True)
def environment_of_the_user(monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in {"TOKEN": SECRET, "RATE": "0.02", "SWITCH": "true"}.items():
        monkeypatch.setenv(name, value)
    monkeypatch.delenv("NOT_SET", raising=False)


@pytest.mark.parametrize(("config", "recorded"), PLACES.values(), ids=PLACES)
def test_text_from_the_environment_stays_a_reference(config: dict[str, Any], recorded: dict[str, Any]) -> None:
    cfg = OmegaConf.create(config)
    assert recorded_config(cfg, plain_config(cfg)) == recorded
    restored = OmegaConf.create({**recorded, "paths": config.get("paths", {})})
    assert plain_config(restored) == plain_config(cfg)  # read where the variables are set, it says the same


def test_the_resolver_of_the_environment_is_as_before_afterwards() -> None:
    cfg = OmegaConf.create({"note": ENV})
    recorded_config(cfg, plain_config(cfg))
    assert cfg.note == SECRET


def test_a_jobs_folder_is_named_by_what_was_typed() -> None:
    overrides = OmegaConf.create(["+note=${oc.env:TOKEN}", "seed=1"])
    assert SECRET not in job_name(override_texts(overrides))


def test_no_file_of_a_run_holds_it(run_tiny: Callable[..., Any], tmp_path: Path) -> None:
    record = run_tiny("secret", "+note=x-${oc.env:TOKEN}", "logger=tensorboard")
    assert record.config["note"] == "x-${oc.env:TOKEN}"
    files = [path for path in tmp_path.rglob("*") if path.is_file()]
    assert len(files) > 3
    assert not [path for path in files if SECRET.encode() in path.read_bytes()]


def test_another_value_is_another_run(
    compose: Callable[..., Any], run_tiny: Callable[..., Any], tiny: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    run_tiny("run", "+note=${oc.env:TOKEN}", "logger=none")
    again = compose(*tiny, "+note=${oc.env:TOKEN}", "logger=none")
    assert planned(again).decision.previous is not None
    monkeypatch.setenv("TOKEN", "another")
    with pytest.raises(ConfigError, match="a value from the environment has changed"):
        planned(again)
