"""The sources that need no file, and the cuts that make splits."""

import gzip
import importlib.machinery
import math
import sys
from dataclasses import replace

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from sklearn.datasets import load_digits

from vision_baselines.data.integrity import tensors_sha256
from vision_baselines.data.sources import SPLIT_SEED, Circles, Digits, GaussianCircle, Noise, Source, Split, Splits
from vision_baselines.data.splits import cut_val, proportional_counts, stratified_cut
from vision_baselines.errors import ConfigError, DataError

GENERATED = [Digits(), Noise(), Circles()]


def rows(split):
    """Each image with its label as bytes, so that splits can be compared as sets."""
    return {image.numpy().tobytes() + bytes([label]) for image, label in zip(split.images, split.target, strict=True)}


def doubled_by_hand(digit):
    """Bilinear doubling in whole sixteenths, edges repeated, then 255/256 of that rounded half to even."""
    padded = np.pad(digit.astype(int), 1, mode="edge")
    wide = np.empty((16, 16))
    for y in range(16):
        for x in range(16):
            near_y, near_x = y // 2 + 1, x // 2 + 1
            far_y, far_x = near_y + (1 if y % 2 else -1), near_x + (1 if x % 2 else -1)
            sixteenths = 9 * padded[near_y, near_x] + 3 * padded[near_y, far_x]
            sixteenths += 3 * padded[far_y, near_x] + padded[far_y, far_x]
            wide[y, x] = round(sixteenths * 255 / 256)
    return wide


@pytest.mark.parametrize("source", GENERATED, ids=lambda source: type(source).__name__)
def test_every_load_yields_the_same_bits(source: Source):
    source.prepare()
    assert source.load().sha256 == source.load().sha256


@pytest.mark.parametrize("source", GENERATED, ids=lambda source: type(source).__name__)
def test_another_split_seed_cuts_another_validation_split(source):
    other = replace(source, split_seed=SPLIT_SEED + 1)
    assert rows(source.load().val) != rows(other.load().val)


@pytest.mark.parametrize(
    ("source", "digest"),
    [
        (Digits(), "b775623af5f8bd6e590b8b3c5c35c16a30e695fd6f4ff6475197106f869902c2"),
        (Noise(), "e7623772eab6a0165a861fc693dc1c653d03be24e860e89aa016d5557ce7873d"),
        (Circles(), "a01d21b813d4b86b521762ceb4ddb304225a9183761a5ff688fe21ba652844f3"),
    ],
    ids=["digits", "noise", "circles"],
)
def test_published_figures_stand_on_these_bits(source, digest):
    assert source.load().sha256 == digest


def test_digits_are_1257_train_180_val_360_test_of_16_by_16():
    splits = Digits().load()
    assert [tuple(split.images.shape) for split in (splits.train, splits.val, splits.test)] == [
        (1257, 1, 16, 16),
        (180, 1, 16, 16),
        (360, 1, 16, 16),
    ]
    assert splits.class_names == tuple("0123456789")


def test_digits_upsampling_matches_whole_number_arithmetic():
    splits = Digits().load()
    ours = torch.cat([splits.train.images, splits.val.images, splits.test.images])
    ours_by_bytes = {image.numpy().tobytes() for image in ours}
    for digit in load_digits().images[:40]:
        assert doubled_by_hand(digit).astype(np.uint8).tobytes() in ours_by_bytes


def test_digits_splits_are_stratified_and_together_the_whole_data_set():
    splits = Digits().load()
    share = [torch.bincount(split.target, minlength=10) for split in (splits.train, splits.val, splits.test)]
    assert sum(share).tolist() == np.bincount(load_digits().target).tolist()
    assert share[1].min() >= 17
    assert share[1].max() <= 19
    assert share[2].min() >= 35
    assert share[2].max() <= 37


def test_digits_test_split_is_the_same_whatever_the_split_seed_and_val_size():
    one, other = Digits().load(), Digits(split_seed=5, val_size=300).load()
    assert torch.equal(one.test.images, other.test.images)
    assert torch.equal(one.test.target, other.test.target)


def test_digits_need_no_torchvision(monkeypatch):
    monkeypatch.setitem(sys.modules, "torchvision", None)
    Digits().load()


@pytest.fixture
def digits_file(monkeypatch, tmp_path):
    """Where the file of digits is looked for: nowhere yet."""
    spec = importlib.machinery.ModuleSpec("sklearn", None, is_package=True)
    spec.submodule_search_locations = [str(tmp_path)]
    monkeypatch.setattr("importlib.util.find_spec", {"sklearn": spec}.get)
    path = tmp_path / "datasets" / "data" / "digits.csv.gz"
    path.parent.mkdir(parents=True)
    return path


def altered_digits():
    bunch = load_digits()
    bunch.target[3] = 0
    return bunch


def test_altered_digits_are_refused(digits_file):
    bunch = altered_digits()
    np.savetxt(digits_file, np.column_stack([bunch.data, bunch.target]), delimiter=",", fmt="%g")
    with pytest.raises(DataError, match="checksum mismatch: scikit-learn's digits"):
        Digits().load()


@pytest.mark.parametrize(
    "content",
    [None, b"no gzip", gzip.compress(b"1,2,3\n"), gzip.compress(b"a,b\n" * 9)[:-9]],
    ids=["absent", "no gzip", "other digits", "cut off"],  # a gzip holds the time it was made
)
def test_digits_come_from_scikit_learn_itself_where_their_file_is_not_what_it_was(digits_file, monkeypatch, content):
    if content is not None:
        digits_file.write_bytes(content)
    Digits().load()
    bunch = altered_digits()
    monkeypatch.setattr("sklearn.datasets.load_digits", lambda: bunch)
    with pytest.raises(DataError, match="checksum mismatch: scikit-learn's digits"):
        Digits().load()


def test_noise_is_4500_train_500_val_1000_test_of_the_shape_asked_for():
    splits = Noise(image_shape=[3, 8, 6], num_classes=4).load()
    assert splits.train.images.shape == (4500, 3, 8, 6)
    assert splits.val.images.shape == (500, 3, 8, 6)
    assert splits.test.images.shape == (1000, 3, 8, 6)
    assert splits.class_names == ("0", "1", "2", "3")


def test_noise_pixels_are_normal_in_256_levels():
    pixels = Noise().load().train.images.double().flatten()
    assert pixels.mean().item() == pytest.approx(128, abs=0.1)
    # rounding to whole levels adds 1/12 to the variance
    assert pixels.std().item() == pytest.approx((32**2 + 1 / 12) ** 0.5, abs=0.1)
    within_one = ((pixels - 128).abs() <= 32).double().mean().item()
    assert within_one == pytest.approx(0.6901, abs=0.002)  # erf(32.5 / 32 / sqrt(2)) of a normal variable


def test_noise_labels_are_uniform_and_know_nothing_of_the_pixels():
    splits = Noise().load()
    counts = torch.bincount(splits.train.target, minlength=10).double()
    expected = len(splits.train.target) / 10
    assert ((counts - expected) ** 2 / expected).sum() < 27.9  # chi-squared, 9 degrees, p = 0.001
    means = torch.stack([splits.train.images[splits.train.target == label].double().mean() for label in range(10)])
    assert means.std() < 1


def test_circles_labels_are_right_for_the_levels_that_are_seen():
    splits = Circles(radius=0.7).load()
    for split in (splits.train, splits.val, splits.test):
        centred = split.images.double().view(-1, 2) / 127.5 - 1
        assert torch.equal(split.target, (centred.norm(dim=1) < 0.7).long())


def test_circles_hold_no_point_twice():
    splits = Circles().load()
    points = torch.cat([split.images for split in (splits.train, splits.val, splits.test)]).view(-1, 2)
    assert len(points.unique(dim=0)) == len(points) == 3500


def test_circles_are_about_half_inside():
    splits = Circles().load()
    assert splits.train.target.double().mean().item() == pytest.approx(0.503, abs=0.03)
    assert splits.class_names == ("outside", "inside")


@pytest.mark.parametrize(
    ("make", "key"),
    [
        (lambda: Noise(train_size=0), "train_size is 0"),
        (lambda: Noise(test_size=-1), "test_size is -1"),
        (lambda: Noise(num_classes=0), "num_classes is 0"),
        (lambda: Noise(image_shape=(28, 28)), "image_shape is"),
        (lambda: Noise(val_size=0).load(), "val_size is 0"),
        (lambda: Noise(val_size=5000).load(), "val_size is 5000"),
        (lambda: Digits(val_size=1437).load(), "val_size is 1437"),
        (lambda: Circles(radius=1.5), "radius is 1.5"),
        (lambda: Circles(train_size=65_000), "at most 65,536"),
    ],
)
def test_sizes_out_of_range_are_refused_with_their_key(make, key):
    with pytest.raises(ConfigError, match=f"data.source.{key}|{key}"):
        make()


def test_a_pinned_checksum_of_generated_data_is_checked():
    pinned = Noise(sha256=None).load()
    raw = Noise()
    with pytest.raises(DataError, match="checksum mismatch: generated noise"):
        replace(raw, sha256="0" * 64).load()
    assert pinned.sha256 == raw.load().sha256


@given(
    labels=st.lists(st.integers(0, 5), min_size=2, max_size=200),
    share=st.floats(0, 1),
    seed=st.integers(0, 2**32 - 1),
    stratified=st.booleans(),
)
def test_a_cut_loses_no_sample_and_doubles_none(labels, share, seed, stratified):
    size = min(max(1, round(share * len(labels))), len(labels) - 1)
    numbered = Split(torch.arange(len(labels)).view(-1, 1, 1, 1), torch.tensor(labels))
    train, val = cut_val(numbered, size, seed=seed, stratified=stratified)
    assert len(val.target) == size
    together = torch.cat([train.images, val.images]).flatten()
    assert together.sort().values.tolist() == list(range(len(labels)))


@given(labels=st.lists(st.integers(0, 5), min_size=1, max_size=200), share=st.floats(0, 1))
def test_proportional_counts_are_within_one_of_the_exact_share(labels, share):
    target, size = torch.tensor(labels), round(share * len(labels))
    counts = proportional_counts(target, size)
    assert sum(counts) == size
    for count, members in zip(counts, torch.bincount(target).tolist(), strict=True):
        assert abs(count - members * size / len(labels)) < 1
        assert count <= members


def test_a_stratified_cut_takes_the_count_asked_of_each_class():
    target = torch.tensor([0] * 10 + [1] * 5 + [2])
    kept, held_out = stratified_cut(target, [3, 0, 1], seed=1)
    assert torch.bincount(target[held_out], minlength=3).tolist() == [3, 0, 1]
    assert len(kept) == 12


def test_the_checksum_of_splits_covers_images_labels_cuts_and_class_names():
    images = torch.zeros(4, 1, 2, 2, dtype=torch.uint8)
    split = Split(images, torch.tensor([0, 1, 0, 1]))
    whole = Splits(split, split, split, ("a", "b"))
    pixel, label = Split(images.clone(), split.target), Split(images, torch.tensor([1, 1, 0, 1]))
    pixel.images[3, 0, 1, 1] = 1
    others = [
        replace(whole, test=pixel),
        replace(whole, val=label),
        replace(whole, train=pixel),
        replace(whole, class_names=("a", "c")),
    ]
    assert len({whole.sha256, *(other.sha256 for other in others)}) == 5


def test_splits_of_different_image_shapes_are_refused():
    split = Split(torch.zeros(2, 1, 2, 2, dtype=torch.uint8), torch.tensor([0, 1]))
    wider = Split(torch.zeros(2, 1, 2, 3, dtype=torch.uint8), torch.tensor([0, 1]))
    with pytest.raises(DataError, match=r"val images have shape \(1, 2, 3\); expected \(1, 2, 2\)"):
        Splits(split, wider, split, ("a", "b"))


def test_noise_can_be_pinned_by_the_checksum_of_its_tensors():
    splits = Noise(train_size=20, val_size=5, test_size=4).load()
    order = torch.from_numpy(np.random.RandomState(SPLIT_SEED).permutation(20))
    images, target = torch.empty(20, 1, 28, 28, dtype=torch.uint8), torch.empty(20, dtype=torch.int64)
    for index, split in ((order[:5].sort().values, splits.val), (order[5:].sort().values, splits.train)):
        images[index], target[index] = split.images, split.target
    digest = tensors_sha256(torch.cat([images, splits.test.images]), torch.cat([target, splits.test.target]))
    assert Noise(train_size=20, val_size=5, test_size=4, sha256=digest).load().sha256 == splits.sha256


def test_points_of_a_gaussian_are_labelled_by_their_distance_in_whole_levels_and_none_occurs_twice():
    splits = GaussianCircle().load()
    points = torch.cat([splits.train.images, splits.val.images, splits.test.images]).double().view(-1, 2)
    target = torch.cat([splits.train.target, splits.val.target, splits.test.target])
    units = (points - 127.5) / 32
    assert torch.equal(target, (units.square().sum(dim=1) < 1.5).long())
    assert len(torch.unique(points, dim=0)) == len(points) == 2000
    assert (len(splits.train.target), len(splits.val.target), len(splits.test.target)) == (800, 200, 1000)
    assert units.mean().abs() < 0.05
    assert units.std() == pytest.approx(1, abs=0.05)
    assert target.double().mean() == pytest.approx(1 - math.exp(-0.75), abs=0.03)


def test_more_points_of_a_gaussian_than_there_are_places_is_refused():
    with pytest.raises(ConfigError, match="expected at most 4,000 together"):
        GaussianCircle(train_size=5000)
