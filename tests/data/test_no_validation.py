"""`data.val_size=0`: every training image is trained on, nothing is validated, and the last weights are kept."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from PIL import Image

from vision_baselines.config.checks import checked_config
from vision_baselines.data.arrays import Npz
from vision_baselines.data.csv_pixels import CsvPixels
from vision_baselines.data.datamodule import ImageDataModule
from vision_baselines.data.image_folder import ImageFolder
from vision_baselines.data.sources import Circles, Digits, Noise
from vision_baselines.data.torchvision_source import Mnist
from vision_baselines.errors import ConfigError

GREY = np.random.default_rng(0).integers(0, 256, (40, 28, 28), dtype=np.uint8)
LABELS = np.arange(40, dtype=np.uint8) % 10


def npz(folder, **more):
    np.savez(folder / "a.npz", x_train=GREY, y_train=LABELS, x_test=GREY[:10], y_test=LABELS[:10], **more)
    return Npz(folder / "a.npz")


def csv(folder):
    rows = [f"{label}," + ",".join(map(str, image.reshape(-1))) for label, image in zip(LABELS, GREY, strict=True)]
    for name in ("train", "test"):
        (folder / f"{name}.csv").write_text("\n".join(rows) + "\n")
    return CsvPixels(folder / "train.csv", folder / "test.csv")


def pictures(folder, *splits):
    for split in ("train", *splits):
        for image, label in zip(GREY, LABELS, strict=True):
            place = folder / "pictures" / split / str(label)
            place.mkdir(parents=True, exist_ok=True)
            Image.fromarray(image ^ len(split)).save(place / f"{len(list(place.iterdir()))}.png")
    return ImageFolder(folder / "pictures", folder / "cache", image_size=28, channels=1)


def idx(folder):
    raw = folder / "MNIST" / "raw"
    raw.mkdir(parents=True)
    for part in ("train", "t10k"):
        for kind, values in (("images-idx3", GREY), ("labels-idx1", LABELS)):
            header = bytes([0, 0, 8, values.ndim]) + b"".join(side.to_bytes(4, "big") for side in values.shape)
            (raw / f"{part}-{kind}-ubyte").write_bytes(header + values.tobytes())
    return Mnist(folder, val_size=5, sha256=None)


# Each with the number of images that are not test.
SOURCES = {
    "digits": (lambda folder: Digits(), 1_437),
    "noise": (lambda folder: Noise(train_size=40, val_size=5, test_size=9, image_shape=(1, 28, 28)), 40),
    "circles": (lambda folder: Circles(train_size=40, val_size=5, test_size=9), 40),
    "npz": (npz, 40),
    "csv_pixels": (csv, 40),
    "mnist": (idx, 40),
    "image_folder": (lambda folder: pictures(folder, "test"), 40),
    "image_folder without test": (pictures, 30),
    "npz with val": (lambda folder: npz(folder, x_val=GREY[:10], y_val=LABELS[:10]), 40),
    "image_folder with val": (lambda folder: pictures(folder, "val", "test"), 40),
}


def module(source, **options):
    shape = tuple(source.load().train.images.shape[1:])
    classes = len(source.load().class_names)
    channels = shape[0]
    facts = {"image_shape": shape, "num_classes": classes, "mean": [0.5] * channels, "std": [0.3] * channels}
    return ImageDataModule(source, **facts, batch_size=8, **options)


def rows(*splits):
    return sorted(
        (split.images[i].numpy().tobytes(), int(split.target[i])) for split in splits for i in range(len(split.target))
    )


RARE = ("csv_pixels", "circles", "image_folder without test", "npz with val")


@pytest.mark.parametrize(
    "name", [pytest.param(n, marks=[pytest.mark.slow, pytest.mark.ci] if n in RARE else []) for n in SOURCES]
)
def test_all_training_images_are_trained_on_and_none_is_validated_on(tmp_path, name):
    make, count = SOURCES[name]
    source = make(tmp_path)
    whole = source.load()
    data = module(source, val_size=0)
    data.setup()
    assert len(data.splits.train.target) == count
    assert len(data.splits.val.target) == 0
    assert len(data.val_dataloader()) == 0
    given = (whole.train,) if "with val" in name else (whole.train, whole.val)
    assert rows(data.splits.train) == rows(*given)
    assert torch.equal(data.splits.test.images, whole.test.images)
    assert data.facts()["splits"]["val"] == {"size": 0, "cut_from": None}
    assert "(data.val_size=0)" in data.facts()["notes"][-1]
    if whole.train.ids is not None:
        assert len(set(data.sample_ids("train"))) == count


@pytest.mark.parametrize(
    "changes", [{"train_fraction": 0.5}, {"classes": [1, 0], "num_classes": 2}, {"permute_pixels": True}]
)
def test_what_else_changes_a_data_set_goes_with_it(changes):
    source = Noise(train_size=60, val_size=5, test_size=20, image_shape=(1, 8, 8))
    facts = {"image_shape": (1, 8, 8), "num_classes": 10, "mean": [0.5], "std": [0.1], "batch_size": 2}
    data = ImageDataModule(source, **{**facts, "val_size": 0, **changes})
    data.setup()
    assert len(data.splits.val.target) == 0
    assert len(data.splits.train.target) == {"train_fraction": 30, "permute_pixels": 60}.get(
        next(iter(changes)), int((source.load().train.target < 2).sum() + (source.load().val.target < 2).sum())
    )


@pytest.mark.parametrize("value", [1, -1, 0.1, True, "none"])
def test_another_size_is_refused_with_the_key_that_says_how_much_is_cut(value):
    with pytest.raises(ConfigError, match=rf"^data\.val_size is {value!r}; expected 0 for no validation, or null: .*"):
        module(Noise(train_size=20, val_size=5, test_size=9), val_size=value)


@pytest.mark.few(1)
@pytest.mark.parametrize(
    ("words", "message"),
    [
        (
            [],
            r"^checkpoint is best, which validation decides, .* leaves none; expected checkpoint=last$",
        ),
        (
            ["checkpoint=last", "scheduler=plateau"],
            r"^scheduler=plateau follows val/loss, which data\.val_size=0 leaves",
        ),
        (
            [
                "checkpoint=last",
                "+callbacks.stop={_target_: pytorch_lightning.callbacks.EarlyStopping, monitor: val/loss}",
            ],
            r"^callbacks\.stop\.monitor is val/loss, which data\.val_size=0 leaves out$",
        ),
    ],
)
def test_what_needs_validation_is_refused_before_anything_is_read(compose, words, message):
    with pytest.raises(ConfigError, match=message):
        checked_config(compose("data.val_size=0", *words))


def test_a_run_without_validation_keeps_its_last_weights_and_says_so(run_tiny):
    record = run_tiny("run", "data.val_size=0", "checkpoint=last")
    assert record.finished
    assert record.weights_sha256 == record.final_weights_sha256
    assert not [name for name in record.metrics if name.startswith("val/")]
    assert {name: split.size for name, split in record.data.splits.items()} == {"train": 60, "val": 0, "test": 20}
    assert record.data.notes == ["no validation: all 60 training images are trained on (data.val_size=0)"]
    assert not record.partial


@pytest.mark.parametrize("interval", ["step", "epoch"])
def test_a_schedule_that_follows_validation_moves_on_by_epochs(compose, interval):
    cfg = compose("data=digits", "model=fc", "scheduler=plateau", f"scheduler.interval={interval}")
    if interval == "epoch":
        checked_config(cfg)
    else:
        with pytest.raises(ConfigError, match=r"^scheduler\.interval is step; scheduler=plateau follows val/loss"):
            checked_config(cfg)
