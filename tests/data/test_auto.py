"""What a config leaves to the data is found, and stands in the config and the record like any number."""

from __future__ import annotations

import numpy as np
import pytest
from PIL import Image

from vision_baselines.config.checks import checked_config
from vision_baselines.data.channel_statistics import channel_statistics
from vision_baselines.data.listing import listing_sha256
from vision_baselines.errors import ConfigError, DataError
from vision_baselines.training import build


@pytest.fixture
def pets(tmp_path):
    draws = np.random.default_rng(0)
    for name in ("1", "2", "10"):
        folder = tmp_path / "pets" / name
        folder.mkdir(parents=True)
        for index in range(10):
            Image.fromarray(draws.integers(0, 256, (7, 9, 3), dtype=np.uint8)).save(folder / f"{index}.png")
    return tmp_path / "pets"


def words(pets, *more):
    where = [f"data.source.root={pets}", f"data.source.cache_dir={pets.parent}/cache"]
    return ["data=image_folder", *where, "model=fc", "data.batch_size=8", *more]


def test_what_is_auto_is_found_and_reaches_the_net_and_the_data_are_described_once(compose, pets, caplog):
    cfg = compose(*words(pets, "data.mean=auto", "data.std=auto", "data.source.image_size=auto"))
    config = checked_config(cfg)
    data = build.datamodule(cfg)
    assert "test folder" not in caplog.text  # said once, by the run that reads the data
    data.setup()
    assert caplog.text.count("has no train folder") == caplog.text.count("no test folder under") == 1
    assert config["data"]["num_classes"] == config["model"]["num_classes"] == cfg.data.num_classes == 3
    assert config["data"]["image_shape"] == [3, 7, 7]
    mean, std = channel_statistics(data.splits.train.images)
    assert config["data"]["mean"] == pytest.approx(mean, abs=1e-4)
    assert config["data"]["std"] == pytest.approx(std, abs=1e-4)
    assert config["data"]["source"]["image_size"] == 7


def test_the_number_of_classes_is_that_of_those_that_are_kept(compose, pets):
    assert checked_config(compose(*words(pets, "data.classes=['10','1']")))["data"]["num_classes"] == 2


@pytest.mark.slow
@pytest.mark.ci
def test_any_data_set_may_leave_a_number_to_the_data(compose):
    keys = ("mean", "std", "num_classes", "image_shape")
    stated = checked_config(compose("data=digits"))["data"]
    found = checked_config(compose("data=digits", *(f"data.{key}=auto" for key in keys)))["data"]
    for key in keys:
        assert found[key] == pytest.approx(stated[key], abs=1e-4)


def test_a_folder_that_cannot_be_listed_is_said(compose, tmp_path):
    with pytest.raises(DataError, match="nowhere is no folder"):
        checked_config(compose(*words(tmp_path / "nowhere")))


def test_a_relative_folder_is_recorded_whole(compose, pets, monkeypatch):
    monkeypatch.chdir(pets.parent)
    cfg = compose("data=image_folder", "data.source.root=pets", "model=fc")
    assert checked_config(cfg)["data"]["source"]["root"] == str(pets)


def test_a_folder_under_the_data_folder_stays_a_reference(compose):
    assert checked_config(compose("data=mnist"))["data"]["source"]["root"] == "${paths.data_dir}"


@pytest.fixture
def train(compose, pets):
    """``train(*overrides)``: an epoch of a linear net on the pictures; gives the record."""
    from vision_baselines.training.run import train as train_run

    quiet = ["logger=none", "callbacks.learning_rate=null", "callbacks.filters=null", "callbacks.parameters=null"]
    small = ["model=linear", "trainer.max_epochs=1", "data.batch_size=8", "data.source.image_size=6", *quiet]
    words = ["data=image_folder", f"data.source.root={pets}", f"data.source.cache_dir={pets.parent}/cache"]
    chosen = {word.split("=")[0]: word for word in [*words, *small]}
    return lambda *overrides: train_run(compose(*{**chosen, **{o.split("=")[0]: o for o in overrides}}.values()))


def test_a_record_says_what_the_splits_hold_and_what_was_found(train):
    record = train()
    assert record.config["data"]["num_classes"] == record.data.num_classes == 3
    assert record.class_names == ["1", "2", "10"]
    sizes = {name: (split.size, split.cut_from) for name, split in record.data.splits.items()}
    assert sizes == {"train": (21, None), "val": (3, "train"), "test": (6, "train")}
    assert len(record.data.listing_sha256) == 64
    assert "its 3 folders are taken for classes" in record.data.notes[0]


@pytest.mark.slow
@pytest.mark.ci
def test_a_finished_run_is_not_one_of_other_pictures(train, pets):
    record = train()
    for path in sorted((pets / "2").iterdir())[:4]:
        path.unlink()
    with pytest.raises(DataError, match=r"holds a finished run on other data \(train 21, val 3, test 6 then, train 18"):
        train()
    assert train("rerun=true").data_sha256 != record.data_sha256


@pytest.mark.slow
@pytest.mark.ci
@pytest.mark.parametrize("change", ["touched", "copied"])
def test_a_finished_run_stays_finished_where_only_times_or_places_of_files_changed(train, pets, change):
    record = train()
    for path in sorted((pets / "2").iterdir()):
        content = path.read_bytes()
        if change == "copied":
            path.unlink()
        path.write_bytes(content)
    again = train()
    assert again.ended_at == record.ended_at
    assert again.data_sha256 == record.data_sha256
    assert again.data.listing_sha256 != record.data.listing_sha256


@pytest.mark.slow
@pytest.mark.ci
def test_pictures_of_equal_size_and_time_that_change_places_are_other_data(train, pets):
    train()
    for first, second in (("1", "x"), ("2", "1"), ("x", "2")):
        (pets / first).rename(pets / second)
    with pytest.raises(DataError, match="holds a finished run on other data"):
        train()


@pytest.mark.slow
@pytest.mark.ci
def test_a_batch_larger_than_train_names_the_remedy(train):
    with pytest.raises(ConfigError, match=r"only 21 images: set data\.batch_size=16$"):
        train("data.batch_size=22")


@pytest.mark.parametrize(("name", "folder"), [("FashionMnist", "FashionMNIST/raw"), ("Cifar10", "cifar-10-batches-py")])
def test_files_of_a_known_data_set_are_listed_unless_a_checksum_pins_them(tmp_path, name, folder):
    source = {"_target_": f"vision_baselines.data.torchvision_source.{name}", "root": str(tmp_path), "sha256": None}
    assert listing_sha256(source) is None
    (tmp_path / folder).mkdir(parents=True)
    (tmp_path / folder / "a").write_text("a")
    before = listing_sha256(source)
    assert before is not None
    assert listing_sha256({**source, "sha256": "pinned"}) is None
    (tmp_path / folder / "a").write_text("other")
    assert listing_sha256(source) != before
