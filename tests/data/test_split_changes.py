"""Classes that are kept, fractions of train and permuted pixels: what changes, and above all what does not."""

from __future__ import annotations

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from vision_baselines.data.datamodule import ImageDataModule
from vision_baselines.data.sources import Digits, Noise, Split, Splits
from vision_baselines.data.split_changes import (
    balanced_order,
    only_classes,
    part_of_train,
    pixel_permutation,
    with_permuted_pixels,
)
from vision_baselines.errors import ConfigError
from vision_baselines.seeding import generator

NAMES = ("cat", "dog", "emu", "fox")


@pytest.fixture
def splits():
    """Pictures of 3×4×5, numbered in their first pixel, of four classes of 40, 20, 10 and 10 in train."""
    draws = generator(0, "test")

    def split(target):
        images = torch.randint(0, 256, (len(target), 3, 4, 5), dtype=torch.uint8, generator=draws)
        images[:, 0, 0, 0] = torch.arange(len(target), dtype=torch.uint8)
        return Split(images, target[torch.randperm(len(target), generator=draws)])

    few = torch.arange(12) % 4
    return Splits(split(torch.tensor([0, 0, 0, 0, 1, 1, 2, 3]).repeat(10)), split(few), split(few), NAMES)


def parts(splits):
    return (splits.train, splits.val, splits.test)


def kept_images(splits):
    return splits.train.images[:, 0, 0, 0].tolist()


@pytest.mark.parametrize(
    "change",
    [
        lambda splits: only_classes(splits, ["dog", "fox"]),
        lambda splits: part_of_train(splits, 0.3),
        lambda splits: with_permuted_pixels(only_classes(part_of_train(splits, 0.5), [3, 0])),
    ],
)
def test_an_image_keeps_its_place_in_the_source_whatever_is_kept(splits, change):
    for before, after in zip(parts(splits), parts(change(splits)), strict=True):
        for image, place in zip(after.images, after.places(), strict=True):
            assert torch.equal(image.sort().values.sum(), before.images[place].sort().values.sum())
            assert image.unique().equal(before.images[place].unique())


def test_a_pixel_permutation_holds_every_place_once_and_moves_most():
    order = pixel_permutation(28, 28)
    assert order.sort().values.tolist() == list(range(784))
    assert (order == torch.arange(784)).sum() < 10


def test_the_pixel_permutation_is_the_same_for_good():
    # Shuffled once and written down: figures on permuted pixels stand on it.
    assert pixel_permutation(2, 4).tolist() == [0, 1, 6, 4, 7, 5, 2, 3]


def test_every_image_of_every_split_is_permuted_alike_and_all_channels_together(splits):
    permuted = with_permuted_pixels(splits)
    order = pixel_permutation(4, 5).tolist()
    for before, after in zip(parts(splits), parts(permuted), strict=True):
        assert torch.equal(after.target, before.target)
        for new, old in enumerate(order):
            assert torch.equal(after.images[:, :, new // 5, new % 5], before.images[:, :, old // 5, old % 5])


def test_the_inverse_permutation_restores_the_images(splits):
    inverse = pixel_permutation(4, 5).argsort()
    for before, after in zip(parts(splits), parts(with_permuted_pixels(splits)), strict=True):
        assert torch.equal(after.images.flatten(2)[:, :, inverse].view_as(before.images), before.images)


def test_smaller_fractions_lie_inside_larger_ones(splits):
    inner: set[int] = set()
    for fraction in (0.1, 0.15, 0.3, 0.5, 0.75, 1.0):
        outer = set(kept_images(part_of_train(splits, fraction)))
        assert inner < outer
        assert len(outer) == round(fraction * 80)
        inner = outer


def test_a_fraction_has_of_each_class_its_share(splits):
    assert torch.bincount(part_of_train(splits, 0.5).train.target).tolist() == [20, 10, 5, 5]
    assert torch.bincount(part_of_train(splits, 0.1).train.target).tolist() == [4, 2, 1, 1]


@given(labels=st.lists(st.integers(0, 4), min_size=1, max_size=60), seed=st.integers(0, 2**32 - 1))
def test_every_beginning_of_a_balanced_order_has_each_class_by_its_share_and_at_least_one(labels, seed):
    target = torch.tensor(labels)
    order = balanced_order(target, seed=seed)
    assert order.sort().values.tolist() == list(range(len(labels)))
    totals = {label: labels.count(label) for label in set(labels)}
    so_far = dict.fromkeys(totals, 0)
    for size, label in enumerate(target[order].tolist(), start=1):
        so_far[label] += 1
        assert size < len(totals) or min(so_far.values()) >= 1
        # each is the same share rounded, so no two can be further apart than half an image of each
        shares = [(so_far[name] / totals[name], 0.5 / totals[name]) for name in totals if so_far[name] > 1]
        assert (
            max((s - half for s, half in shares), default=0) <= min((s + half for s, half in shares), default=1) + 1e-9
        )


def test_a_fraction_leaves_val_and_test_and_the_order_of_train_alone(splits):
    part = part_of_train(splits, 0.3)
    assert part.val is splits.val
    assert part.test is splits.test
    assert kept_images(part) == sorted(kept_images(part))
    for number, image, label in zip(kept_images(part), part.train.images, part.train.target, strict=True):
        assert torch.equal(image, splits.train.images[number])
        assert label == splits.train.target[number]


def test_another_split_seed_keeps_other_images(splits):
    assert kept_images(part_of_train(splits, 0.3, seed=1)) != kept_images(part_of_train(splits, 0.3, seed=2))


def test_a_fraction_of_fewer_images_than_classes_is_refused(splits):
    assert torch.bincount(part_of_train(splits, 0.05).train.target).tolist() == [1, 1, 1, 1]
    with pytest.raises(
        ConfigError, match=r"data\.train_fraction is 0\.03, which is 2 of 80 images; .* one of each of the 4 classes"
    ):
        part_of_train(splits, 0.03)


def test_kept_classes_are_renumbered_in_the_order_given_in_every_split(splits):
    kept = only_classes(splits, [3, 0])
    assert kept.class_names == ("fox", "cat")
    for before, after in zip(parts(splits), parts(kept), strict=True):
        chosen = [i for i, label in enumerate(before.target.tolist()) if label in (3, 0)]
        assert torch.equal(after.images, before.images[chosen])
        assert after.target.tolist() == [(3, 0).index(before.target[i]) for i in chosen]


def test_classes_can_be_named(splits):
    assert only_classes(splits, ["fox", "cat"]).sha256 == only_classes(splits, [3, 0]).sha256


@pytest.mark.parametrize(
    ("classes", "message"),
    [
        ([0, 4], r"data\.classes has 4; expected labels from 0 to 3, or names among cat, dog, emu, fox"),
        ([0, -1], r"data\.classes has -1"),
        ([0, True], r"data\.classes has True"),
        (["cat", "cow"], r"data\.classes has 'cow'"),
        ([1], r"data\.classes is \[1\]; expected two or more classes, each once"),
        ([], r"data\.classes is \[\]"),
        ([1, 2, 1], r"data\.classes is \[1, 2, 1\]"),
        (3, r"data\.classes is 3; expected a list"),
        ("cat", r"data\.classes is 'cat'; expected a list"),
    ],
)
def test_classes_that_cannot_be_kept_are_refused_with_what_there_is(splits, classes, message):
    with pytest.raises(ConfigError, match=message):
        only_classes(splits, classes)


def digits(**options):
    facts = {"image_shape": [1, 16, 16], "num_classes": 10, "mean": [0.3046], "std": [0.318], "batch_size": 8}
    data = ImageDataModule(Digits(), **{**facts, **options})
    data.setup()
    return data


def test_with_nothing_asked_for_the_data_is_the_sources_own():
    assert digits().splits.sha256 == Digits().load().sha256


def test_the_data_module_makes_all_three_changes_and_its_checksum_tells():
    changed = digits(permute_pixels=True, train_fraction=0.5, classes=[7, 1], num_classes=2).splits
    by_hand = with_permuted_pixels(part_of_train(only_classes(Digits().load(), [7, 1]), 0.5))
    assert changed.sha256 == by_hand.sha256
    assert changed.class_names == ("7", "1")
    alone = [{"permute_pixels": True}, {"train_fraction": 0.5}, {"classes": [7, 1], "num_classes": 2}]
    assert len({digits(**options).splits.sha256 for options in [*alone, {}]}) == 4


def test_no_change_depends_on_the_seed_of_the_run():
    options = {"permute_pixels": True, "train_fraction": 0.5}
    assert digits(seed=1, **options).splits.sha256 == digits(seed=2, **options).splits.sha256


def test_a_number_of_classes_that_is_not_that_of_the_kept_ones_is_refused():
    with pytest.raises(ConfigError, match=r"^data\.num_classes is 10; data\.classes keeps 3 classes$"):
        digits(classes=[0, 1, 2])


def test_a_batch_larger_than_the_fraction_is_refused_with_what_is_left():
    with pytest.raises(ConfigError, match=r"data\.batch_size is 64; the training split has only 63 images"):
        digits(train_fraction=0.05, batch_size=64)


@pytest.mark.parametrize("fraction", [0, -0.1, 1.01, float("nan")])
def test_a_fraction_out_of_range_is_refused_by_name(fraction):
    with pytest.raises(ConfigError, match=r"data\.train_fraction is .*; expected above 0 and at most 1"):
        digits(train_fraction=fraction)


def test_permuting_is_a_matter_of_true_or_false():
    with pytest.raises(ConfigError, match=r"data\.permute_pixels is 'maybe'; expected true or false"):
        digits(permute_pixels="maybe")


@pytest.mark.slow
@pytest.mark.ci
def test_a_run_on_changed_data_leaves_a_record_that_tells(train_tiny, tmp_path):
    plain = train_tiny(tmp_path / "plain", "trainer.max_epochs=1")
    changes = {
        "permuted": ["data.permute_pixels=true"],
        "fewer": ["data.train_fraction=0.5"],
        "three": ["data.classes=[4,2,0]", "data.num_classes=3"],
    }
    records = {n: train_tiny(tmp_path / n, "trainer.max_epochs=1", *words) for n, words in changes.items()}
    assert records["three"].class_names == ["4", "2", "0"]
    assert len(records["three"].confusion) == 3
    assert len({plain.data_sha256, *(record.data_sha256 for record in records.values())}) == 4
    tiny = Noise(train_size=60, val_size=12, test_size=20, image_shape=(1, 8, 8)).load()
    assert records["fewer"].data_sha256 == part_of_train(tiny, 0.5).sha256
    assert plain.data_sha256 == tiny.sha256
