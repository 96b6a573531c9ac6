"""Jobs' configs that are made from a sibling's are those that Hydra composes."""

from __future__ import annotations

from types import SimpleNamespace

import pytest
from hydra import initialize_config_dir
from hydra.core.global_hydra import GlobalHydra
from hydra.errors import ConfigCompositionException
from hydra.types import RunMode
from omegaconf import OmegaConf
from tests.jobs.conftest import Counting

from vision_baselines.jobs.composing import Composer

CONFIG = """
defaults: [_self_, {model: small}]
x: 1
lr: 0.1
typed: {depth: 3, twice: "${x}"}
either: {a: 1}
nothing: null
"""


@pytest.fixture
def loader(tmp_path):
    (tmp_path / "config.yaml").write_text(CONFIG)
    (tmp_path / "model").mkdir()
    for name in ("small", "large", "1", "2", "3"):
        (tmp_path / "model" / f"{name}.yaml").write_text(f"name: {name}\nwidth: {len(name)}\n")
    before = GlobalHydra.instance().hydra
    GlobalHydra.instance().clear()
    with initialize_config_dir(str(tmp_path), version_base="1.3"):
        yield Counting(GlobalHydra.instance().config_loader())
    GlobalHydra.instance().hydra = before


@pytest.mark.few(2)
@pytest.mark.parametrize(
    ("jobs", "in_full"),
    [
        ([[f"x={number}"] for number in (1, 2, 3, -4, 500)], 2),
        ([[f"x={number}", f"+new={number}", "lr=1e-3"] for number in range(4)], 2),
        ([[f"+x={number}"] for number in range(4)], 0),  # refused, as Hydra does
        ([[f"lr={number}"] for number in ("0.1", "1.5", "1e-3", "-2.25")], 2),
        ([[f"x={number}", "lr=1"] for number in ("1", "1.5", "2", "2.5", "3", "3.5")], 4),  # whole numbers and others
        ([[f"model={number}"] for number in (1, 2, 3)], 0),  # options of a group; Hydra wants text
        ([[f"model.width={number}", f"model={name}"] for number in (1, 2, 3) for name in ("small", "large")], 6),
        ([[f"typed.depth={number}", "x=5"] for number in (1, 2, 3)], 2),
        ([["either=1", "+either.b=2"]] * 3, 0),
        ([[f"nothing={number}", "hydra.job.config.override_dirname.exclude_keys=[x]", f"x={number}"]
          for number in (1, 2, 3)], 2),
        ([[f"x={text}"] for text in ("007", "1_000", "0x10", "-0", "1.", ".5", "inf", "true", "one", "'1'", "[1]")],
         11),
    ],
)  # fmt: skip
def test_a_config_made_from_a_sibling_is_the_one_that_hydra_composes(loader, jobs, in_full):
    master = loader.loader.load_configuration("config", [], RunMode.MULTIRUN)
    composer = Composer(master, SimpleNamespace(config_loader=loader))
    for index, overrides in enumerate(jobs):
        try:
            wanted = loader.loader.load_sweep_config(master, overrides)
        except (ConfigCompositionException, ValueError) as error:
            with pytest.raises(type(error)):
                composer.composed(index, overrides)
            continue
        found = composer.composed(index, overrides)
        assert (found.hydra.job.num, found.hydra.job.id) == (index, f"{found.hydra.job.name}_{index}")
        with_index = OmegaConf.to_container(wanted)
        with_index["hydra"]["job"].update(num=index, id=found.hydra.job.id)
        assert OmegaConf.to_container(found) == with_index
        assert OmegaConf.to_yaml(found, resolve=False) == OmegaConf.to_yaml(OmegaConf.create(with_index))
    if in_full:
        assert loader.count == in_full


def test_a_key_that_is_more_than_a_number_is_composed_in_full(loader):
    master = loader.loader.load_configuration("config", [], RunMode.MULTIRUN)
    composer = Composer(master, SimpleNamespace(config_loader=loader), lambda key: key != "x")
    for number in range(4):
        composer.composed(number, [f"x={number}"])
    assert loader.count == 4


def test_what_a_sibling_gets_wrong_is_composed_in_full(loader, monkeypatch):
    monkeypatch.setattr("vision_baselines.jobs.composing._dirname", lambda config: "wrong")
    master = loader.loader.load_configuration("config", [], RunMode.MULTIRUN)
    composer = Composer(master, SimpleNamespace(config_loader=loader))
    for number in range(4):
        assert composer.composed(number, [f"x={number}"]).hydra.job.override_dirname == f"x={number}"
    assert loader.count == 4
