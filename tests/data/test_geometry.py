"""Images scaled to another size and put into one half of a canvas: where each pixel lands, and what stays."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from PIL import Image

from vision_baselines.data.datamodule import ImageDataModule
from vision_baselines.data.geometry import framed_shape, placed, resized
from vision_baselines.data.sources import Digits, Noise, Split, Splits
from vision_baselines.errors import ConfigError
from vision_baselines.training import build


@pytest.fixture
def splits():
    """Pictures of 3×4×5 without a black pixel; train, val and test differ in number."""

    def split(count, start):
        images = (torch.arange(count * 60).view(count, 3, 4, 5) + start) % 255 + 1
        return Split(images.to(torch.uint8), torch.arange(count) % 2, tuple(f"{start}-{i}" for i in range(count)))

    return Splits(split(8, 0), split(3, 7), split(4, 99), ("cat", "dog"))


def halves(split, width=5):
    return split.images[..., :width], split.images[..., width:]


@pytest.mark.parametrize(("train", "test"), [("left", "right"), ("right", "left"), ("left", "left")])
def test_every_pixel_of_train_val_and_test_is_in_its_half_and_the_other_half_is_black(splits, train, test):
    found = placed(splits, {"train": train, "test": test})
    wanted = {"train": train, "val": train, "test": test}  # val is treated like train
    for name, split in found.by_name().items():
        before = splits.by_name()[name]
        left, right = halves(split)
        filled, black = (left, right) if wanted[name] == "left" else (right, left)
        assert torch.equal(filled, before.images)
        assert not black.any()
        assert torch.equal(split.target, before.target)
        assert split.ids == before.ids


def test_both_puts_half_of_the_images_on_each_side_and_each_image_whole(splits):
    found = placed(splits, {"train": "both", "test": "both"})
    for name, split in found.by_name().items():
        left, right = halves(split)
        is_left = (left > 0).flatten(1).any(1)
        assert torch.equal(is_left, ~(right > 0).flatten(1).any(1))
        assert int(is_left.sum()) in (len(is_left) // 2, (len(is_left) + 1) // 2)
        assert torch.equal(left + right, splits.by_name()[name].images)
    again = placed(splits, {"train": "both", "test": "both"})
    assert again.sha256 == found.sha256


def test_the_record_says_which_half_each_split_stands_in(splits):
    notes = placed(splits, {"train": "left", "test": "right"}).report.notes
    assert notes == ("halves that images stand in: train left, val left, test right (data.place)",)


@pytest.mark.parametrize("side", [8, 12, 3])
def test_images_are_scaled_as_pillow_scales_them(side):
    images = Noise(train_size=20, val_size=5, test_size=5, image_shape=(3, 6, 6)).load()
    found = resized(images, side).test.images
    for before, after in zip(images.test.images, found, strict=True):
        reference = Image.fromarray(before.permute(1, 2, 0).numpy()).resize((side, side), Image.Resampling.BILINEAR)
        assert np.abs(after.permute(1, 2, 0).numpy().astype(int) - np.asarray(reference).astype(int)).max() <= 1


def test_scaling_to_the_same_size_changes_no_pixel_and_a_plain_picture_stays_plain():
    digits = Digits().load()
    assert torch.equal(resized(digits, 16).train.images, digits.train.images)
    plain = torch.full((2, 1, 5, 5), 255, dtype=torch.uint8)
    split = Split(plain, torch.tensor([0, 1]))
    for side in (3, 7, 50):
        assert resized(Splits(split, split, split, ("a", "b")), side).train.images.unique().tolist() == [255]


def test_a_split_without_images_has_the_new_shape_too(splits):
    empty = Splits(splits.train, splits.val.subset(torch.arange(0)), splits.test, splits.class_names, has_val=False)
    found = placed(resized(empty, 6), {"train": "left", "test": "right"})
    assert [tuple(split.images.shape) for split in found.by_name().values()] == [
        (8, 3, 6, 12),
        (0, 3, 6, 12),
        (4, 3, 6, 12),
    ]


def module(source, **options):
    channels = options["image_shape"][0]
    return ImageDataModule(
        source, mean=[0.5] * channels, std=[0.25] * channels, num_classes=10, batch_size=8, **options
    )


NOISE = Noise(train_size=60, val_size=12, test_size=20, image_shape=(1, 8, 8))
PLACE = {"train": "left", "test": "right"}


@pytest.mark.parametrize(
    "options",
    [{"resize": 12}, {"place": PLACE}, {"resize": 4, "place": PLACE}, {"resize": 4, "train_fraction": 0.5}],
)
def test_a_data_module_serves_what_the_config_says(options):
    shape = framed_shape((1, 8, 8), options.get("resize"), options.get("place"))
    data = module(NOISE, image_shape=shape, **options)
    data.setup()
    assert {tuple(split.images.shape[1:]) for split in data.splits.by_name().values()} == {shape}
    assert data.facts()["image_shape"] == list(shape)


@pytest.mark.parametrize("side", [10**6, 10**9])
def test_images_that_no_memory_holds_are_refused_before_they_are_made(side):
    with pytest.raises(ConfigError, match=r"GiB of memory, and there are .* GiB: make data\.resize smaller"):
        module(NOISE, image_shape=(1, side, side), resize=side).setup()
    with pytest.raises(ConfigError, match=r"noise of .* images would take .* make data\.image_shape smaller"):
        Noise(image_shape=(1, side, side))


def test_a_shape_that_is_not_what_comes_out_is_refused_and_the_change_is_named():
    with pytest.raises(
        ConfigError, match=r"^data\.image_shape is \[1, 8, 8\]; the data has \[1, 12, 12\] after data\.r"
    ):
        module(NOISE, image_shape=(1, 8, 8), resize=12).setup()
    with pytest.raises(ConfigError, match=r"the data has \[1, 8, 16\] after data\.place=\{'train': 'left'"):
        module(NOISE, image_shape=(1, 8, 8), place=PLACE).setup()


@pytest.mark.parametrize("side", [0, -3, 1.5, True, "large"])
def test_a_side_that_is_none_is_refused(side):
    with pytest.raises(ConfigError, match=r"^data\.resize is .*; expected a whole number of pixels of at least 1"):
        module(NOISE, image_shape=(1, 8, 8), resize=side)


@pytest.mark.parametrize(
    "place", ["left", {"train": "left"}, {"train": "left", "test": "top"}, {**PLACE, "val": "left"}, ["left", "right"]]
)
def test_a_place_that_is_none_is_refused(place):
    with pytest.raises(ConfigError, match=r"^data\.place is .*; expected \{train: left, test: right\}, each of them"):
        module(NOISE, image_shape=(1, 8, 8), place=place)


@pytest.mark.slow
@pytest.mark.ci
def test_from_the_command_line_and_where_the_shape_is_left_to_the_data(compose, tmp_path):
    words = ["data=digits", "data.resize=8", "data.place={train: left, test: right}", "data.image_shape=[1,8,16]"]
    data = build.datamodule(compose(*words))
    data.setup()
    left, right = halves(data.splits.test, 8)
    assert not left.any()
    assert right.any()
    file = tmp_path / "a.npz"
    x, y = np.zeros((60, 6, 6), np.uint8), np.arange(60) % 3
    np.savez(file, x_train=x, y_train=y)
    from vision_baselines.config.checks import checked_config

    config = checked_config(compose("data=npz", f"data.source.file={file}", "data.resize=12", "data.batch_size=8"))
    assert config["data"]["image_shape"] == [1, 12, 12]
