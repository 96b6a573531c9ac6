"""Pictures of mistakes: kept by runs while they test, and read from the data where they were not kept."""

from __future__ import annotations

import json
import shutil

import numpy as np
import pytest
import torch
from tests.conftest import PLAIN

from vision_baselines.cli.mistakes import main
from vision_baselines.comparison.collection import Job
from vision_baselines.data.sources import Noise
from vision_baselines.evaluation.mistakes import pictures_from_data
from vision_baselines.runs.files import written_files
from vision_baselines.runs.mistake_pictures import PICTURES_FILE, SIDE_PX, read_pictures
from vision_baselines.runs.predictions import read_predictions
from vision_baselines.runs.record import read_record
from vision_baselines.training.mistakes import small_picture
from vision_baselines.training.run import train


@pytest.fixture(scope="module")
def run(train_tiny, tmp_path_factory):
    """A finished run on noise of one channel, which misclassifies most of its 20 images."""
    folder = tmp_path_factory.mktemp("mistakes") / "model=cnn,seed=0"
    train_tiny(folder, "trainer.max_epochs=1")
    return folder


@pytest.fixture(scope="module")
def images():
    """The test images of the same noise."""
    return Noise(train_size=60, val_size=12, test_size=20, image_shape=[1, 8, 8], num_classes=10).load().test.images


@pytest.fixture
def mistakes(called):
    """``mistakes(*words)``: exit code, what was printed and what was complained of."""
    return called(main)


@pytest.mark.slow
@pytest.mark.ci
def test_a_run_keeps_the_pixels_of_what_it_misclassifies_and_lists_the_file(run, images):
    record = read_record(run)
    found = read_pictures(run, record)
    wrong = np.flatnonzero(~read_predictions(run, record).correct)

    assert len(wrong) > 10
    assert sorted(found) == wrong.tolist()
    for place, pixels in found.items():
        np.testing.assert_array_equal(pixels, np.repeat(images[place, 0].numpy()[..., None], 3, axis=2))
    assert PICTURES_FILE in record.files
    assert PICTURES_FILE in written_files(run)


@pytest.mark.slow
@pytest.mark.ci
def test_the_data_gives_the_pictures_that_a_run_kept_and_draws_the_same_sheet(run, mistakes, tmp_path):
    copy = shutil.copytree(run, tmp_path / "copy")
    record = read_record(run)
    kept = read_pictures(run, record)
    found = pictures_from_data(Job(run, "run", record), sorted(kept))
    assert sorted(found) == sorted(kept)
    assert all(np.array_equal(found[place], kept[place]) for place in kept)

    assert mistakes(copy, "--png", tmp_path / "kept.png")[0] == 0
    (copy / PICTURES_FILE).unlink()
    assert mistakes(copy, "--png", tmp_path / "read.png", "--data-dir", tmp_path)[0] == 0
    assert (tmp_path / "kept.png").read_bytes() == (tmp_path / "read.png").read_bytes()


@pytest.mark.slow
@pytest.mark.parametrize("key", ["test_sha256", "data_sha256"])
def test_data_that_has_changed_is_refused_in_a_line_and_only_where_it_is_needed(run, mistakes, tmp_path, key):
    copy = shutil.copytree(run, tmp_path / "copy")
    raw = json.loads((copy / "run.json").read_text())
    raw |= {"test_sha256": None, key: "0" * 64}
    (copy / "run.json").write_text(json.dumps(raw))
    assert mistakes(copy, "--png", tmp_path / "a.png")[0] == 0
    (copy / PICTURES_FILE).unlink()
    code, _, err = mistakes(copy, "--png", tmp_path / "b.png")
    assert code == 3
    assert "is not what copy was tested on (SHA-256 000000000000 then" in err
    assert not (tmp_path / "b.png").exists()


@pytest.mark.slow
def test_a_run_that_keeps_no_predictions_keeps_no_pictures(run_tiny, tmp_path, mistakes):
    run_tiny("none", "trainer.max_epochs=1", "keep_predictions=none")
    folder = tmp_path / "outputs" / "none"
    assert not (folder / PICTURES_FILE).exists()
    code, out, err = mistakes(folder)
    assert (code, out) == (3, "")
    assert "keep_predictions=none" in err


@pytest.mark.slow
def test_two_classes_on_one_output_and_images_of_a_point_are_listed_by_number(compose, tmp_path, mistakes):
    sizes = ["data.source.train_size=120", "data.source.val_size=20", "data.source.test_size=40"]
    train(compose("task=binary", "data=circles", "model=fc", "trainer.max_epochs=1", *sizes, *PLAIN))
    folder = tmp_path / "outputs" / "run"
    assert not (folder / PICTURES_FILE).exists()
    code, out, _ = mistakes(folder)
    assert code == 0
    assert "of 40 test images misclassified" in out


@pytest.mark.parametrize("channels", [1, 2, 3, 4])
@pytest.mark.parametrize("shape", [(8, 8), (SIDE_PX, 5), (224, 224), (50, 300)])
def test_pictures_have_the_colours_of_the_image_and_a_bounded_size(channels, shape):
    image = torch.randint(0, 256, (channels, *shape), dtype=torch.uint8)
    found = small_picture(image)
    assert found.dtype == np.uint8
    assert max(found.shape[:2]) == min(max(shape), SIDE_PX)
    assert found.shape[2] == (3 if channels == 3 else 1)
    if max(shape) <= SIDE_PX and channels == 3:
        np.testing.assert_array_equal(found, image.permute(1, 2, 0).numpy())
    elif max(shape) > SIDE_PX:
        assert abs(float(found.mean()) - float(image.float().mean())) < 2  # an average of areas, not a few pixels
