"""Arrays and tables of pixels become splits whatever their layout, and what cannot be used is answered in a line."""

from __future__ import annotations

import io
import zipfile

import numpy as np
import pytest
import torch

from vision_baselines.config.checks import checked_config
from vision_baselines.data import arrays
from vision_baselines.data.arrays import Npz, as_images
from vision_baselines.data.csv_pixels import CsvPixels
from vision_baselines.data.listing import listing_sha256
from vision_baselines.errors import ConfigError, DataError

DRAWS = np.random.default_rng(0)
GREY = DRAWS.integers(0, 256, (40, 4, 4), dtype=np.uint8)
LABELS = np.arange(40) % 4


def npz(path, **contents):
    np.savez(path, **contents)
    return path


def keras(path, **changes):
    return npz(path, **{"x_train": GREY, "y_train": LABELS, "x_test": GREY[:8], "y_test": LABELS[:8], **changes})


def sizes(splits):
    return [len(split.target) for split in splits.by_name().values()]


def test_a_file_as_keras_has_it_is_read(tmp_path):
    splits = Npz(keras(tmp_path / "a.npz")).load()
    assert sizes(splits) == [36, 4, 8]
    assert splits.class_names == ("0", "1", "2", "3")
    assert splits.report.cut_from == {"val": "train"}
    assert torch.equal(splits.test.images[:, 0], torch.from_numpy(GREY[:8]))
    assert torch.equal(splits.train.images[0, 0], torch.from_numpy(GREY[int(splits.train.ids[0].split()[1])]))


def test_without_test_arrays_test_is_cut_from_train_and_said(tmp_path):
    splits = Npz(npz(tmp_path / "a.npz", images=GREY, labels=LABELS), x_train="images", y_train="labels").load()
    assert sizes(splits) == [28, 4, 8]
    assert splits.report.cut_from == {"val": "train", "test": "train"}
    assert "has no test images: 8 of train are held out as the test split" in splits.report.notes[0]


@pytest.mark.parametrize(
    "layout",
    [
        lambda x: x,
        lambda x: x[..., None],
        lambda x: x[:, None],
        lambda x: x.astype(np.float32),
        lambda x: (x / 255).astype(np.float64),
        lambda x: (x / 255).astype(np.float32)[..., None],
        lambda x: x.astype(np.int64),
        lambda x: np.asfortranarray(x),
    ],
)
def test_images_of_any_layout_are_the_same_images(layout):
    assert torch.equal(as_images(layout(GREY), "x")[:, 0], torch.from_numpy(GREY))


def test_channels_are_found_wherever_they_stand():
    rgb = DRAWS.integers(0, 256, (5, 6, 7, 3), dtype=np.uint8)
    expected = torch.from_numpy(rgb).permute(0, 3, 1, 2)
    assert torch.equal(as_images(rgb, "x"), expected)
    assert torch.equal(as_images(rgb.transpose(0, 3, 1, 2), "x"), expected)


@pytest.mark.parametrize(
    ("labels", "names"),
    [
        (LABELS[:, None], ("0", "1", "2", "3")),
        (LABELS.astype(np.float32), ("0", "1", "2", "3")),
        (LABELS * 10 + 1, ("1", "11", "21", "31")),
        (np.array(["cat", "dog", "é", "10"])[LABELS], ("10", "cat", "dog", "é")),
        (np.array([b"a", b"b"])[LABELS % 2], ("a", "b")),
    ],
)
def test_labels_of_any_kind_become_classes(tmp_path, labels, names):
    splits = Npz(npz(tmp_path / "a.npz", x_train=GREY, y_train=labels)).load()
    assert splits.class_names == names
    for split in splits.by_name().values():
        for name, target in zip(split.ids, split.target.tolist(), strict=True):
            at = np.asarray(labels).reshape(-1)[int(name.split()[1])]
            word = at.decode() if isinstance(at, bytes) else str(int(at)) if at.dtype.kind in "fiu" else str(at)
            assert names[target] == word


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"x_train": GREY.astype(float) - 1}, "has values from -1.0 to"),
        ({"x_train": GREY.astype(int) * 2}, "has values from 0 to .*; expected 0 to 255, or 0 to 1"),
        ({"x_train": np.full((40, 4, 4), np.nan)}, "has values from nan to nan"),
        ({"x_train": GREY.reshape(40, 16)}, r"has the shape \(40, 16\); expected images"),
        ({"x_train": GREY.astype(complex)}, "is of type complex128; expected numbers"),
        ({"x_train": np.array([[["a"]]] * 40)}, "expected numbers"),
        ({"y_train": LABELS[:-1]}, r"train has 40 images and labels of shape \(39,\)"),
        ({"y_train": np.eye(4)[LABELS]}, r"labels of shape \(40, 4\)"),
        ({"y_train": LABELS + 0.5}, "train has labels that are no whole numbers"),
        ({"y_train": LABELS * 0}, "has 1 classes in train; expected 2 to"),
        ({"y_test": LABELS[:8] + 3}, "test has classes that train lacks: 4, 5, 6"),
        ({"y_train": np.array([object()] * 40)}, "cannot be read: .*pickle"),
        ({"y_train": np.arange(40)}, "class 0 has 1 images in train; expected more than the 1 to be held out"),
    ],
)
def test_arrays_that_cannot_be_used_are_answered_in_a_line(tmp_path, changes, message):
    with pytest.raises(DataError, match=message) as caught:
        Npz(keras(tmp_path / "a.npz", **changes)).load()
    assert "\n" not in str(caught.value)


def test_files_that_are_no_arrays_are_answered_in_a_line(tmp_path):
    (tmp_path / "text.npz").write_text("hello")
    whole = keras(tmp_path / "whole.npz").read_bytes()
    (tmp_path / "cut.npz").write_bytes(whole[:500])
    for name, message in (("none", "there is no file"), ("text", r"is no \.npz file"), ("cut", r"is no \.npz file")):
        with pytest.raises(DataError, match=message):
            Npz(tmp_path / f"{name}.npz").load()
    with pytest.raises(DataError, match=r"has the arrays a; expected x_train and y_train"):
        Npz(npz(tmp_path / "other.npz", a=LABELS)).load()
    with pytest.raises(DataError, match="has only one of x_test and y_test"):
        Npz(npz(tmp_path / "half.npz", x_train=GREY, y_train=LABELS, x_test=GREY)).load()
    with pytest.raises(ConfigError, match=r"data\.source\.file is null"):
        Npz(None)


def test_an_array_that_would_not_fit_is_refused_before_it_is_unpacked(tmp_path):
    header = io.BytesIO()
    np.lib.format.write_array_header_1_0(header, {"descr": "|u1", "fortran_order": False, "shape": (2**20, 28, 28)})
    with zipfile.ZipFile(tmp_path / "bomb.npz", "w", zipfile.ZIP_DEFLATED) as archive:
        with archive.open("x_train.npy", "w") as member:
            member.write(header.getvalue() + bytes(2**20))
        archive.writestr("y_train.npy", b"")
    with pytest.raises(DataError, match="cannot be read"):
        Npz(tmp_path / "bomb.npz").load()


def test_arrays_larger_than_memory_are_refused_with_both_sizes(tmp_path, monkeypatch):
    monkeypatch.setattr(arrays, "physical_bytes", lambda: 1_000)
    with pytest.raises(DataError, match=r"takes 0\.0 GB in memory, and this machine has 0\.0 GB"):
        Npz(keras(tmp_path / "a.npz")).load()


def table(path, *, header=True, label="label", names="pixel{}", rows=40, delimiter=","):
    lines = [delimiter.join([label, *(names.format(index) for index in range(16))])] if header else []
    lines += [delimiter.join(map(str, [LABELS[i], *GREY[i].reshape(-1)])) for i in range(rows)]
    path.write_text("\n".join(lines) + "\n")
    return path


@pytest.mark.parametrize("header", [True, False])
def test_a_table_of_pixels_is_read(tmp_path, header):
    splits = CsvPixels(table(tmp_path / "train.csv", header=header)).load()
    assert sizes(splits) == [28, 4, 8]
    for split in splits.by_name().values():
        for name, image, target in zip(split.ids, split.images, split.target, strict=True):
            index = int(name.split()[1])
            assert torch.equal(image[0], torch.from_numpy(GREY[index]))
            assert target == LABELS[index]


def test_a_table_of_test_images_is_the_test_split(tmp_path):
    train, test = table(tmp_path / "train.csv"), table(tmp_path / "test.csv", rows=8)
    splits = CsvPixels(train, test).load()
    assert sizes(splits) == [36, 4, 8]
    assert torch.equal(splits.test.images[:, 0], torch.from_numpy(GREY[:8]))


def test_a_column_of_labels_can_be_named_and_a_shape_given(tmp_path):
    path = table(tmp_path / "a.csv", label="what")
    assert CsvPixels(path, label_column="what", shape=[1, 2, 8]).load().train.images.shape[1:] == (1, 2, 8)
    with pytest.raises(DataError, match=r"no column of labels is known by its name; .* set data.source.label_column"):
        CsvPixels(path).load()
    with pytest.raises(DataError, match=r"has 16 pixels a row; data.source.shape is \[1, 3, 3\], which is 9"):
        CsvPixels(path, label_column="what", shape=[1, 3, 3]).load()


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (None, "there is no file"),
        ("", "cannot read"),
        ("label,p0\n", "has no rows of pixels"),
        ("label,p0,p1\n1,2,3\n2,3,4\n", "has 2 pixels a row, which are no square"),
        ("label,p0\n1,300\n2,3\n", "has values from 3 to 300"),
        ("label,p0\n1,word\n2,3\n", "has columns that are no numbers: p0"),
        ("label,p0\n1,\n2,3\n", "has empty cells"),
        ("label,p0\n1,2.5\n2,3\n", "has pixels that are no whole numbers"),
        ("label,p0\n1,2\n2,3,4,5\n", "cannot read"),
        (b"\xff\xfe\x00label", "cannot read"),
    ],
)
def test_a_table_that_cannot_be_used_is_answered_in_a_line(tmp_path, content, message):
    path = tmp_path / "a.csv"
    if content is not None:
        path.write_bytes(content if isinstance(content, bytes) else content.encode())
    with pytest.raises(DataError, match=message) as caught:
        CsvPixels(path).load()
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("kind", ["npz", pytest.param("csv_pixels", marks=[pytest.mark.slow, pytest.mark.ci])])
def test_a_config_needs_nothing_but_the_file(compose, tmp_path, kind):
    path = keras(tmp_path / "a.npz") if kind == "npz" else table(tmp_path / "a.csv")
    config = checked_config(compose(f"data={kind}", f"data.source.file={path}", "model=linear"))
    assert config["data"]["image_shape"] == [1, 4, 4]
    assert config["model"]["num_classes"] == config["data"]["num_classes"] == 4
    assert len(config["data"]["mean"]) == 1
    before = listing_sha256(config["data"]["source"])
    path.write_bytes(path.read_bytes() + b"\n")
    assert listing_sha256(config["data"]["source"]) != before
