"""Whatever a run's config does to its images is done to pictures too: the test split, as files, gives its test."""

from __future__ import annotations

import numpy as np
import pytest
from PIL import Image

import vision_baselines as vb
from vision_baselines.data.picture_decoding import decoded
from vision_baselines.errors import ConfigError

RELATIVE = 2**-11  # a float16's rounding
PLACES = "data.place={train: left, test: right}"
COLOUR = ["++data.source.image_shape=[3,8,8]", "data.image_shape=[3,8,8]"]
VARIANTS = {
    "plain": [],
    "resized": ["data.resize=12", "data.image_shape=[1,12,12]"],
    "smaller": ["data.resize=6", "data.image_shape=[1,6,6]"],
    "right half": [PLACES, "data.image_shape=[1,8,16]"],
    "permuted": ["data.permute_pixels=true"],
    "all at once": ["data.resize=10", PLACES, "data.permute_pixels=true", "data.image_shape=[1,10,20]"],
    "colour": [*COLOUR, "data.mean=[.5,.4,.3]", "data.std=[.3,.3,.2]"],
    "not square": ["++data.source.image_shape=[1,8,10]", "data.image_shape=[1,8,10]"],
    "some classes": ["data.classes=[3,0,7]", "data.num_classes=3", "data.batch_size=4"],
    "binary": ["task=binary", "++data.source.num_classes=2", "data.num_classes=2"],
    "mixed precision": ["trainer.precision=bf16-mixed"],
    "64 bits": ["trainer.precision=64-true"],
    "16 bits": ["trainer.precision=bf16-true"],
    "normalised": ["model.norm=batch"],
}  # fmt: skip


@pytest.mark.parametrize(
    "variant",
    [pytest.param(name, marks=() if name == "all at once" else pytest.mark.slow) for name in VARIANTS],
)
def test_the_test_split_as_files_gives_the_test(variant, run_tiny, write, tmp_path):
    from vision_baselines.config.restore import restored
    from vision_baselines.training import build

    run_tiny("run", *VARIANTS[variant], "trainer.max_epochs=1")
    run = vb.load_run(tmp_path / "outputs" / "run")
    kept = run.predictions()
    source = build.datamodule(restored(run.config, tmp_path / "unused")).source
    files = write(source.load().test.images[kept.ids].numpy(), tmp_path / "pictures")
    found = run.predict(files)

    assert np.ptp(kept.probabilities, axis=0).max() > 0.001
    assert found.labels == [run.class_names[index] for index in kept.predicted]
    np.testing.assert_allclose(found.probabilities, kept.probabilities, rtol=RELATIVE, atol=1e-6)


def _folder(root):
    """Pictures of four sizes and modes, three classes, with a test split."""
    rng = np.random.default_rng(0)
    modes = ["L", "RGB", "RGBA", "P"]
    for split, count in (("train", 12), ("test", 8)):
        for label, name in enumerate(("ant", "bee", "cat")):
            folder = root / split / name
            folder.mkdir(parents=True)
            for index in range(count):
                shape = [(20, 30, 3), (30, 20, 3), (16, 16, 3), (50, 9, 3)][index % 4]
                pixels = (rng.integers(0, 100, shape) + 70 * label).astype(np.uint8)
                Image.fromarray(pixels).convert(modes[index % 4]).save(folder / f"{index}.png")
    return root


@pytest.mark.slow
@pytest.mark.parametrize(
    "options",
    [
        [],
        ["data.source.crop=false"],
        ["data.source.channels=1", "data.mean=[.5]", "data.std=[.3]"],
        ["data.source.image_size=auto", "data.resize=12", "data.image_shape=[3,12,12]"],
    ],
)
def test_pictures_of_a_folder_are_prepared_as_they_were_for_the_test(options, train, tmp_path):
    root = _folder(tmp_path / "data")
    words = ["data=image_folder", f"data.source.root={root}", "data.source.image_size=16", "data.batch_size=8"]
    words += ["model=fc", "model.hidden_features=[8]", "trainer.max_epochs=2", f"paths.data_dir={tmp_path}/cache"]
    train(tmp_path / "run", *words, *options)
    run = vb.load_run(tmp_path / "run")
    kept, found = run.predictions(), run.predict(root / "test")

    order = [str(root / name) for name in kept.ids]
    assert found.files == sorted(order) == order
    assert found.labels == [run.class_names[index] for index in kept.predicted]
    np.testing.assert_allclose(found.probabilities, kept.probabilities, rtol=RELATIVE, atol=1e-6)


def test_a_net_that_takes_neither_grey_nor_colour_is_refused():
    from vision_baselines.data.datamodule import ImageDataModule
    from vision_baselines.data.prepared import preparation_of
    from vision_baselines.data.sources import Circles

    points = ImageDataModule(Circles(), image_shape=[2, 1, 1], num_classes=2, mean=[0.5, 0.5], std=[0.3, 0.3])
    with pytest.raises(ConfigError, match=r"its net takes 2 channels .* 1 or 3"):
        preparation_of(points)


def test_pictures_of_other_sizes_are_scaled_as_those_of_a_folder_are(sweep, tmp_path, caplog):
    pixels = np.random.default_rng(0).integers(0, 256, (40, 30), np.uint8)
    Image.fromarray(pixels).save(tmp_path / "tall.png")
    expected = decoded(tmp_path / "tall.png", size=(16, 16), channels=1)
    run = vb.load_run(sweep / "seed=0")
    found = run.predict(tmp_path / "tall.png")

    np.testing.assert_array_equal(found.probabilities, run.predict(expected).probabilities)
    assert "pictures of another size: 1 of 1, scaled to cover 16×16 pixels" in caplog.text
    assert "in grey; they were 30×40" in caplog.text


def test_pictures_that_do_not_fill_the_frame_are_noticed():
    from types import SimpleNamespace

    from sklearn.datasets import load_digits

    from vision_baselines.data.prepared import Preparation
    from vision_baselines.evaluation.predict import _Seen

    digits = (load_digits().images * 255 / 16).astype(np.uint8)
    kind = Preparation(1, (8, 8))
    member = SimpleNamespace(preparation=kind, datamodule=SimpleNamespace(mean=[digits.mean() / 255]))

    def notes(pictures):
        seen = _Seen(member)
        seen.look_at([{kind: kind.of_array(picture)} for picture in pictures])
        return list(seen.notes([kind]))

    by_light = digits[np.argsort(digits.mean(axis=(1, 2)))]
    for ours in (digits[-360:], by_light[:5], by_light[-5:]):
        assert notes(ours) == []
        framed = np.pad(ours, ((0, 0), (4, 4), (4, 4)))
        (note,) = notes(framed)
        assert note.endswith("do they fill the frame as those do?")
        assert notes(framed[:4]) == []


def test_dark_digits_on_light_paper_are_noticed(sweep, digits, caplog):
    run = vb.load_run(sweep / "seed=0")
    ours = np.stack([np.asarray(Image.open(file)) for file in sorted(digits.iterdir())])
    run.predict(ours)
    assert "dark on light" not in caplog.text
    run.predict(255 - ours)
    assert "are they dark on light, where the net learned light on dark?" in caplog.text
