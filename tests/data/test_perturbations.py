"""Augmentation: a draw of its own for each image, at each place in training, and nothing that has to be saved."""

from __future__ import annotations

import pytest
import torch

from vision_baselines.data.perturbations import Augment, rotated, shifted
from vision_baselines.errors import ConfigError
from vision_baselines.seeding import generator


@pytest.fixture
def images():
    return torch.randint(1, 256, (16, 2, 7, 9), dtype=torch.uint8, generator=generator(0, "test"))


def test_a_shift_moves_whole_pixels_and_brings_in_black(images):
    moved = shifted(images, down=torch.full((16,), 2), right=torch.full((16,), -1))

    assert torch.equal(moved[:, :, 2:, :-1], images[:, :, :-2, 1:])
    assert not moved[:, :, :2].any()
    assert not moved[:, :, :, -1].any()
    assert moved.dtype == torch.uint8


def test_each_image_is_shifted_by_its_own_draw(images):
    down, right = torch.arange(16) % 5 - 2, torch.arange(16) % 3 - 1
    together = shifted(images, down=down, right=right)
    alone = [shifted(images[i : i + 1], down=down[i : i + 1], right=right[i : i + 1]) for i in range(16)]

    assert torch.equal(together, torch.cat(alone))


def test_no_turn_is_the_image_and_a_quarter_turn_is_rot90():
    square = torch.rand(3, 1, 8, 8, generator=generator(1, "test"))

    torch.testing.assert_close(rotated(square, torch.zeros(3)), square)
    torch.testing.assert_close(rotated(square, torch.full((3,), 90.0)), square.rot90(1, (2, 3)), atol=1e-5, rtol=0)


def test_half_a_turn_of_an_oblong_image_is_both_flips():
    oblong = torch.rand(2, 1, 6, 10, generator=generator(2, "test"))

    torch.testing.assert_close(rotated(oblong, torch.full((2,), 180.0)), oblong.flip(2, 3), atol=1e-4, rtol=0)


def test_a_flip_of_probability_one_mirrors_every_image_and_of_a_half_some(images):
    assert torch.equal(Augment(flip=1.0)(images, generator(0)), images.flip(-1))
    half = Augment(flip=0.5)(images, generator(0))
    mirrored = [torch.equal(one, other.flip(-1)) for one, other in zip(half, images, strict=True)]
    assert 0 < sum(mirrored) < 16


def test_the_draw_depends_on_the_generator_alone(images):
    augment = Augment(shift_px=2, flip=0.5, rotation_deg=15)
    torch.manual_seed(1)
    first = augment(images, generator(0, "augment", 3, 7, 0))
    torch.manual_seed(2)

    assert torch.equal(first, augment(images, generator(0, "augment", 3, 7, 0)))
    assert not torch.equal(first, augment(images, generator(0, "augment", 3, 8, 0)))


@pytest.mark.slow
@pytest.mark.ci
def test_training_batches_are_changed_and_test_batches_are_not(train_tiny, tmp_path):
    plain = train_tiny(tmp_path / "plain")
    shifted_run = train_tiny(tmp_path / "shifted", "augment=shift")

    assert plain.final_weights_sha256 != shifted_run.final_weights_sha256
    assert plain.data_sha256 == shifted_run.data_sha256


@pytest.mark.slow
@pytest.mark.ci
def test_a_loading_process_changes_no_augmented_batch(train_tiny, tmp_path):
    one = train_tiny(tmp_path / "one", "augment=shift")
    other = train_tiny(tmp_path / "other", "augment=shift", "data.num_workers=1")
    assert one.final_weights_sha256 == other.final_weights_sha256


@pytest.mark.parametrize("options", [{"shift_px": -1}, {"flip": 1.5}, {"rotation_deg": -3}])
def test_what_is_out_of_range_is_refused_with_its_key(options):
    with pytest.raises(ConfigError, match=f"augment.{next(iter(options))} is"):
        Augment(**options)
