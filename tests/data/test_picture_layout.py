"""Folders as people download them: which folder is taken for which split and class, and what is said of it."""

from __future__ import annotations

import itertools

import pytest
from PIL import Image

from vision_baselines.data.image_folder import ImageFolder
from vision_baselines.data.picture_layout import found_layout, split_of
from vision_baselines.data.picture_listing import list_pictures, natural_order
from vision_baselines.errors import DataError


def fill(folder, count=3, *, suffix=".png", first=0):
    folder.mkdir(parents=True, exist_ok=True)
    for index in range(first, first + count):
        Image.new("RGB", (4, 4 + index), (index, 7, 7)).save(folder / f"{index}{suffix}")


@pytest.mark.parametrize(
    ("train", "val", "test"),
    [
        ("train", "val", "test"),
        ("Train", "Valid", "Test"),
        ("TRAIN", "VALIDATION", "TEST"),
        ("training", "validation", "testing"),
        ("Training_set", "dev", "test_set"),
        ("train-set", "valid", "Testing"),
    ],
)
@pytest.mark.parametrize("around", ["", "pets", "pets/images"])
def test_splits_are_found_by_their_usual_names_at_any_level(tmp_path, train, val, test, around):
    for split, first in ((train, 0), (val, 10), (test, 20)):
        for name in ("cat", "dog"):
            fill(tmp_path / around / split / name, first=first + 5 * (name == "dog"))
    (tmp_path / "__MACOSX" / "train").mkdir(parents=True)
    (tmp_path / ".hidden").mkdir()
    listing = list_pictures(tmp_path)
    assert not listing.faults
    assert {split: len(pictures) for split, pictures in listing.pictures.items()} == {"train": 6, "val": 6, "test": 6}
    assert listing.class_names == ("cat", "dog")
    assert bool(listing.notes) == ((train, val, test, around) != ("train", "val", "test", ""))


@pytest.mark.parametrize("around", ["", "pets", "pets/pets"])
def test_classes_without_splits_are_all_train_and_that_is_said(tmp_path, around):
    for name in ("cat", "dog"):
        fill(tmp_path / "root" / around / name, 10, first=10 * (name == "dog"))
    listing = list_pictures(tmp_path / "root")
    assert len(listing.pictures["train"]) == 20
    assert "has no train folder: its 2 folders are taken for classes, all of train" in listing.notes[-1]
    splits = ImageFolder(tmp_path / "root", tmp_path / "cache", image_size=4).load()
    assert [len(split.target) for split in splits.by_name().values()] == [14, 2, 4]
    assert splits.report.cut_from == {"val": "train", "test": "train"}


def test_a_folder_around_the_classes_of_a_split_is_entered(tmp_path):
    for name in ("cat", "dog"):
        fill(tmp_path / "train" / "train" / name)
    assert found_layout(tmp_path).splits == {"train": "train/train"}


def test_two_folders_for_one_split_are_refused(tmp_path):
    for split in ("train", "val", "validation"):
        fill(tmp_path / split / "cat")
    with pytest.raises(DataError, match="holds val and validation, both for val; expected one folder a split"):
        list_pictures(tmp_path)


def test_a_test_folder_alone_is_answered_with_the_layout(tmp_path):
    fill(tmp_path / "test" / "cat")
    fill(tmp_path / "other" / "cat")
    with pytest.raises(DataError, match="holds no train folder but other, test; expected train/<class>/…"):
        list_pictures(tmp_path)


def test_pictures_in_no_class_and_linked_folders_are_said(tmp_path):
    for name in ("cat", "dog"):
        fill(tmp_path / "root" / "train" / name)
    fill(tmp_path / "root" / "train", 2)
    fill(tmp_path / "elsewhere")
    (tmp_path / "root" / "train" / "cat" / "more").symlink_to(tmp_path / "elsewhere")
    fill(tmp_path / "root" / "train" / "__MACOSX", suffix=".jpg")
    listing = list_pictures(tmp_path / "root")
    assert listing.class_names == ("cat", "dog")
    assert listing.notes == [
        "folders that are linked to from inside a class are passed over: train/cat/more",
        "pictures that lie in no class's folder are passed over (2): train/0.png, train/1.png",
    ]


@pytest.mark.parametrize("names", list(itertools.permutations(["1", "2", "10"])))
def test_numbers_in_class_names_sort_by_value(names):
    assert sorted(names, key=natural_order) == ["1", "2", "10"]


def test_names_without_numbers_sort_as_before():
    names = ["red", "Blue", "green", "b_a", "é"]
    assert sorted(names, key=natural_order) == sorted(names)


@pytest.mark.parametrize("name", ["trains", "cats", "valley", "tests2", "contest", ""])
def test_other_words_are_no_split(name):
    assert split_of(name) is None


@pytest.mark.parametrize(
    ("train", "val", "test"),
    [
        ("seg_train", "seg_val", "seg_test"),
        ("train_images", "val_images", "test_images"),
        ("Train data", "validation data", "Test data"),
        ("train2017", "val2017", "test2017"),
        ("images-training", "images-valid", "images-testing"),
    ],
)
@pytest.mark.parametrize("around", ["", "SAME"])
def test_splits_are_found_in_longer_names_where_they_hold_classes(tmp_path, train, val, test, around):
    for split, first in ((train, 0), (val, 10), (test, 20)):
        for name in ("cat", "dog"):
            fill(tmp_path / split / (split if around else "") / name, first=first + 5 * (name == "dog"))
    fill(tmp_path / "seg_pred")
    listing = list_pictures(tmp_path)
    assert not listing.faults
    assert {split: len(pictures) for split, pictures in listing.pictures.items()} == {"train": 6, "val": 6, "test": 6}
    assert listing.class_names == ("cat", "dog")
    assert "for train, " in listing.notes[0]


@pytest.mark.parametrize("names", [("train_images", "test_images"), ("seg_train", "seg_test", "seg_val")])
def test_splits_that_hold_no_classes_are_not_learned_apart_as_classes(tmp_path, names):
    for name in names:
        fill(tmp_path / name, 10)
    with pytest.raises(DataError, match=r"which are called as splits and hold no folders of classes; expected train/"):
        list_pictures(tmp_path)


@pytest.mark.parametrize("names", [("steam train", "bus"), ("test tube", "flask"), ("bus", "steam train", "test bus")])
def test_classes_with_such_a_word_in_their_names_stay_classes(tmp_path, names):
    for name in names:
        fill(tmp_path / name, 10)
    assert list_pictures(tmp_path).class_names == tuple(sorted(names))
