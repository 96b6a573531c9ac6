"""What is refused of a config before anything is built, and what its composition promises."""

from __future__ import annotations

import re
from importlib.util import find_spec

import pytest
from hypothesis import given
from hypothesis import strategies as st
from omegaconf import OmegaConf

from vision_baselines.cli.messages import nearest
from vision_baselines.config.checks import (
    check_channels_of,
    check_numbers,
    check_targets,
    checked_config,
    plain_config,
)
from vision_baselines.config.compose import safe_name, unique_name
from vision_baselines.errors import ConfigError


def nested(key, value):
    for part in reversed(key.split(".")):
        value = {part: value}
    return value


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("trainer.max_epochs", 0),
        ("trainer.max_epochs", -1),
        ("trainer.max_epochs", "many"),
        ("trainer.max_epochs", None),
        ("data.batch_size", 0),
        ("data.batch_size", -64),
        ("data.batch_size", True),
        ("data.eval_batch_size", 0),
        ("data.num_workers", -1),
        ("data.num_classes", 0),
        ("seed", -1),
        ("seed", None),
        ("seed", 2**32),
        ("threads", 0),
        ("n_jobs", 0),
        ("checkpoint_every_n_steps", 0),
        ("optimizer.lr", -0.1),
        ("optimizer.lr", float("nan")),
        ("optimizer.lr", "fast"),
        ("optimizer.weight_decay", -1),
        ("model.dropout", 1.5),
        ("model.dropout", -0.1),
    ],
)
def test_a_number_out_of_range_is_refused_by_key_value_and_range(key, value):
    with pytest.raises(ConfigError, match=rf"^{re.escape(f'{key} is {value!r}')}; expected a (whole )?number"):
        check_numbers(nested(key, value))


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("seed", 0),
        ("n_jobs", None),
        ("data.num_workers", 0),
        ("optimizer.lr", 0),
        ("optimizer.lr", 1),
        ("model.dropout", 0),
        ("trainer.max_epochs", 1),
    ],
)
def test_the_ends_of_a_range_are_allowed(key, value):
    check_numbers(nested(key, value))


@pytest.mark.parametrize(
    "target",
    [
        "os.system",
        "builtins.eval",
        "torch.load",
        "torch.hub.load",
        "torch.nn.Module.load_state_dict",
        "torch.nn.functional.relu",
        "torch.optim",
        "torch.optim.lr_scheduler.os.system",
        "torchvision.datasets.MNIST",
        "torchvision.models.get_model",
        "numpy.load",
        "shutil.rmtree",
        "subprocess.run",
        "pytorch_lightning.trainer.trainer.os.system",
        "pytorch_lightning.callbacks.os",
        "vision_baselines.training.run.train",
        "vision_baselines.cli.entry.main",
        "vision_baselines.training.checkpoints.Path",
        "vision_baselines.training.checkpoints.checkpoint_file.save",
        "vision_baselines.models.cnn.nn.Module",
        "vision_baselines.runs.record.RunRecord",
        "hydra.utils.get_method",
        "own.Thing",
        "",
    ],
)
def test_a_target_that_is_not_listed_is_refused_by_key_and_name(target):
    with pytest.raises(ConfigError, match=rf"model\._target_ is {re.escape(repr(target))}.*trusted_packages"):
        check_targets({"model": {"_target_": target}})


@pytest.mark.parametrize(
    "target",
    [
        "torch.optim.AdamW",
        "torch.optim.lr_scheduler.CosineAnnealingLR",
        "torch.nn.Linear",
        "torchvision.models.resnet18",
        "pytorch_lightning.Trainer",
        "pytorch_lightning.callbacks.EarlyStopping",
        "pytorch_lightning.loggers.CSVLogger",
        "vision_baselines.models.cnn.CNN",
        "vision_baselines.data.sources.Digits",
    ],
)
def test_what_the_configs_are_made_of_is_allowed(target):
    check_targets({"model": {"_target_": target}})


def test_a_package_of_ones_own_is_allowed_when_it_is_named():
    check_targets({"model": {"_target_": "own.nets.Net"}}, ["own"])
    with pytest.raises(ConfigError):
        check_targets({"model": {"_target_": "ownership.nets.Net"}}, ["own"])


@pytest.mark.parametrize("node", [{"a": [{"b": {"_target_": "os.system"}}]}, [[{"_target_": "os.system"}]]])
def test_a_target_is_found_however_deep_it_is(node):
    with pytest.raises(ConfigError, match=r"os\.system"):
        check_targets({"x": node})


def test_refusing_a_target_imports_nothing(tmp_path, monkeypatch):
    (tmp_path / "explosive.py").write_text("raise SystemExit('imported')")
    monkeypatch.syspath_prepend(tmp_path)
    with pytest.raises(ConfigError):
        check_targets({"_target_": "explosive.Thing"})


@pytest.mark.slow
@pytest.mark.ci
@given(st.text(max_size=30))
def test_a_name_that_passes_is_one_folder_below_the_outputs(text):
    from pathlib import PurePosixPath

    try:
        name = safe_name(text)
    except ConfigError:
        return
    path = PurePosixPath("/outputs", name)
    assert path.parent == PurePosixPath("/outputs")
    assert path.name == name
    assert name not in (".", "..", "")


@pytest.mark.parametrize("name", [None, "../x", "/tmp/x", "a/b", ".hidden", "..", "", " x", "a\nb", "a\\b", "x" * 300])
def test_a_name_that_leads_elsewhere_is_refused(name):
    with pytest.raises(ConfigError, match="expected the name of one folder"):
        safe_name(name)


@pytest.mark.parametrize("name", ["demo", "2026-03-14_09", "größe", "a b", "x=1,y", 7])
def test_ordinary_names_pass(name):
    assert safe_name(name) == str(name)


def test_names_made_in_the_same_second_differ():
    assert len({unique_name() for _ in range(50)}) == 50


def test_the_nearest_word_is_offered_only_when_it_is_near():
    assert nearest("modle", ["model", "data"]) == "; did you mean model?"
    assert nearest("qqqq", ["model", "data"]) == ""


@pytest.mark.slow
def test_a_net_is_built_for_the_data_that_is_chosen(compose):
    cfg = compose("data=mnist", "model=fc")
    assert OmegaConf.to_container(cfg.classifier.net, resolve=True)["image_shape"] == [1, 28, 28]
    assert compose("data=digits").model.image_shape == [1, 16, 16]


def test_alone_it_trains_the_cnn_on_digits_on_the_cpu_as_published(compose):
    cfg = checked_config(compose())
    assert cfg["model"]["_target_"] == "vision_baselines.models.cnn.CNN"
    assert cfg["data"]["source"]["_target_"] == "vision_baselines.data.sources.Digits"
    assert (cfg["trainer"]["accelerator"], cfg["trainer"]["max_epochs"]) == ("cpu", 15)
    assert (cfg["optimizer"]["lr"], cfg["optimizer"]["weight_decay"]) == (1e-3, 0.01)
    assert (cfg["data"]["batch_size"], cfg["seed"], cfg["threads"]) == (64, 0, 1)
    assert cfg["scheduler"]["schedule"]["T_max"] == 15


def test_cosine_annealing_follows_the_number_of_epochs(compose):
    assert compose("trainer.max_epochs=7").scheduler.schedule.T_max == 7


def test_the_seed_reaches_the_data_and_the_classifier(compose):
    cfg = compose("seed=5")
    assert (cfg.data.seed, cfg.classifier.seed) == (5, 5)


@pytest.mark.slow
@pytest.mark.parametrize("group", ["model", "data", "optimizer", "scheduler", "logger", "trainer"])
def test_every_option_of_every_group_passes_its_own_checks(compose, root, group):
    for path in (root / "conf" / group).glob("[!_]*.yaml"):
        if path.stem in ("npz", "csv_pixels"):
            continue  # nothing is known of them without a file
        if path.stem in ("mlflow", "wandb") and find_spec(path.stem) is None:
            continue  # refused by name
        folder = ["data.num_classes=10"] if path.stem == "image_folder" else []  # there are no pictures to count
        checked_config(compose(f"{group}={path.stem}", *folder))


def test_a_plain_config_says_the_same_on_every_machine(compose):
    config = plain_config(compose("data=mnist", "paths.data_dir=/somewhere/else"))
    assert config["data"]["source"]["root"] == "${paths.data_dir}"
    assert "/somewhere" not in str(config)
    assert "paths" not in config


def test_the_data_folder_follows_its_environment_variable(compose, monkeypatch, root):
    monkeypatch.delenv("VISION_BASELINES_DATA_DIR", raising=False)
    assert compose().paths.data_dir == f"{root}/.data"
    monkeypatch.setenv("VISION_BASELINES_DATA_DIR", "/elsewhere")
    assert compose().paths.data_dir == "/elsewhere"


def own_lines(path):
    """Lines of a config, without what a baseline is expected to give, which is as long as its runs are many."""
    return len(path.read_text().split("\nexpected:")[0].splitlines())


def test_config_files_are_short(root):
    long = {
        str(path.relative_to(root)): count
        for path in (root / "conf").rglob("*.yaml")
        if path.parent.name not in ("hydra", "help") and (count := own_lines(path)) > 60
    }
    assert long == {}


@pytest.mark.slow
@pytest.mark.parametrize("value", ["no", "maybe", "1", "[]"])
@pytest.mark.parametrize(
    "key", ["rerun", "preview", "fail_fast", "data.on_device", "data.permute_pixels", "optimizer.fused"]
)
def test_what_is_not_a_boolean_is_refused_where_one_is_expected(compose, key, value):
    with pytest.raises(ConfigError, match=rf"{re.escape(key)} is .*; expected true or false"):
        checked_config(compose(f"{key}={value}"))


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["data.mean=[0.1,0.2]"], "have 2 and 1 values; expected 1, one for each channel"),
        (["data.std=[0.1,0.2]"], "have 1 and 2 values; expected 1"),
        (["data.image_shape=[3,16,16]"], "have 1 and 1 values; expected 3"),
        (["data.std=[0]"], r"data\.std is \[0\]; expected numbers above 0"),
        (["data=cifar10", "data.mean=[0.5]", "data.std=[0.5]"], "have 1 and 1 values; expected 3"),
    ],
)
def test_what_is_stated_of_channels_is_held_against_their_number_before_any_is_read(compose, words, said):
    with pytest.raises(ConfigError, match=said):
        check_channels_of(checked_config(compose(*words)))


def test_other_data_modules_may_have_a_mean_of_their_own(compose):
    config = plain_config(compose("data.mean=[0.1,0.2]"))
    config["data"]["_target_"] = "somewhere.Else"
    check_channels_of(config)
