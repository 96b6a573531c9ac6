"""Damaged pictures, copies, deep pixels, labels in a table, and what of it is recorded."""

from __future__ import annotations

import os

import numpy as np
import pytest
import torch
from PIL import Image, features

from vision_baselines.data import picture_tensors
from vision_baselines.data.image_folder import ImageFolder
from vision_baselines.data.listing import estimated_bytes, found_image_size, listed_pictures, listing_sha256
from vision_baselines.data.prepared import Preparation
from vision_baselines.errors import ConfigError, DataError


def picture(seed, side=6):
    return Image.fromarray(np.random.default_rng(seed).integers(0, 256, (side, side, 3), dtype=np.uint8))


@pytest.fixture
def root(tmp_path):
    seeds = iter(range(100))
    for split, count in (("train", 6), ("val", 2), ("test", 3)):
        for name in ("cat", "dog"):
            folder = tmp_path / "pets" / split / name
            folder.mkdir(parents=True)
            for index in range(count):
                picture(next(seeds)).save(folder / f"{index}.png")
    return tmp_path / "pets"


@pytest.fixture
def source(root, tmp_path):
    return lambda **options: ImageFolder(root, tmp_path / "cache", **{"image_size": 6, **options})


def folder_config(root):
    return {"_target_": "vision_baselines.data.image_folder.ImageFolder", "root": str(root)}


def sizes(splits):
    return [len(split.target) for split in splits.by_name().values()]


def test_a_picture_knows_its_file(source):
    splits = source().load()
    assert splits.test.ids == tuple(f"test/{name}/{index}.png" for name in ("cat", "dog") for index in range(3))
    assert splits.train.subset(torch.tensor([7, 0])).ids == ("train/dog/1.png", "train/cat/0.png")


@pytest.mark.parametrize("damage", ["cut", "empty", "text"])
def test_damaged_pictures_are_left_out_on_demand_and_listed(source, root, caplog, damage):
    path = root / "train" / "cat" / "3.png"
    path.write_bytes({"cut": path.read_bytes()[:-30], "empty": b"", "text": b"no picture"}[damage])
    with pytest.raises(DataError, match=r"fix or remove \(data\.source\.on_damaged=skip leaves out damaged pictures\)"):
        source().load()
    splits = source(on_damaged="skip").load()
    assert sizes(splits) == [11, 4, 6]
    assert len(splits.report.left_out) == 1
    assert splits.report.left_out[0].startswith("train/cat/3.png: ")
    assert "train/cat/3.png" not in splits.train.ids
    assert "1 damaged pictures are left out (data.source.on_damaged=skip): train/cat/3.png" in caplog.messages[-1]


def test_what_was_decoded_beside_a_damaged_picture_is_kept(source, root, monkeypatch):
    path = root / "train" / "cat" / "3.png"
    whole = path.read_bytes()
    path.write_bytes(whole[:-30])
    with pytest.raises(DataError, match=r"train/cat/3\.png"):
        source().prepare()
    path.write_bytes(whole)
    calls = []
    plain = picture_tensors.decoded
    monkeypatch.setattr(picture_tensors, "decoded", lambda path, **o: calls.append(path.name) or plain(path, **o))
    splits = source().load()
    assert calls == ["3.png"]
    assert splits.sha256 == ImageFolder(root, root.parent / "fresh", image_size=6).load().sha256


def test_folders_exchanged_with_files_of_equal_size_and_time_are_not_taken_from_the_cache(source, root):
    for name in ("cat", "dog"):
        for index in range(6):
            path = root / "train" / name / f"{index}.png"
            flat = Image.new("RGB", (6, 6), (10 + index, 200 if name == "cat" else 100, 0))
            flat.save(path, format="BMP")
            path.rename(path.with_suffix(".bmp"))
            os.utime(path.with_suffix(".bmp"), ns=(1, 1))
    before = source().load()
    listing = listing_sha256(folder_config(root))
    (root / "train" / "cat").rename(root / "train" / "x")
    (root / "train" / "dog").rename(root / "train" / "cat")
    (root / "train" / "x").rename(root / "train" / "dog")
    after = source().load()
    assert listing_sha256(folder_config(root)) != listing
    assert before.train.images[0, 1, 0, 0] == 200
    assert after.train.images[0, 1, 0, 0] == 100


def copies(root):
    (root / "test" / "cat" / "copy.png").write_bytes((root / "train" / "cat" / "0.png").read_bytes())
    (root / "train" / "dog" / "both.png").write_bytes((root / "train" / "cat" / "1.png").read_bytes())


def test_copies_between_splits_and_classes_are_counted_and_named(source, root, caplog):
    copies(root)
    splits = source().load()
    assert splits.report.duplicates == {"train and test": 1, "two classes": 1}
    assert caplog.messages == [
        "1 picture is in train and test: train/cat/0.png = test/cat/copy.png",
        "1 picture is in two classes: train/cat/1.png = train/dog/both.png",
    ]
    assert sizes(splits) == [13, 4, 7]


def test_copies_are_refused_or_dropped_from_train_on_demand(source, root):
    copies(root)
    with pytest.raises(DataError, match=r"2 faults .*on_duplicate=drop or warn:\n  1 picture is in train and test"):
        source(on_duplicate="refuse").load()
    splits = source(on_duplicate="drop").load()
    assert sizes(splits) == [10, 4, 7]
    assert splits.report.duplicates["dropped from train"] == 3
    assert not {"train/cat/0.png", "train/cat/1.png", "train/dog/both.png"} & set(splits.train.ids)


@pytest.mark.parametrize(("key", "value"), [("on_damaged", "drop"), ("on_duplicate", "skip"), ("pixel_max", 0)])
@pytest.mark.parametrize("crop", [True])
def test_other_words_are_refused(source, key, value, crop):
    with pytest.raises(ConfigError, match=rf"data\.source\.{key} is {value!r}; expected"):
        source(**{key: value}, crop=crop)


@pytest.mark.parametrize("bits", [8, 10, 12, 14, 16])
def test_pixels_of_fewer_bits_in_16_bit_files_reach_white(tmp_path, bits):
    white = 2**bits - 1
    for name in ("cat", "dog"):
        (tmp_path / "train" / name).mkdir(parents=True)
        for index in range(10):
            values = np.full((4, 4), white * (index + 1) // 10, dtype=np.uint16)
            Image.fromarray(values).save(tmp_path / "train" / name / f"{index}.png")
    # the cat's dark pictures are read before the brightest one of all is known
    source = ImageFolder(tmp_path, tmp_path / ".cache", image_size=4, channels=1)
    for _ in range(2):  # decoded, then from the cache
        splits = source.load()
        values = sorted({int(v) for split in splits.by_name().values() for v in split.images[:, 0, 0, 0]})
        assert values[-1] == 255
        assert abs(values[4] - 127) <= 1
        assert splits.report.pixel_max == white
    stated = ImageFolder(tmp_path, tmp_path / ".cache", image_size=4, channels=1, pixel_max=65_535).load()
    assert int(stated.test.images.max()) <= 2 ** min(bits, 8) - 1 or bits == 16 or int(stated.test.images.max()) < 64


@pytest.mark.parametrize("suffix", [".jfif", ".jpe", ".JPG", ".jpeg"])
def test_jpegs_of_any_extension_are_read(root, source, suffix):
    picture(777).save(root / "train" / "cat" / f"more{suffix}", format="JPEG")
    assert sizes(source().load())[0] == 13


@pytest.mark.skipif(not features.check("avif"), reason="this Pillow knows no AVIF")
@pytest.mark.parametrize("suffix", [".avif", ".jpg"])
def test_avif_is_read_whatever_it_is_called(root, source, suffix):
    picture(778).save(root / "train" / "cat" / f"more{suffix}", format="AVIF")
    assert sizes(source().load())[0] == 13


def test_the_image_size_can_be_found(root, source):
    picture(779, side=500).save(root / "train" / "cat" / "large.png")
    assert found_image_size(root, listed_pictures(folder_config(root))) == 6
    assert source(image_size="auto").load().train.images.shape[2:] == (6, 6)


def test_tensors_too_large_to_hold_are_mapped_from_a_file(source, root, monkeypatch, caplog):
    held = source().load()
    monkeypatch.setattr(picture_tensors, "physical_bytes", lambda: 1_000)
    mapped = ImageFolder(root, root.parent / "mapped", image_size=6).load()
    assert "GB of memory: they are read from a file in" in caplog.messages[0]
    assert mapped.sha256 == held.sha256
    assert [path.suffix for path in (root.parent / "mapped").iterdir() if path.suffix != ".lock"] == [".pt"]


@pytest.mark.parametrize("header", ["id,breed", "filename,label", "Image Name;Class", "path\tcategory"])
@pytest.mark.parametrize("form", ["stem", "name", "path"])
def test_labels_are_taken_from_a_table(tmp_path, header, form):
    delimiter = next(mark for mark in ",;\t" if mark in header)
    rows = [header]
    (tmp_path / "images").mkdir()
    for index in range(20):
        path = tmp_path / "images" / f"{index}.png"
        picture(index).save(path)
        shown = {"stem": path.stem, "name": path.name, "path": f"images/{path.name}"}[form]
        rows.append(delimiter.join([shown, str(9 + index % 2)]))
    picture(99).save(tmp_path / "images" / "unnamed.png")
    (tmp_path / "labels.csv").write_text("\ufeff" + "\n".join(rows), encoding="utf-8")
    splits = ImageFolder(tmp_path, tmp_path / ".cache", image_size=6, labels="labels.csv").load()
    assert splits.class_names == ("9", "10")
    assert sizes(splits) == [14, 2, 4]
    expected = {f"images/{index}.png": index % 2 for index in range(20)}
    found = {
        name: int(label)
        for split in splits.by_name().values()
        for name, label in zip(split.ids, split.target, strict=True)
    }
    assert found == expected
    assert splits.report.notes == ("1 pictures that labels.csv does not name are left out: images/unnamed.png",)


def test_a_table_can_state_the_splits(tmp_path):
    rows = ["file,kind,split"]
    for index in range(12):
        picture(index).save(tmp_path / f"{index}.png")
        rows.append(f"{index}.png,{'ab'[index % 2]},{['Train', 'Valid', 'test'][index // 4]}")
    (tmp_path / "t.csv").write_text("\n".join(rows))
    source = ImageFolder(tmp_path, tmp_path / ".cache", image_size=6, labels="t.csv", label_column="kind")
    assert sizes(source.load()) == [4, 4, 4]


@pytest.mark.parametrize(
    ("table", "message"),
    [
        (None, "there is no file .*t.csv; expected a table"),
        ("", r"has the columns none; name that of the pictures with data\.source\.file_column=…"),
        ("file,kind\n0.png,a", r"has the columns file, kind; name that of the classes with data\.source\.label_column"),
        ("file,label\n0.png,a\n1.png,a", "names 1 classes; expected two or more"),
        ("file,label\n0.png,a\n7.png,b", "t.csv: 7.png: no such picture"),
        ("file,label\n0.png,a\n1.png,", "has no picture or no class in row 3"),
        ("file,label\n0.png,a\n0.png,b\n1.png,b", "t.csv: 0.png: two rows of two classes"),
        (b"file,label\n\xff\xfe,a", "cannot read .*t.csv"),
    ],
)
def test_a_table_that_cannot_be_used_is_answered_in_a_line(tmp_path, table, message):
    for index in range(2):
        picture(index).save(tmp_path / f"{index}.png")
    if table is not None:
        (tmp_path / "t.csv").write_bytes(table if isinstance(table, bytes) else table.encode())
    with pytest.raises(DataError, match=message):
        ImageFolder(tmp_path, tmp_path / ".cache", image_size=6, labels="t.csv").load()


@pytest.mark.parametrize(
    ("changes", "expected"),
    [
        ({}, 2 * 22 * 3 * 8 * 8),
        ({"source": {"_target_": "x.Mnist"}, "image_shape": [1, 28, 28]}, 2 * 70_000 * 28 * 28),
        ({"source": {"_target_": "x.Noise", "train_size": 3, "test_size": 2}}, 2 * 5 * 3 * 8 * 8),
        ({"source": {"_target_": "x.Own"}}, None),
        ({"image_shape": "auto"}, None),
        ({"source": None}, None),
    ],
)
def test_the_memory_that_a_run_needs_is_estimated_without_reading_pictures(root, changes, expected):
    assert estimated_bytes({"source": folder_config(root), "image_shape": [3, 8, 8], **changes}) == expected


def test_listing_needs_no_torch(python):
    modules = ", ".join(f"vision_baselines.data.{name}" for name in ("listing", "memory"))
    code = f"import sys, {modules}; raise SystemExit('torch' in sys.modules)"
    assert python("-c", code).returncode == 0


def test_deep_pictures_are_predicted_as_they_were_trained(tmp_path):
    Image.fromarray(np.full((4, 4), 4_095, dtype=np.uint16)).save(tmp_path / "a.png")
    as_trained = Preparation(1, (4, 4), pixel_max=4_095)
    assert int(as_trained.of_file(tmp_path / "a.png").min()) == 255
    assert int(Preparation(1, (4, 4)).of_file(tmp_path / "a.png").max()) == 16
