"""A data source writes where the data lie: a config file or a record cannot move that, the command line can."""

from __future__ import annotations

from pathlib import Path

import pytest
from omegaconf import OmegaConf

from vision_baselines.config.written_paths import check_written_paths, confine_written_paths
from vision_baselines.errors import ConfigError

OUTSIDE = ["/elsewhere/x", "x", "~/x", "..", "${paths.data_dir}/../x", "${paths.data_dir}x", "${paths.data_dir}/${x}"]
KEYS = {
    "data.source.cache_dir": "vision_baselines.data.image_folder.ImageFolder",
    "data.source.root": "vision_baselines.data.torchvision_source.Mnist",
    "data.source.inner.cache_dir": "my_package.Source",
}


def config(key: str, value: str) -> dict:
    made = OmegaConf.create({"data": {"source": {"_target_": KEYS[key]}}})
    OmegaConf.update(made, key, value)
    return OmegaConf.to_container(made, resolve=False)


@pytest.mark.parametrize("key", KEYS)
@pytest.mark.parametrize("value", OUTSIDE)
def test_a_file_cannot_say_where_a_source_writes_and_the_command_line_can(key, value):
    with pytest.raises(ConfigError, match=rf"^{key} is .*, which is not in the folder of data and was not typed"):
        check_written_paths(config(key, value))
    check_written_paths(config(key, value), [f"{key}={value}"])


@pytest.mark.parametrize("key", KEYS)
@pytest.mark.parametrize("value", ["${paths.data_dir}", "${paths.data_dir}/pictures", "${paths.run_dir}/pictures"])
def test_below_the_data_or_the_run_it_may(key, value):
    check_written_paths(config(key, value))


@pytest.mark.parametrize("value", [value for value in OUTSIDE if value != "${paths.data_dir}/${x}"])
@pytest.mark.parametrize("key", KEYS)
def test_a_record_writes_in_the_folder_of_data_or_nothing(key, value):
    cfg = OmegaConf.create({**config(key, value), "paths": {"data_dir": "/data", "run_dir": "/run"}})
    confine_written_paths(cfg)
    if key == "data.source.root":
        assert cfg.data.source.download is False
        assert OmegaConf.to_container(cfg, resolve=False)["data"]["source"]["root"] == value
    else:
        assert Path(OmegaConf.select(cfg, key)).parent == Path("/data")


def test_a_folder_that_is_only_read_may_lie_anywhere():
    check_written_paths({"data": {"source": {"_target_": KEYS["data.source.cache_dir"], "root": "/pictures"}}})
    source = {"_target_": KEYS["data.source.root"], "root": "/somewhere", "download": False}
    check_written_paths({"data": {"source": source}})
