"""Rows 37 to 48 as the command tells them; what the sources do is tested in tests/data."""

from __future__ import annotations

import os

import numpy as np
import pytest
from PIL import Image

TRAIN_IMAGES, TRAIN_LABELS = "train-images-idx3-ubyte", "train-labels-idx1-ubyte"
TEST_IMAGES, TEST_LABELS = "t10k-images-idx3-ubyte", "t10k-labels-idx1-ubyte"


def write_idx(path, array):
    header = bytes([0, 0, 8, array.ndim]) + b"".join(side.to_bytes(4, "big") for side in array.shape)
    path.write_bytes(header + array.astype(np.uint8).tobytes())


@pytest.fixture
def raw(tmp_path):
    """Forty small pictures in MNIST's format, at paths.data_dir."""
    folder = tmp_path / "data" / "MNIST" / "raw"
    folder.mkdir(parents=True)
    draws = np.random.default_rng(0)
    for count, images, labels in ((30, TRAIN_IMAGES, TRAIN_LABELS), (10, TEST_IMAGES, TEST_LABELS)):
        write_idx(folder / images, draws.integers(0, 256, (count, 28, 28)))
        write_idx(folder / labels, np.arange(count) % 10)
    return folder


@pytest.fixture
def mnist(command_line, tmp_path):
    """``mnist(*words)``: train on what lies in paths.data_dir."""
    common = ["data=mnist", f"paths.data_dir={tmp_path}/data", "data.source.val_size=6", "data.source.download=false",
              "data.batch_size=8", "trainer.max_epochs=1", "model.channels=[2]", "model.hidden_features=4",
              "logger=none", "callbacks.learning_rate=null", "name=run"]  # fmt: skip
    return lambda *words: command_line(*{word.split("=")[0].lstrip("+"): word for word in [*common, *words]}.values())


UNCHECKED = "data.source.sha256=null"


def said(answer, *words, code=3):
    assert answer.code == code, answer
    assert "Traceback" not in answer.err
    for word in words:
        assert word in answer.message


@pytest.mark.slow
@pytest.mark.ci(every=2)
@pytest.mark.parametrize(
    ("what", "damage"),
    [
        ("truncated", lambda content: content[:100]),
        ("empty", lambda content: b""),
        ("an HTML page", lambda content: b"<!DOCTYPE html><title>404</title>"),
    ],
)
def test_row_37_a_damaged_file_is_named_with_the_size_expected(mnist, raw, noted, what, damage):
    path = raw / TRAIN_IMAGES
    path.write_bytes(damage(path.read_bytes()))
    answer = mnist(UNCHECKED)
    said(answer, TRAIN_IMAGES, "expected")
    noted(37, f"train-images {what}", answer)


@pytest.mark.slow
@pytest.mark.ci
def test_row_38_one_changed_label_is_a_checksum_mismatch(mnist, raw, noted):
    from vision_baselines.data.torchvision_source import Mnist

    source = Mnist(raw.parents[1], sha256=None)
    official = source.raw_files.read(raw.parents[1])
    from vision_baselines.data.integrity import tensors_sha256

    digest = tensors_sha256(official.train.images, official.train.target, official.test.images, official.test.target)
    pinned = f"data.source.sha256={digest}"
    assert mnist(pinned).code == 0
    content = bytearray((raw / TRAIN_LABELS).read_bytes())
    content[-1] ^= 1
    (raw / TRAIN_LABELS).write_bytes(content)
    answer = mnist(pinned, "rerun=true")
    said(answer, "checksum mismatch")
    noted(38, "one label changed", answer)


@pytest.mark.slow
@pytest.mark.ci
def test_row_38_counts_that_differ_are_named(mnist, raw, noted):
    write_idx(raw / TRAIN_LABELS, np.arange(29) % 10)
    answer = mnist(UNCHECKED)
    said(answer, "30", "29")
    noted(38, "one label too few", answer)


def test_row_41_missing_data_says_which_files_to_put_where(mnist, tmp_path, noted):
    answer = mnist()
    said(answer, TRAIN_IMAGES, str(tmp_path / "data" / "MNIST" / "raw"))
    assert len(answer.message.splitlines()) <= 2
    noted(41, "no files, no network", answer)


@pytest.mark.slow
@pytest.mark.ci
def test_row_45_a_label_beyond_the_classes_is_refused_with_both_numbers(mnist, raw, noted):
    write_idx(raw / TRAIN_LABELS, np.full(30, 77))
    answer = mnist(UNCHECKED)
    said(answer, "77", "0 to 9")
    noted(45, "a label 77 of 10 classes", answer)


@pytest.mark.slow
@pytest.mark.ci
def test_row_45_num_classes_is_held_against_the_data(mnist, raw, noted):
    answer = mnist(UNCHECKED, "data.num_classes=7")
    said(answer, "data.num_classes is 7", "10 classes", code=2)
    noted(45, "`data.num_classes=7` for 10 classes", answer)


@pytest.mark.slow
@pytest.mark.ci(every=2)
@pytest.mark.parametrize(
    ("word", "named"),
    [
        ("data.source.val_size=0", "data.source.val_size is 0"),
        ("data.source.val_size=30", "data.source.val_size is 30"),
        ("data.batch_size=4000", "data.batch_size is 4000"),
    ],
)
def test_row_47_a_split_without_images_or_a_batch_larger_than_all_is_refused(mnist, raw, noted, word, named):
    answer = mnist(UNCHECKED, word, "data.batch_size=1" if "val" in word else "data.num_workers=0")
    said(answer, named, code=2)
    noted(47, f"`{word.lstrip('+')}` of 30 images", answer)


COLORS = {"red": (200, 0, 0), "green": (0, 200, 0)}


def add(root, split, name, count, side=10):
    folder = root / split / name
    folder.mkdir(parents=True, exist_ok=True)
    for index in range(count):
        Image.new("RGB", (side, side + index), COLORS.get(name, (9, 9, 9))).save(folder / f"{index}.png")
    return folder


@pytest.fixture
def pictures(tmp_path):
    root = tmp_path / "pictures"
    for split, count in (("train", 6), ("val", 2), ("test", 2)):
        for name in COLORS:
            add(root, split, name, count)
    return root


@pytest.fixture
def own_pictures(run_command, tmp_path):
    """``own_pictures(*words)``: train on a folder of pictures."""
    common = ["data=image_folder", f"data.source.root={tmp_path}/pictures", f"data.source.cache_dir={tmp_path}/cache",
              "data.source.image_size=8", "data.image_shape=[3,8,8]", "data.num_classes=2",
              "data.mean=[0.5,0.5,0.5]", "data.std=[0.5,0.5,0.5]", "data.batch_size=4",
              "trainer.max_epochs=1"]  # fmt: skip

    def run(*words):
        noise_only = [f"data.source.{key}" for key in ("train_size", "val_size", "test_size", "image_shape")]
        return run_command(*common, *words, left_out=noise_only)

    return run


@pytest.mark.slow
@pytest.mark.ci
def test_row_44_a_folder_of_pictures_of_several_sizes_and_modes_trains(own_pictures, pictures):
    deep = Image.fromarray(np.full((9, 9), 40_000, dtype=np.uint16))
    deep.save(pictures / "train" / "red" / "deep.png")
    Image.new("CMYK", (30, 7)).save(pictures / "train" / "red" / "print.jpg")
    Image.new("LA", (5, 50)).save(pictures / "train" / "green" / "clear.png")
    answer = own_pictures()
    assert answer.code == 0, answer


@pytest.mark.slow
@pytest.mark.ci
def test_row_44_pixels_of_unknown_range_are_named(own_pictures, pictures, noted):
    Image.fromarray(np.full((9, 9), 0.5, dtype=np.float32)).save(pictures / "train" / "red" / "float.tiff")
    answer = own_pictures()
    said(answer, "float.tiff", "floating-point")
    noted(44, "a picture of floats", answer)


@pytest.mark.slow
@pytest.mark.ci
def test_row_42_corrupt_and_empty_pictures_are_listed_before_training(own_pictures, pictures, noted):
    (pictures / "train" / "red" / "0.png").write_bytes(b"")
    whole = (pictures / "train" / "red" / "1.png").read_bytes()
    (pictures / "train" / "red" / "1.png").write_bytes(whole[: len(whole) // 2])
    answer = own_pictures()
    said(answer, "2 faults", "0.png: empty file", "1.png")
    noted(42, "an empty and a torn picture", answer)


@pytest.mark.slow
@pytest.mark.ci
def test_row_43_an_empty_class_is_named(own_pictures, pictures, noted):
    for path in (pictures / "train" / "red").iterdir():
        path.unlink()
    answer = own_pictures()
    said(answer, "train/red")
    noted(43, "an empty class folder", answer)


@pytest.mark.slow
@pytest.mark.ci(every=2)
@pytest.mark.parametrize("hidden", [False, True], ids=["single", "hidden"])
def test_row_43_fewer_than_two_classes_are_refused(own_pictures, pictures, noted, hidden):
    other = pictures / "train" / "red"
    if hidden:
        other.rename(pictures / "train" / ".red")
    else:
        for path in other.iterdir():
            path.unlink()
        other.rmdir()
    answer = own_pictures()
    said(answer, "expected a folder for each of two or more classes")
    noted(43, "the second class folder " + ("hidden" if hidden else "missing"), answer)


@pytest.mark.slow
@pytest.mark.ci
def test_row_46_classes_that_differ_between_train_and_test_are_named(own_pictures, pictures, noted):
    add(pictures, "test", "blue", 2)
    answer = own_pictures()
    said(answer, "test/blue: no such class in train")
    noted(46, "a class in test that train has not", answer)


@pytest.mark.slow
@pytest.mark.ci
def test_row_48_a_picture_of_billions_of_pixels_is_refused_by_name(own_pictures, pictures, noted):
    import struct
    import zlib

    def chunk(kind, content):
        return struct.pack(">I", len(content)) + kind + content + struct.pack(">I", zlib.crc32(kind + content))

    header = chunk(b"IHDR", struct.pack(">IIBBBBB", 60_000, 60_000, 8, 2, 0, 0, 0))
    (pictures / "train" / "red" / "bomb.png").write_bytes(
        b"\x89PNG\r\n\x1a\n" + header + chunk(b"IDAT", zlib.compress(b"")) + chunk(b"IEND", b"")
    )
    answer = own_pictures()
    said(answer, "bomb.png", "data.source.max_pixels")
    noted(48, "a PNG of 60,000×60,000 pixels in 70 bytes", answer)


@pytest.mark.slow
@pytest.mark.ci
def test_rows_39_40_four_prepare_at_once_after_one_was_killed_and_one_writes(own_pictures, pictures, tmp_path):
    from vision_baselines.data.image_folder import ImageFolder

    source = ImageFolder(pictures, tmp_path / "cache", image_size=8)
    child = os.fork()
    if child == 0:
        from vision_baselines.data import tensor_cache

        tensor_cache.Path.replace = lambda *_: os.kill(os.getpid(), 9)
        source.prepare()
        os._exit(0)
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == -9
    children = []
    for _ in range(4):
        child = os.fork()
        if child == 0:
            try:
                source.prepare()
            finally:
                os._exit(len(source.load().train.target) - 12)
        children.append(child)
    assert [os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) for child in children] == [0] * 4
    assert len(list((tmp_path / "cache").glob("*.pt"))) == 1
    assert own_pictures().code == 0
    assert not list((tmp_path / "cache").glob(".*.partial"))
