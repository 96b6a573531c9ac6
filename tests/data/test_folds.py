"""`data.folds` and `data.split_seed`: every image in one fold, each class by its share, by the split seed alone."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.data.test_no_validation import GREY, LABELS, csv, idx, module, npz, pictures, rows

from vision_baselines.config.checks import checked_config
from vision_baselines.data.datamodule import ImageDataModule
from vision_baselines.data.folds import check_folds, fold_numbers
from vision_baselines.data.sources import Digits, Noise
from vision_baselines.data.split_changes import held_out_fold
from vision_baselines.data.splits import Split, Splits
from vision_baselines.errors import ConfigError, DataError
from vision_baselines.runs.fingerprint import fingerprint

LABELLINGS = st.lists(st.integers(2, 40), min_size=1, max_size=6)  # images of each class
NOISE = {"train_size": 60, "val_size": 7, "test_size": 23, "image_shape": (1, 8, 8), "num_classes": 3}
FACTS = {"image_shape": (1, 8, 8), "num_classes": 3, "mean": [0.5], "std": [0.1], "batch_size": 2}


def noise(**options):
    data = ImageDataModule(Noise(**NOISE), **{**FACTS, **options})
    data.setup()
    return data.splits


@given(LABELLINGS, st.integers(2, 9), st.integers(0, 2**32 - 1), st.randoms(use_true_random=False))
@settings(max_examples=50)
def test_folds_share_out_all_images_and_each_class_to_within_one(sizes, folds, seed, random):
    labels = [label for label, size in enumerate(sizes) for _ in range(size)]
    random.shuffle(labels)
    target = np.array(labels)
    if folds > min(sizes):
        with pytest.raises(ConfigError, match=rf"^data\.folds is {folds}, and .* only {min(sizes)} image"):
            fold_numbers(target, folds, seed=seed)
        return
    numbers = fold_numbers(target, folds, seed=seed)
    assert set(numbers) == set(range(folds))
    for members in (numbers, *(numbers[target == label] for label in range(len(sizes)))):
        counts = np.bincount(members, minlength=folds)
        assert counts.max() - counts.min() <= 1
    assert np.array_equal(numbers, fold_numbers(target, folds, seed=seed))


@given(st.integers(2, 50), st.integers(2, 9))
def test_targets_that_are_numbers_are_shared_out_too(count, folds):
    target = np.linspace(0, 1, 2 * count, dtype=np.float32).reshape(count, 2)
    if folds <= count:
        sizes = np.bincount(fold_numbers(target, folds, seed=1), minlength=folds)
        assert sizes.max() - sizes.min() <= 1


def test_the_cut_is_what_it_was():
    assert fold_numbers(np.arange(12) % 2, 3, seed=20_240_101).tolist() == [0, 1, 2, 0, 1, 0, 0, 2, 2, 1, 1, 2]


@pytest.mark.parametrize("over_all", [False, True])
@pytest.mark.parametrize(
    "changes", [{}, {"classes": [2, 0], "num_classes": 2}, {"permute_pixels": True}, {"augment": None}]
)
def test_every_image_is_held_out_once_and_trained_on_otherwise(over_all, changes):
    name, over = ("test", "all") if over_all else ("val", None)
    made = [noise(folds=4, fold=fold, folds_over=over, **changes) for fold in range(4)]
    whole = noise(**changes)
    pool = (whole.train, whole.val, *([whole.test] if over_all else []))
    assert rows(*(getattr(splits, name) for splits in made)) == rows(*pool)
    for splits in made:
        everything = (splits.train, splits.val, *([splits.test] if over_all else []))
        assert rows(*everything) == rows(*pool)
        assert over_all or torch.equal(splits.test.images, whole.test.images)
        ids = [id_ for split in everything for id_ in split.ids]
        assert len(set(ids)) == len(ids)


def test_validation_beside_folds_over_all_has_the_share_that_the_source_gives_it_or_none():
    splits = noise(folds=3, fold=0, folds_over="all")
    assert (len(splits.test.target), len(splits.val.target)) == (28, round(55 * 7 / 60))
    none = noise(folds=3, fold=0, folds_over="all", val_size=0)
    assert (len(none.train.target), len(none.val.target), none.has_val) == (55, 0, False)


def test_the_runs_seed_decides_nothing_and_the_split_seed_everything():
    same = [noise(folds=3, fold=1, seed=seed).sha256 for seed in (0, 1)]
    assert same[0] == same[1]
    other = noise(folds=3, fold=1, split_seed=1)
    assert other.sha256 != same[0]
    assert other.test_sha256 == noise(folds=3, fold=1).test_sha256  # the pool and the test split stay


@pytest.mark.parametrize("over", [None, "all"])
def test_how_the_source_would_cut_validation_decides_nothing(over):
    def fold(**options):
        data = module(Digits(**options), folds=5, fold=2, folds_over=over, val_size=0 if over else None)
        data.setup()
        return data.splits

    assert fold().sha256 == fold(split_seed=7, val_size=300).sha256


def test_split_seed_without_folds_is_that_of_the_source():
    assert noise(split_seed=5).sha256 != noise().sha256
    data = ImageDataModule(Noise(**NOISE, split_seed=5), **FACTS)
    data.setup()
    assert noise(split_seed=5).sha256 == data.splits.sha256
    digits = [module(Digits(), split_seed=seed) for seed in (None, 3)]
    for data in digits:
        data.setup()
    assert digits[0].splits.test_sha256 == digits[1].splits.test_sha256
    assert digits[0].splits.sha256 != digits[1].splits.sha256


class Own:
    def prepare(self):
        pass

    def load(self):
        return Noise(**NOISE).load()


def test_a_source_that_cuts_by_no_seed_refuses_a_split_seed_and_can_have_folds():
    with pytest.raises(ConfigError, match=r"^data\.split_seed is 7; Own cuts nothing by a split_seed of its own"):
        ImageDataModule(Own(), **FACTS, split_seed=7)
    data = ImageDataModule(Own(), **FACTS, split_seed=7, folds=3, fold=0)
    data.setup()
    assert len(data.splits.val.target) == 20


@pytest.mark.slow
@pytest.mark.parametrize("make", [npz, csv, idx, pictures, lambda folder: pictures(folder, "test")])
@pytest.mark.parametrize("over", [None, "all"])
def test_folds_of_every_kind_of_source(tmp_path, make, over):
    source = make(tmp_path)
    whole = source.load()
    data = [module(source, folds=3, fold=fold, folds_over=over) for fold in range(3)]
    for made in data:
        made.setup()
    pool = (whole.train, whole.val, *([whole.test] if over else []))
    assert rows(*(made.splits.test if over else made.splits.val for made in data)) == rows(*pool)
    assert "fold 1 of 3 (from 0)" in data[1].facts()["notes"][-1]


def test_a_validation_split_that_came_with_the_data_is_no_part_of_train(tmp_path):
    data = module(npz(tmp_path, x_val=GREY[:10], y_val=LABELS[:10]), folds=3, fold=0)
    with pytest.raises(DataError, match=r"^data\.folds is 3; the validation split of this data set \(10 images\)"):
        data.setup()


def test_copies_are_counted_between_a_fold_and_the_rest():
    images = torch.arange(8, dtype=torch.uint8).view(8, 1, 1, 1).repeat(2, 1, 1, 1)
    data = noise(folds=3, fold=0)
    twice = Split(images, torch.zeros(16, dtype=torch.int64))
    splits = Splits(twice, data.val.subset(torch.arange(0)), twice, ("a",), data.report, has_val=False)
    assert held_out_fold(splits, 2, 0, over_all=True, seed=0).report.duplicates is None


REFUSED = [
    ({"folds": 5}, r"^data\.fold is None; expected 0 to 4, or all of them: -m data\.fold=0,1,2,3,4$"),
    ({"folds": 20}, r"^data\.fold is None; expected 0 to 19, or all of them: -m data\.fold=0,1,…,19$"),
    ({"folds": 5, "fold": 5}, r"^data\.fold is 5; expected 0 to 4"),
    ({"folds": 5, "fold": -1}, r"^data\.fold is -1; expected 0 to 4"),
    ({"folds": 5, "fold": True}, r"^data\.fold is True; expected 0 to 4"),
    ({"folds": 1, "fold": 0}, r"^data\.folds is 1; expected a whole number of at least 2"),
    ({"folds": "half", "fold": 0}, r"^data\.folds is 'half'; expected a whole number"),
    ({"fold": 0}, r"^data\.fold is 0, and data\.folds is null"),
    ({"folds_over": "all"}, r"^data\.folds_over is 'all', and data\.folds is null"),
    ({"folds": 5, "fold": 0, "folds_over": "test"}, r"^data\.folds_over is 'test'; expected all, or null"),
    ({"folds": 5, "fold": 0, "val_size": 0}, r"^data\.val_size is 0 beside data\.folds"),
    ({"folds": 5, "fold": 0, "on_duplicate": "drop"}, r"^data\.source\.on_duplicate is 'drop', which looks at"),
    ({"split_seed": -1}, r"^data\.split_seed is -1; expected a whole number from 0"),
    ({"split_seed": "many"}, r"^data\.split_seed is 'many'; expected a whole number"),
]
OPTIONS = dict.fromkeys(("folds", "fold", "folds_over", "split_seed", "val_size", "on_duplicate"))


@pytest.mark.parametrize(("options", "message"), REFUSED)
def test_what_is_no_cross_validation_is_refused(options, message):
    with pytest.raises(ConfigError, match=message):
        check_folds(**{**OPTIONS, **options})


@pytest.mark.few(2)
@pytest.mark.parametrize(
    ("words", "message"),
    [
        (("data.fold=5",), r"^data\.fold is 5; expected 0 to 4"),
        (("comparison.fresh_seeds=3",), r"^comparison\.fresh_seeds is 3 beside data\.folds: images that choose"),
        ((), r"^checkpoint is best, which would choose the epoch on the fold"),
        (("checkpoint=last", "scheduler=plateau"), r"^scheduler=plateau follows val/loss, which data\.folds holds out"),
        (
            ("data=image_folder", "data.source.root=nowhere", "data.source.on_duplicate=drop"),
            r"^data\.source\.on_duplicate is 'drop'",
        ),
        *(
            (
                ("checkpoint=last", "trainer.max_epochs=3", *words),
                rf"^{said} beside data\.folds, whose fold is measured",
            )
            for words, said in (
                (("trainer.max_epochs=2.5",), r"trainer\.max_epochs is 2\.5"),
                (("+trainer.max_steps=40",), r"trainer\.max_steps is 40"),
                (("+trainer.check_val_every_n_epoch=2",), r"trainer\.check_val_every_n_epoch is 2 and .*max_epochs 3"),
                (
                    ("+trainer.check_val_every_n_epoch=null", "+trainer.val_check_interval=7"),
                    r"trainer\.check_val_.* is null and .*epochs 3",
                ),
            )
        ),
    ],
)
def test_it_is_refused_in_a_config_before_anything_is_read(compose, words, message):
    with pytest.raises(ConfigError, match=message):
        checked_config(compose("data.folds=5", "data.fold=0", *words))


@pytest.mark.parametrize(
    "words",
    [
        ("data.folds_over=all",),
        ("data.folds_over=all", "data.val_size=0", "checkpoint=last"),
        ("data.folds_over=all", "trainer.max_epochs=2.5", "checkpoint=last"),
        ("checkpoint=last", "trainer.max_epochs=4", "+trainer.check_val_every_n_epoch=2"),
    ],
)
def test_what_is_cross_validation_is_accepted(compose, words):
    checked_config(compose("data.folds=5", "data.fold=0", *words))


def test_fold_is_part_of_what_a_run_is():
    plain = {"folds": 5, "fold": 0, "folds_over": None, "split_seed": None}
    changes = ({}, {"fold": 1}, {"folds": 6}, {"split_seed": 1}, {"folds_over": "all"})
    assert len({fingerprint({"data": plain | change}) for change in changes}) == 5
    nothing = dict.fromkeys(plain)
    assert fingerprint({"data": nothing}) == fingerprint({"data": {}})  # that of a run from before there were folds


@pytest.mark.parametrize(
    ("target", "says"),
    [
        ([0, 0, 0, 1, 1], "data.folds is 3, and class 1 has only 2 images; data.folds can be at most 2"),
        ([0, 0, 0, 1], "data.folds is 3, and class 1 has only 1 image, which no folds can share; leave data.folds out"),
        ([0.5, 1.5], "data.folds is 3, and there are only 2 images; data.folds can be at most 2"),
    ],
)
def test_too_many_folds_for_the_smallest_class_are_refused_with_the_most_there_can_be(target, says):
    with pytest.raises(ConfigError) as found:
        fold_numbers(np.array(target), 3, seed=0)
    assert str(found.value) == says
