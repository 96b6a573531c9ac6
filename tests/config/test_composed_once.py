"""A command's config is composed once, and is what Hydra would have composed."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from hydra import initialize_config_dir
from hydra._internal.config_loader_impl import ConfigLoaderImpl
from hydra.core.global_hydra import GlobalHydra
from hydra.types import RunMode
from omegaconf import OmegaConf

from vision_baselines.config import trust
from vision_baselines.config.compose import conf_dir, register_resolvers

Command = Callable[..., Any]


@pytest.fixture
def hydra(tmp_path: Path) -> Iterator[Any]:
    """With a small config, which is composed ten times as fast as the real one."""
    register_resolvers()
    for name, text in {
        "train.yaml": "defaults: [_self_, {model: cnn}, {probe: none}]\nseed: 0\ntrainer: {max_epochs: 3}\n",
        "model/cnn.yaml": "channels: [8, 16]\n",
        "model/fc.yaml": "hidden: 8\n",
        "probe/none.yaml": "{}\n",
    }.items():
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_text(text)
    with initialize_config_dir(str(tmp_path), version_base="1.3"):
        yield GlobalHydra.instance().hydra


@pytest.fixture
def composed(monkeypatch: pytest.MonkeyPatch) -> list[RunMode]:
    """The mode of every composition that was done."""
    modes: list[RunMode] = []
    load = ConfigLoaderImpl._load_configuration_impl

    def counted(self: ConfigLoaderImpl, *arguments: Any, **options: Any) -> Any:
        modes.append(options["run_mode"])
        return load(self, *arguments, **options)

    monkeypatch.setattr(ConfigLoaderImpl, "_load_configuration_impl", counted)
    return modes


def as_hydra_does(hydra: Any, words: list[str], monkeypatch: pytest.MonkeyPatch) -> dict[Any, Any]:
    """The config that a command is run with, by the calls of `hydra._internal.utils._run_hydra`."""
    many = "-m" in words
    overrides = [word for word in words if word != "-m"]
    monkeypatch.setattr(sys, "argv", ["train.py", *words])
    mode = hydra.get_mode(config_name="train", overrides=overrides)
    if mode is None or (many and mode is RunMode.RUN):
        mode = RunMode.MULTIRUN if many else RunMode.RUN
        overrides.append(f"hydra.mode={mode.name}")
    cfg = hydra.compose_config(config_name="train", overrides=overrides, with_log_configuration=False, run_mode=mode)
    plain = OmegaConf.to_container(cfg, resolve=False)
    assert isinstance(plain, dict)
    return plain


@pytest.mark.few(2)
@pytest.mark.ci(every=3)
@pytest.mark.parametrize(
    "words",
    [
        ["model=fc", "trainer.max_epochs=1"],
        ["-m", "model=fc,cnn", "seed=range(3)"],
        ["model=fc", "hydra.mode=MULTIRUN", "seed=0,1"],
        ["-m", "hydra.mode=RUN", "seed=0,1"],
        ["hydra.mode=RUN", "~probe", "+trainer.gradient_clip_val=1.0", "hydra/job_logging=none"],
    ],
    ids=" ".join,
)
def test_a_config_is_the_one_that_hydra_composes(
    hydra: Any, words: list[str], composed: list[RunMode], monkeypatch: pytest.MonkeyPatch
) -> None:
    expected = as_hydra_does(hydra, words, monkeypatch)
    assert len(composed) == 2
    composed.clear()
    with trust.checked():
        assert as_hydra_does(hydra, words, monkeypatch) == expected
    assert composed == [RunMode.MULTIRUN if "-m" in words else RunMode.RUN] or "MULTIRUN" in str(words)


@pytest.mark.few(2)
@pytest.mark.ci(every=3)
@pytest.mark.parametrize("words", [["seed=0,1"], ["modle=fc"], ["-m", "model=fcc,cnn", "sed=1"], ["-m", "hydra.x=1,2"]])
def test_a_config_that_cannot_be_composed_fails_as_it_does_with_hydra_and_as_soon(
    hydra: Any, words: list[str], composed: list[RunMode], monkeypatch: pytest.MonkeyPatch
) -> None:
    with pytest.raises(Exception) as expected:  # noqa: PT011
        as_hydra_does(hydra, words, monkeypatch)
    composed.clear()
    with trust.checked(), pytest.raises(type(expected.value)) as found:
        as_hydra_does(hydra, words, monkeypatch)
    assert str(found.value) == str(expected.value)
    assert len(composed) <= 2


@pytest.mark.slow
@pytest.mark.parametrize("words", [["model=fc"], ["-m", "model=fc,cnn", "experiment=cnn_vs_fc_digits"]])
def test_the_real_config_is_the_one_that_hydra_composes(
    words: list[str], composed: list[RunMode], monkeypatch: pytest.MonkeyPatch
) -> None:
    register_resolvers()
    with initialize_config_dir(str(conf_dir()), version_base="1.3"):
        expected = as_hydra_does(GlobalHydra.instance().hydra, words, monkeypatch)
        composed.clear()
        with trust.checked():
            assert as_hydra_does(GlobalHydra.instance().hydra, words, monkeypatch) == expected
    assert len(composed) == 1


def test_a_file_can_still_say_that_it_is_many_runs(
    tmp_path: Path, composed: list[RunMode], monkeypatch: pytest.MonkeyPatch
) -> None:
    register_resolvers()
    text = "defaults: [_self_]\nseed: 0\nhydra: {mode: MULTIRUN}\n"
    (tmp_path / "train.yaml").write_text(text)
    with initialize_config_dir(str(tmp_path), version_base="1.3"), trust.checked():
        found = as_hydra_does(GlobalHydra.instance().hydra, ["seed=0,1"], monkeypatch)
    assert found["hydra"]["mode"] is RunMode.MULTIRUN
    assert found["hydra"]["overrides"]["hydra"] == []
    assert composed[-1] is RunMode.MULTIRUN


def test_a_config_that_was_asked_for_with_other_words_is_composed_anew(
    hydra: Any, composed: list[RunMode], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sys, "argv", ["train.py"])
    with trust.checked():
        hydra.get_mode(config_name="train", overrides=["seed=1"])
        cfg = hydra.compose_config(config_name="train", overrides=["seed=2"], run_mode=RunMode.RUN)
        again = hydra.compose_config(config_name="train", overrides=["seed=1"], run_mode=RunMode.RUN)
    assert (cfg.seed, again.seed, len(composed)) == (2, 1, 3)
