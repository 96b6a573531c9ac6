"""Every option of the data group is a data set, says what its source has, and takes the same keys."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import pytest
import torch
from omegaconf import OmegaConf

from vision_baselines.config.checks import check_numbers, checked_config
from vision_baselines.data.arrays import Npz
from vision_baselines.data.channel_statistics import warn_if_far_off
from vision_baselines.data.csv_pixels import CsvPixels
from vision_baselines.data.image_folder import ImageFolder
from vision_baselines.data.perturbations import Augment
from vision_baselines.data.sources import Circles, Digits, GaussianCircle, Noise
from vision_baselines.data.torchvision_source import Cifar10, Cifar100, FashionMnist, Kmnist, Mnist
from vision_baselines.errors import ConfigError
from vision_baselines.runs.migrations import ABSENT_OF
from vision_baselines.seeding import generator
from vision_baselines.training import build

# Source, channels, side and classes, as their authors describe them.
DATA_SETS = {
    "digits": (Digits, 1, 16, 10),
    "mnist": (Mnist, 1, 28, 10),
    "fashion_mnist": (FashionMnist, 1, 28, 10),
    "kmnist": (Kmnist, 1, 28, 10),
    "cifar10": (Cifar10, 3, 32, 10),
    "cifar100": (Cifar100, 3, 32, 100),
    "image_folder": (ImageFolder, 3, 32, 10),
    "circles": (Circles, 2, 1, 2),
    "circles_gaussian": (GaussianCircle, 2, 1, 2),
    "noise": (Noise, 1, 28, 10),
}
FILES = {"npz": (Npz, "a.npz"), "csv_pixels": (CsvPixels, "a.csv")}  # what they hold is found
# Mean and std of the official training sets as commonly published; the files are not at hand to compute them.
PUBLISHED = {
    "mnist": ([0.1307], [0.3081]),
    "fashion_mnist": ([0.2860], [0.3530]),
    "kmnist": ([0.1918], [0.3483]),
    "cifar10": ([0.4914, 0.4822, 0.4465], [0.2470, 0.2435, 0.2616]),
    "cifar100": ([0.5071, 0.4865, 0.4409], [0.2673, 0.2564, 0.2762]),
}
RARE = [pytest.mark.slow]
SHARED = Path(__file__).parents[2].parent / "shared" / "data"


def mostly_rare(names, *default):
    """Every name; those that are not stated run with ``-m "slow and ci"`` only."""
    return [pytest.param(name, marks=[] if name in default else RARE) for name in names]


def test_every_option_is_known_here(root):
    options = {path.stem for path in (root / "conf" / "data").glob("*.yaml")}
    assert options == {*DATA_SETS, *FILES}


@pytest.mark.parametrize("name", mostly_rare(DATA_SETS, "cifar10", "image_folder"))
def test_a_data_set_is_built_from_its_own_source_with_the_facts_it_has(compose, name):
    source, channels, side, num_classes = DATA_SETS[name]
    folder = ["data.source.root=/somewhere", "data.num_classes=10"]
    cfg = compose(f"data={name}", *(folder if name == "image_folder" else []))
    checked_config(cfg)
    data = build.datamodule(cfg)
    assert type(data.source) is source
    assert data.image_shape == (channels, side, side)
    assert data.num_classes == cfg.classifier.num_classes == num_classes
    assert len(data.mean) == len(data.std) == channels
    assert (list(data.mean), list(data.std)) == PUBLISHED.get(name, (list(data.mean), list(data.std)))
    assert (data.permute_pixels, data.train_fraction, data.classes) == (False, 1.0, None)


@pytest.mark.parametrize("name", mostly_rare(DATA_SETS, "mnist"))
def test_every_data_set_takes_the_common_keys_without_a_plus(compose, name):
    words = ["data.permute_pixels=true", "data.train_fraction=0.1", "data.classes=[1,0]", "data.num_classes=2"]
    cfg = compose(f"data={name}", *words, "data.batch_size=32", "seed=3")
    assert (cfg.data.permute_pixels, cfg.data.train_fraction, list(cfg.data.classes)) == (True, 0.1, [1, 0])
    assert (cfg.data.batch_size, cfg.data.seed) == (32, 3)


@pytest.mark.parametrize("name", [*DATA_SETS, *FILES])
def test_every_key_of_a_source_stands_in_its_yaml_at_its_default(root, name):
    source = {**DATA_SETS, **FILES}[name][0]
    whole = OmegaConf.to_container(OmegaConf.load(root / "conf" / "data" / f"{name}.yaml"), resolve=False)
    referred = {f"${{data.{key}}}": value for key, value in whole.items()}  # what is said once, of the data as a whole
    own = {
        key: referred.get(value, value) if isinstance(value, str) else value for key, value in whole["source"].items()
    }
    fields = {field.name: field.default for field in dataclasses.fields(source)}
    assert set(own) == {"_target_", *fields}
    stated = {key: value for key, value in own.items() if key not in ("_target_", "root", "cache_dir", "file")}
    assert stated == {key: list(v) if isinstance(v, tuple) else v for key, v in fields.items() if key in stated}
    if name in FILES:  # there is no run from before these keys
        return
    absent = ABSENT_OF[own["_target_"]]
    assert absent == {key: value for key, value in stated.items() if key in absent}
    assert set(stated) - set(absent) <= {"image_size", "channels"} | {k for k, v in stated.items() if v is None}


def test_what_all_data_sets_share_stands_once(root):
    shared = OmegaConf.load(root / "conf" / "data_base.yaml").keys()
    for name in [*DATA_SETS, *FILES]:
        own = OmegaConf.load(root / "conf" / "data" / f"{name}.yaml")
        assert own.defaults == ["/data_base@_here_"]
        assert not set(shared) & set(own.keys())


@pytest.mark.slow
@pytest.mark.skipif(not (SHARED / "MNIST").is_dir(), reason=f"the files of MNIST are not in {SHARED}")
def test_mnist_has_the_published_figures(compose, caplog):
    build.datamodule(compose("data=mnist", f"paths.data_dir={SHARED}")).setup()
    assert not caplog.messages


@pytest.mark.slow
@pytest.mark.skipif(not (SHARED / "cifar10_subset").is_dir(), reason=f"real photographs are not in {SHARED}")
def test_a_part_of_cifar10_has_the_published_figures_of_the_whole(compose, tmp_path, caplog):
    words = ["data=image_folder", f"data.source.root={SHARED / 'cifar10_subset'}", f"paths.data_dir={tmp_path}"]
    cfg = compose(*words)
    checked_config(cfg)
    data = build.datamodule(cfg)
    data.setup()
    assert "data.mean=[0.4912,0.4814,0.446] data.std=[0.2446,0.2427,0.2607]" in caplog.messages[-1]
    caplog.clear()
    warn_if_far_off(data.splits.train.images, mean=PUBLISHED["cifar10"][0], std=PUBLISHED["cifar10"][1])
    assert not caplog.messages


@pytest.mark.parametrize("augment", [Augment(shift_px=3), Augment(shift_px=4, flip=0.5, rotation_deg=10)])
@pytest.mark.parametrize("channels", [1, 3])
def test_images_of_any_channels_can_be_augmented(augment, channels):
    images = torch.randint(1, 256, (4, channels, 16, 16), dtype=torch.uint8, generator=generator(0, "test"))
    changed = augment(images, generator(0))
    assert changed.shape == images.shape
    assert not torch.equal(changed, images)


@pytest.mark.parametrize("name", mostly_rare(sorted(set(DATA_SETS) - {"circles"}), "digits"))
def test_every_data_set_of_images_takes_the_augmentation_for_photographs(compose, name):
    root = ["data.source.root=/somewhere", "data.num_classes=10"] if name == "image_folder" else []
    augment = build.datamodule(compose(f"data={name}", "augment=photo", *root)).augment
    assert (augment.shift_px, augment.flip, augment.rotation_deg) == (4, 0.5, 10.0)


@pytest.mark.parametrize(("augment", "shift_px"), [("shift", 3), pytest.param("photo", 4, marks=RARE)])
def test_points_are_not_shifted_out_of_their_only_pixel(compose, augment, shift_px):
    expected = rf"augment\.shift_px is {shift_px}; expected less than the 1 pixel of an image's shorter side"
    with pytest.raises(ConfigError, match=expected):
        build.datamodule(compose("data=circles", f"augment={augment}"))


def test_permuted_pixels_are_not_augmented_as_if_they_were_in_place(compose):
    with pytest.raises(ConfigError, match=r"data\.permute_pixels is true, and augment moves .*; expected augment=none"):
        build.datamodule(compose("data.permute_pixels=true", "augment=shift"))


@pytest.mark.parametrize("value", [1.5, -1, "half", None, True])
def test_a_fraction_that_is_no_number_from_0_to_1_is_refused_before_anything_is_built(value):
    with pytest.raises(ConfigError, match=rf"data\.train_fraction is {value!r}; expected a number from 0 to 1"):
        check_numbers({"data": {"train_fraction": value}})


def test_an_image_folder_follows_its_size_and_channels(compose):
    cfg = compose("data=image_folder", "data.source.image_size=64", "data.source.channels=1", "model=fc")
    assert list(cfg.data.image_shape) == list(cfg.model.image_shape) == [1, 64, 64]


def test_an_image_folder_without_its_folder_is_reported_the_key(compose):
    with pytest.raises(
        ConfigError, match=r"data\.source\.root is null; expected the folder that holds train/<class>/…"
    ):
        checked_config(compose("data=image_folder"))


def test_the_cache_of_pictures_is_kept_with_the_data_and_not_with_the_pictures(compose):
    cfg = compose("data=image_folder", "data.source.root=/pictures", "paths.data_dir=/data")
    assert cfg.data.source.cache_dir == "/data/pictures"
