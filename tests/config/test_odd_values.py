"""Any key set to anything: a run that is planned and built, or one line of ours. Nothing else is raised."""

from __future__ import annotations

import random
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from omegaconf import DictConfig, OmegaConf, open_dict
from omegaconf.errors import OmegaConfBaseException

from vision_baselines.cli import messages
from vision_baselines.config.compose import conf_dir
from vision_baselines.config.plan import planned
from vision_baselines.errors import VisionBaselinesError

ODD = [None, -1, 0, 2.5, True, "text", "", float("inf"), [], [1, "a"], {}, {"a": 1}]
GROUPS = ["data", "model", "optimizer", "scheduler", "augment", "task", "probe", "logger"]


def keys(node: DictConfig, prefix: str = "") -> Iterator[str]:
    """Every key, groups among them; not those that name a class, which are the matter of other tests."""
    raw = OmegaConf.to_container(node, resolve=False)
    for name in node:
        key = f"{prefix}.{name}" if prefix else str(name)
        if name == "_target_" or key.startswith(("paths", "hydra")):
            continue
        yield key
        if isinstance(raw[name], dict):
            yield from keys(node[name], key)


def tried(cfg: DictConfig, key: str, value: Any) -> str:
    """What becomes of a config with this value there: empty where it is planned, else what is said."""
    odd = cfg.copy()
    with open_dict(odd):
        OmegaConf.update(odd, key, value, merge=False)
    try:
        planned(odd)
    except VisionBaselinesError as error:
        return str(error)
    except OmegaConfBaseException as error:
        return str(messages.one_line(error, conf_dir()))
    return ""


@pytest.mark.slow
def test_every_key_takes_any_value_or_refuses_it_in_a_line(compose: Callable[..., Any], tiny: list[str]) -> None:
    cfg = compose(*tiny, "probe=all", "augment=shift")
    refused = 0
    for key in keys(cfg):
        for value in ODD:
            said = tried(cfg, key, value)
            assert said.count("\n") <= 1, (key, value, said)
            refused += bool(said)
    assert refused > 300


@pytest.mark.slow
def test_some_keys_at_random_do(compose: Callable[..., Any], tiny: list[str]) -> None:
    cfg = compose(*tiny, "probe=all", "augment=shift")
    pairs = [(key, value) for key in keys(cfg) for value in ODD]
    for key, value in random.Random(0).sample(pairs, 100):
        assert tried(cfg, key, value).count("\n") <= 1, (key, value)


@pytest.mark.slow
@pytest.mark.parametrize("group", GROUPS)
def test_so_does_every_key_of_every_other_choice(compose: Callable[..., Any], tiny: list[str], group: str) -> None:
    for option in sorted(path.stem for path in (conf_dir() / group).glob("*.yaml")):
        if option in ("image_folder", "csv_pixels", "npz"):
            continue  # they need files
        of_group = (f"{group}=", f"{group}.")
        words = [word for word in tiny if not word.lstrip("+").startswith(of_group)] if group != "data" else []
        cfg = compose(*words, f"{group}={option}")
        for key in keys(cfg):
            if key.startswith((group, "classifier")):
                for value in ODD:
                    assert tried(cfg, key, value).count("\n") <= 1, (option, key, value)


@pytest.mark.few(6)
@pytest.mark.parametrize(
    ("key", "value", "said"),
    [
        ("data.augment", "shift", "expected augment="),
        ("data.seed", "abc", "expected a whole number"),
        ("data.source.split_seed", None, "expected a whole number"),
        ("data.source.val_size", 1.5, "expected a whole number"),
        ("data.mean", None, "expected a list of numbers"),
        ("data.mean", ["a"], "expected a list of numbers"),
        ("data.source.sha256", "", "expected the 64 hexadecimal digits"),
        ("comparison.baseline", [], "expected a name"),
        ("comparison.metric", "nope", "expected a split and a quantity"),
        ("comparison.group_by", {"a": 1}, "expected a name or a list of names"),
        ("comparison", [], "expected its keys"),
        ("optimizer.lr", float("inf"), "expected a number"),
        ("callbacks.checkpoints", None, "such as callbacks=default"),
    ],
)
def test_what_is_said_names_the_key_and_what_was_expected(
    compose: Callable[..., Any], tiny: list[str], key: str, value: Any, said: str
) -> None:
    answer = tried(compose(*tiny), key, value)
    assert said in answer, answer
    assert not said or answer.startswith(key)


@pytest.mark.parametrize("name", [[], {"a": 1}, True, "", ".x", "a/b", None])
def test_a_name_is_text(name: Any) -> None:
    from vision_baselines.config.compose import safe_name

    with pytest.raises(VisionBaselinesError, match=r"^name is"):
        safe_name(name)


def test_a_planned_run_has_written_nothing(compose: Callable[..., Any], tiny: list[str], tmp_path: Path) -> None:
    planned(compose(*tiny))
    assert not list(tmp_path.rglob("*"))
