"""Pictures made worse: what each kind does, against slow arithmetic, and that it depends on image and seed alone."""

from __future__ import annotations

import math
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import ndimage, special

from vision_baselines.data.corruptions import KINDS, STRENGTHS, blurred, corrupted, draw, square_side
from vision_baselines.errors import ConfigError
from vision_baselines.probes.corruptions import Corruptions


def images_of(count, channels, height, width, seed=0):
    drawn = torch.Generator().manual_seed(seed)
    return torch.randint(0, 256, (count, channels, height, width), dtype=torch.uint8, generator=drawn)


@pytest.mark.parametrize("sigma", [0.125, 0.5, 1.3, 4.0])
def test_a_blur_is_scipy_s_correlation_with_a_gaussian_over_pixels(sigma):
    images = images_of(2, 3, 9, 14).double()
    reach = math.ceil(4 * sigma)
    offsets = np.arange(-reach, reach + 1)
    weights = special.ndtr((offsets + 0.5) / sigma) - special.ndtr((offsets - 0.5) / sigma)
    weights /= weights.sum()
    expected = images.numpy()
    for axis in (2, 3):
        expected = ndimage.correlate1d(expected, weights, axis=axis, mode="nearest")
    np.testing.assert_allclose(blurred(images, sigma).numpy(), expected, atol=1e-9)


def test_a_wide_blur_is_scikit_image_s_as_in_imagenet_c():
    images = images_of(1, 1, 40, 40).double()
    expected = ndimage.gaussian_filter(images[0, 0].numpy(), sigma=4, mode="nearest", truncate=4)
    assert np.abs(blurred(images, 4.0)[0, 0].numpy() - expected).max() < 1.0


def test_noise_is_what_was_drawn_added_and_cut_to_eight_bits():
    images = torch.full((2, 3, 50, 60), 128, dtype=torch.uint8)
    drawn = draw("noise", images, seed=0, samples=[0, 1])
    for strength, sigma in zip(range(1, 6), (0.08, 0.12, 0.18, 0.26, 0.38), strict=True):
        made = corrupted("noise", images, strength, drawn)
        expected = np.rint(np.clip(128 + 255 * np.float32(sigma) * drawn.numpy(), 0, 255))
        assert np.abs(made.numpy().astype(int) - expected).max() <= 1
        if strength < 3:  # nothing is cut off
            assert float(made.double().std()) == pytest.approx(255 * sigma, rel=0.03)
    assert float(drawn.mean()) == pytest.approx(0, abs=0.03)


def test_contrast_is_left_by_the_share_about_each_channel_s_mean():
    images = images_of(3, 3, 6, 7)
    for strength, share in zip(range(1, 6), (0.4, 0.3, 0.2, 0.1, 0.05), strict=True):
        made = corrupted("contrast", images, strength, draw("contrast", images, seed=0, samples=range(3)))
        means = images.double().mean(dim=(2, 3), keepdim=True)
        assert float((made - (means + share * (images - means))).abs().max()) <= 0.51


@settings(max_examples=15, deadline=None, derandomize=True)
@given(
    height=st.integers(2, 20),
    width=st.integers(2, 20),
    channels=st.integers(1, 3),
    seed=st.integers(0, 2**16),
    strength=st.integers(1, STRENGTHS),
)
def test_a_square_of_one_grey_is_all_that_changes(height, width, channels, seed, strength):
    images = images_of(2, channels, height, width, seed) // 2  # no pixel is that grey
    made = corrupted("occlusion", images, strength, draw("occlusion", images, seed=seed, samples=[0, 1]))
    side = square_side((height, width), strength)
    assert 1 <= side <= min(height, width)
    for image, changed in zip(images, made, strict=True):
        there = (changed != image).all(dim=0)
        rows, columns = there.any(dim=1).nonzero().flatten(), there.any(dim=0).nonzero().flatten()
        assert there.sum() == side * side
        assert len(rows) == len(columns) == side == int(rows[-1] - rows[0]) + 1 == int(columns[-1] - columns[0]) + 1
        assert set(changed[:, there].flatten().tolist()) == {128}
        assert torch.equal(changed[:, ~there], image[:, ~there])


def test_squares_reach_every_corner():
    images = torch.zeros(400, 1, 4, 5, dtype=torch.uint8)
    made = corrupted("occlusion", images, 2, draw("occlusion", images, seed=0, samples=range(400)))
    assert bool((made > 0).any(dim=0).all())


@pytest.mark.parametrize("kind", KINDS)
def test_an_image_is_changed_alike_in_any_batch_and_otherwise_in_another_sample_or_seed(kind):
    images = images_of(1, 1, 8, 8).repeat(6, 1, 1, 1)
    together = [corrupted(kind, images, k, draw(kind, images, seed=3, samples=range(6))) for k in range(1, 6)]
    before = torch.get_rng_state()
    for sample in (0, 4):
        alone = [corrupted(kind, images[:1], k, draw(kind, images[:1], seed=3, samples=[sample])) for k in range(1, 6)]
        for one, many in zip(alone, together, strict=True):
            assert torch.equal(one[0], many[sample])
    assert torch.equal(torch.get_rng_state(), before)
    other = corrupted(kind, images, 5, draw(kind, images, seed=4, samples=range(6)))
    is_random = kind in ("noise", "occlusion")
    assert torch.equal(other, together[4]) != is_random
    assert torch.equal(together[4], together[4][:1].expand_as(together[4])) != is_random
    assert all(made.dtype == torch.uint8 for made in together)


@pytest.mark.parametrize("kind", KINDS)
def test_each_strength_is_further_from_the_picture_than_the_one_before(kind):
    for side in (8, 28, 224):
        images = images_of(4, 3, side, side, seed=side)
        drawn = draw(kind, images, seed=0, samples=range(4))
        far = [float((corrupted(kind, images, k, drawn).double() - images).square().mean()) for k in range(1, 6)]
        if (kind, side) == ("blur", 8):
            far = far[1:]  # an eighth of a pixel is nothing
        assert far == sorted(set(far))


def test_unchanged_it_is_the_test_accuracy_bit_for_bit_and_the_mean_is_of_all_others(probed):
    metrics, curves = probed[0].metrics, probed[0].curves
    assert metrics["corruptions/acc_clean"] == metrics["test/acc"]
    for kind in KINDS:
        curve = curves[f"corruptions/acc_{kind}"]
        assert curve.x == [0, 1, 2, 3, 4, 5]
        assert curve.y == [metrics["test/acc"], *(metrics[f"corruptions/acc_{kind}{k}"] for k in range(1, 6))]
    worse = [metrics[f"corruptions/acc_{kind}{k}"] for kind in KINDS for k in range(1, 6)]
    assert metrics["corruptions/acc_mean"] == pytest.approx(np.mean(worse))


def test_a_run_s_numbers_are_those_of_its_net_on_pictures_made_worse(probed, rebuilt):
    record, folder = probed
    datamodule, classifier, best = rebuilt(record, folder)
    classifier.load_state_dict(best)
    test = datamodule.splits.test
    for kind in KINDS:
        drawn = draw(kind, test.images, seed=record.seed, samples=range(len(test.target)))
        with torch.no_grad():
            logits = classifier.net(datamodule.normalize(corrupted(kind, test.images, 5, drawn)))
        expected = float((logits.argmax(1) == test.target).double().mean())
        assert record.metrics[f"corruptions/acc_{kind}5"] == pytest.approx(expected, abs=1e-6)


@pytest.mark.parametrize("kinds", ["noise", [], ["noise", "noise"], ["fog"], None, 3, [["noise"]]])
def test_other_kinds_are_refused(kinds):
    with pytest.raises(ConfigError, match=r"^probe\.corruptions\.kinds is .*; expected a list of some of noise, blur"):
        Corruptions(kinds)


@pytest.mark.parametrize(
    ("permuted", "shape", "message"),
    [
        (True, (1, 8, 8), r"has blur, occlusion, but data\.permute_pixels=true .*kinds=\[noise,contrast\]"),
        (False, (2, 1, 8), r"has blur, contrast, occlusion, but images have a side of one pixel; .*kinds=\[noise\]"),
    ],
)
def test_what_needs_neighbours_is_refused_where_there_are_none(permuted, shape, message):
    trainer = SimpleNamespace(datamodule=SimpleNamespace(permute_pixels=permuted, image_shape=shape))
    with pytest.raises(ConfigError, match=rf"^probe\.corruptions\.kinds {message}"):
        Corruptions().setup(trainer, None, "fit")
    Corruptions(["noise"]).setup(trainer, None, "fit")


@pytest.mark.slow
@pytest.mark.ci
def test_pixels_without_neighbours_are_refused_before_training(run_tiny, tmp_path):
    with pytest.raises(ConfigError, match=r"^probe\.corruptions\.kinds has blur, occlusion"):
        run_tiny("run", "probe=corruptions", "data.permute_pixels=true")
    assert not list((tmp_path / "outputs" / "run" / "checkpoints").glob("*.ckpt"))


@pytest.mark.slow
def test_a_limit_on_test_batches_holds_and_any_headline_is_measured(run_tiny):
    options = ["probe=corruptions", "probe.corruptions.kinds=[blur]", "data.eval_batch_size=3"]
    metrics = run_tiny("run", *options, "+trainer.limit_test_batches=2").metrics
    assert metrics["corruptions/acc_clean"] == metrics["test/acc"]
    assert metrics["corruptions/acc_blur5"] * 6 == pytest.approx(round(metrics["corruptions/acc_blur5"] * 6), abs=1e-5)

    record = run_tiny("loss", *options, "task.headline=loss", "task.mode=min")
    assert record.metrics["corruptions/loss_clean"] == pytest.approx(record.metrics["test/loss"], rel=1e-6)
    assert set(record.curves) == {"corruptions/loss_blur"}
