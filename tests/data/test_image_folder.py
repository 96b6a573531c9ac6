"""A person's own pictures, good and bad; FAULTS rows 39, 40, 42 to 44, 46 to 48."""

import os
import shutil
import subprocess
import sys
import threading
import time
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

import vision_baselines
from vision_baselines.data import picture_tensors, tensor_cache
from vision_baselines.data.image_folder import ImageFolder
from vision_baselines.data.picture_layout import printable
from vision_baselines.data.picture_listing import list_pictures
from vision_baselines.errors import ConfigError, DataError, StorageError

CIFAR10_SUBSET = Path(__file__).parents[2].parent / "shared" / "data" / "cifar10_subset"

RARE = [pytest.mark.slow, pytest.mark.ci]
COLORS = {"red": (200, 0, 0), "green": (0, 200, 0), "blue": (0, 0, 200)}


def add(root, split, class_name, count=1, *, mode="RGB", side=10, suffix=".png"):
    folder = root / split / class_name
    folder.mkdir(parents=True, exist_ok=True)
    for index in range(count):
        image = Image.new("RGB", (side, side + index), COLORS.get(class_name, (9, 9, 9)))
        image.convert(mode).save(folder / f"{index}{suffix}")
    return folder


@pytest.fixture
def root(tmp_path):
    for split, count, side in (("train", 10, 10), ("val", 3, 11), ("test", 4, 12)):
        for class_name in COLORS:
            add(tmp_path / "pictures", split, class_name, count, side=side)  # no picture is in two splits
    return tmp_path / "pictures"


@pytest.fixture
def folder(root, tmp_path):
    return ImageFolder(root, tmp_path / "cache", image_size=8)


def faults(source):
    """Lines below the first of the one error that names everything."""
    with pytest.raises(DataError) as caught:
        source.prepare()
    first, *named = str(caught.value).split("\n")
    assert "(data.source.root); fix or remove" in first
    return [line.strip() for line in named]


def test_pictures_become_tensors_labelled_by_their_folder(folder):
    splits = folder.load()
    assert splits.class_names == ("blue", "green", "red")
    assert [len(split.target) for split in (splits.train, splits.val, splits.test)] == [30, 9, 12]
    for split in (splits.train, splits.val, splits.test):
        assert split.images.shape[1:] == (3, 8, 8)
        for image, label in zip(split.images, split.target, strict=True):
            assert tuple(image[:, 0, 0].tolist()) == COLORS[splits.class_names[label]]


def test_grey_pictures_can_be_asked_for(root, tmp_path):
    assert ImageFolder(root, tmp_path, image_size=8, channels=1).load().test.images.shape == (12, 1, 8, 8)


def test_validation_is_cut_from_train_stratified_where_it_has_no_folder(tmp_path):
    for class_name, count in (("red", 20), ("green", 10)):
        add(tmp_path, "train", class_name, count)
        add(tmp_path, "test", class_name, 2)
    source = ImageFolder(tmp_path, tmp_path / ".cache", val_fraction=0.2)
    splits = source.load()
    assert torch.bincount(splits.val.target).tolist() == [2, 4]
    assert torch.bincount(splits.train.target).tolist() == [8, 16]
    assert source.load().sha256 == splits.sha256


def test_a_test_split_without_a_folder_is_cut_from_train_and_said(tmp_path, caplog):
    for class_name in ("red", "green"):
        add(tmp_path, "train", class_name, 10)
    splits = ImageFolder(tmp_path, tmp_path / ".cache").load()
    assert [len(split.target) for split in (splits.train, splits.val, splits.test)] == [14, 2, 4]
    assert caplog.messages == [f"no test folder under {tmp_path}: 4 pictures of train are held out as the test split"]


def test_nothing_is_written_into_the_root(folder, root):
    before = sorted((path, path.stat().st_mtime_ns) for path in [root, *root.rglob("*")])
    folder.prepare()
    folder.load()
    assert sorted((path, path.stat().st_mtime_ns) for path in [root, *root.rglob("*")]) == before


def counted(monkeypatch):
    calls = []

    def count(path, **options):
        calls.append(path)
        return plain(path, **options)

    plain = picture_tensors.decoded
    monkeypatch.setattr(picture_tensors, "decoded", count)
    return calls


def test_pictures_are_decoded_once(folder, monkeypatch):
    calls = counted(monkeypatch)
    folder.prepare()
    first = folder.load()
    assert folder.load().sha256 == first.sha256
    assert len(calls) == 51


@pytest.mark.parametrize("change", ["add", "remove", "rename", "touch"])
def test_of_a_changed_folder_what_is_new_is_decoded_into_the_same_file(folder, root, tmp_path, monkeypatch, change):
    folder.prepare()
    calls = counted(monkeypatch)
    picture = root / "train" / "red" / "0.png"
    if change == "add":
        Image.new("RGB", (5, 5)).save(root / "train" / "red" / "new.png")
    elif change == "remove":
        picture.unlink()
    elif change == "rename":
        picture.rename(picture.with_name("other.png"))
    else:
        os.utime(picture, ns=(1, 1))
    splits = folder.load()
    assert [path.name for path in calls] == {
        "add": ["new.png"],
        "remove": [],
        "rename": ["other.png"],
        "touch": ["0.png"],
    }[change]
    assert len(splits.train.target) == {"add": 31, "remove": 29}.get(change, 30)
    assert len(list((tmp_path / "cache").glob("*.pt"))) == 1


def test_other_options_have_a_cache_of_their_own(root, tmp_path):
    for options in ({}, {"image_size": 9}, {"channels": 1}, {"crop": False}):
        ImageFolder(root, tmp_path / "cache", **{"image_size": 8, **options}).prepare()
    assert len(list((tmp_path / "cache").glob("*.pt"))) == 4


@pytest.mark.parametrize("damage", ["flip", "truncate", "empty", "text", "pickle"])
def test_a_damaged_cache_is_made_again_with_a_message(folder, tmp_path, caplog, damage):
    whole = folder.load()
    (path,) = (tmp_path / "cache").glob("*.pt")
    content = bytearray(path.read_bytes())
    marker = tmp_path / "ran"
    if damage == "flip":
        at = content.index(whole.train.images.numpy().tobytes())
        content[at + 100] ^= 1
    elif damage == "truncate":
        del content[len(content) // 2 :]
    elif damage == "empty":
        content.clear()
    elif damage == "text":
        content[:] = b"no tensors"
    else:

        class Code:
            def __reduce__(self):
                return os.mkdir, (str(marker),)

        torch.save({"key": Code()}, path)
        content = path.read_bytes()
    path.write_bytes(content)
    assert folder.load().sha256 == whole.sha256
    assert caplog.messages == [f"{path} is damaged or was altered; it is made again"]
    assert not marker.exists()
    caplog.clear()
    folder.load()
    assert not caplog.messages


def test_a_cache_loads_as_plain_tensors_and_strings(folder, tmp_path):
    folder.prepare()
    (path,) = (tmp_path / "cache").glob("*.pt")
    content = torch.load(path, weights_only=True)
    assert {type(value) for value in content.values()} == {str, dict}
    assert {type(value) for value in content["tensors"].values()} == {torch.Tensor}


def test_a_cache_that_cannot_be_written_is_a_storage_error(root, tmp_path):
    (tmp_path / "file").touch()
    with pytest.raises(StorageError, match="file"):
        ImageFolder(root, tmp_path / "file").prepare()


def test_a_full_disk_keeps_the_cache_that_was_there(folder, root, tmp_path, monkeypatch):
    folder.prepare()
    (path,) = (tmp_path / "cache").glob("*.pt")
    before = path.read_bytes()

    def full(content, file):
        file.write(b"half")
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(tensor_cache.torch, "save", full)
    os.utime(root / "train" / "red" / "0.png", ns=(1, 1))
    with pytest.raises(StorageError, match=r"No space left on device\nSet data\.source\.cache_dir"):
        folder.prepare()
    assert path.read_bytes() == before
    assert not list((tmp_path / "cache").glob("*.partial"))


def test_row_39_of_four_that_prepare_at_once_one_decodes(folder, monkeypatch):
    calls, results = counted(monkeypatch), []
    threads = [threading.Thread(target=lambda: results.append(folder.load().sha256)) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(results) == 4
    assert len(set(results)) == 1
    assert len(calls) == 51


WORKER = """
import sys, time
from pathlib import Path
import torch
from vision_baselines.data.image_folder import ImageFolder

def half(content, file):
    file.write(b"half of it")
    file.flush()
    time.sleep(60)

torch.save = half
ImageFolder(sys.argv[1], sys.argv[2], image_size=8).prepare()
"""


@pytest.mark.slow
@pytest.mark.ci
def test_row_40_killed_while_writing_the_cache_the_next_start_is_clean(folder, root, tmp_path, caplog):
    environment = {**os.environ, "PYTHONPATH": str(Path(vision_baselines.__file__).parents[1]), "OMP_NUM_THREADS": "1"}
    cache = tmp_path / "cache"
    with subprocess.Popen([sys.executable, "-c", WORKER, str(root), str(cache)], env=environment) as process:
        deadline = time.monotonic() + 60
        while not list(cache.glob(".*.pt.*")) and time.monotonic() < deadline:
            time.sleep(0.02)
        process.kill()
    assert list(cache.glob(".*.pt.*"))
    assert not list(cache.glob("*.pt"))
    assert len(folder.load().train.target) == 30
    assert not list(cache.glob(".*.pt.*"))
    assert not caplog.messages


def test_row_42_broken_files_are_all_named_in_one_error(folder, root):
    jpeg = root / "train" / "red" / "cut.jpg"
    Image.fromarray(np.random.default_rng(0).integers(0, 256, (50, 50, 3), dtype=np.uint8)).save(jpeg)
    jpeg.write_bytes(jpeg.read_bytes()[:900])
    (root / "val" / "green" / "text.png").write_text("this is no picture")
    (root / "test" / "blue" / "empty.bmp").touch()
    named = faults(folder)
    assert len(named) == 3
    assert named[0].startswith("train/red/cut.jpg: ")
    assert "truncated" in named[0]
    assert named[1].startswith("val/green/text.png: no picture in a known format")
    assert named[2] == "test/blue/empty.bmp: empty file"


def test_row_42_of_many_broken_files_ten_are_named_and_all_counted(folder, root):
    for index in range(25):
        (root / "train" / "red" / f"broken{index:02}.png").touch()
    with pytest.raises(DataError) as caught:
        folder.prepare()
    lines = str(caught.value).split("\n")
    assert lines[0].startswith("25 faults under")
    assert len(lines) == 12
    assert lines[-1] == "  … and 15 more"


def test_row_43_an_empty_class_folder_is_named(folder, root):
    for split in ("train", "val", "test"):
        (root / split / "white").mkdir()
    (root / "train" / "white" / "notes.txt").touch()
    (root / "val" / "white" / ".hidden.png").touch()
    assert [fault.split(" (")[0] for fault in faults(folder)] == [
        f"{split}/white: no picture in it" for split in ("train", "val", "test")
    ]


def test_row_43_a_single_class_is_refused_by_name(tmp_path):
    add(tmp_path, "train", "red", 5)
    with pytest.raises(DataError, match="train holds red; expected a folder for each of two or more classes"):
        ImageFolder(tmp_path, tmp_path / ".cache").prepare()


def test_row_43_hidden_folders_and_files_do_not_count(folder, root):
    before = folder.load()
    (root / "train" / ".ipynb_checkpoints").mkdir()
    (root / "train" / ".ipynb_checkpoints" / "0.png").touch()
    (root / "train" / "red" / "._0.png").touch()
    assert folder.load().sha256 == before.sha256


def test_row_43_a_folder_with_only_hidden_classes_is_refused(tmp_path):
    add(tmp_path, "train", ".red", 5)
    with pytest.raises(DataError, match="train holds no class folder"):
        ImageFolder(tmp_path, tmp_path / ".cache").prepare()


def test_row_44_mixed_sizes_modes_and_formats_are_trained_on_together(root, folder):
    add(root, "train", "red", 2, mode="L", suffix=".jpg", side=3)
    add(root, "train", "green", 2, mode="RGBA", suffix=".webp", side=50)
    add(root, "train", "blue", 2, mode="P", suffix=".GIF")
    Image.fromarray(np.full((5, 6), 65_535, dtype=np.uint16)).save(root / "train" / "blue" / "deep.png")
    splits = folder.load()
    assert len(splits.train.target) == 37
    assert splits.train.images.dtype == torch.uint8


def test_row_46_classes_that_train_lacks_are_named(folder, root):
    add(root, "test", "purple")
    add(root, "val", "brown")
    for picture in (root / "test" / "red").iterdir():
        picture.unlink()
    (root / "test" / "red").rmdir()
    assert faults(folder) == [
        "val/brown: no such class in train",
        "test/purple: no such class in train",
    ]


def test_row_46_a_class_that_only_train_has_is_said(folder, root, caplog):
    shutil.rmtree(root / "test" / "red")
    assert torch.bincount(folder.load().test.target, minlength=3).tolist() == [4, 4, 0]
    assert caplog.messages == ["test has no picture of red, which train has"]


def test_row_46_a_class_written_with_other_unicode_points_is_the_same_class(tmp_path):
    for split, composed, decomposed in (("train", "caf\u00e9", "the\u0301"), ("test", "cafe\u0301", "th\u00e9")):
        add(tmp_path, split, composed, 4)
        add(tmp_path, split, decomposed, 4)
    assert ImageFolder(tmp_path, tmp_path / ".cache").load().class_names == ("caf\u00e9", "th\u00e9")


def test_row_47_a_class_too_small_to_cut_from_is_named(tmp_path):
    add(tmp_path, "train", "red", 2)
    add(tmp_path, "train", "green", 3)
    assert faults(ImageFolder(tmp_path, tmp_path / ".cache")) == [
        "train/red: 2 pictures; expected more than the 2 to be held out of them"
    ]


def test_row_48_a_decompression_bomb_is_named(folder, root):
    bomb = root / "train" / "red" / "bomb.pgm"
    bomb.write_bytes(b"P5 60000 60000 255\n")
    assert faults(folder)[0].startswith("train/red/bomb.pgm: too many pixels; expected at most 89,478,485")


def test_every_kind_of_fault_is_in_the_same_error(folder, root):
    (root / "train" / "red" / "empty.png").touch()
    (root / "train" / "white").mkdir()
    (root / "train" / "red" / "dangling.png").symlink_to("nowhere.png")
    os.mkfifo(root / "val" / "red" / "pipe.png")
    named = faults(folder)
    assert len(named) == 4
    assert "train/red/dangling.png: No such file or directory" in named
    assert "val/red/pipe.png: no regular file" in named
    assert "train/white: no picture in it (looked for" in " ".join(named)


def test_links_to_pictures_are_followed_and_loops_are_not(folder, root):
    before = len(folder.load().train.target)
    red = root / "train" / "red"
    (red / "deeper").mkdir()
    (red / "loop").symlink_to(root)
    (red / "self").symlink_to(red / "self")
    (red / "deeper" / "up").symlink_to(red)
    (red / "deeper" / "linked.png").symlink_to(red / "0.png")
    assert len(folder.load().train.target) == before + 1


def test_a_class_that_links_to_a_folder_above_itself_is_named(folder, root):
    (root / "train" / "everything").symlink_to(root)
    assert "train/everything: a link to a folder that holds it" in faults(folder)


def test_file_names_of_any_alphabet_work(root, folder):
    red = root / "train" / "red"
    names = ["Ünïcode 图片.png", "a\nb.png", "smile 😀.png", "%s{}.png"]
    for name in names:
        (red / name).write_bytes((red / "0.png").read_bytes())
    (red / os.fsdecode(b"caf\xe9.png")).write_bytes((red / "0.png").read_bytes())  # no UTF-8
    assert len(folder.load().train.target) == 30 + 5


def test_broken_files_of_odd_names_are_named_printably(folder, root):
    red = root / "train" / "red"
    (red / os.fsdecode(b"caf\xe9.png")).touch()
    (red / "a\n\x1b[31m.png").touch()
    named = faults(folder)
    assert named == [r"train/red/a\x0a\x1b[31m.png: empty file", r"train/red/caf\udce9.png: empty file"]


def test_what_is_passed_over_is_said(folder, root, caplog):
    (root / "train" / "red" / "Thumbs.db").touch()
    (root / "extra").mkdir()
    folder.load()
    assert caplog.messages == [
        f"folders that are no split are passed over under {root}: extra",
        "files that are no pictures by their names are passed over: train/red/Thumbs.db",
    ]


def test_a_root_that_is_not_there_is_named(tmp_path):
    with pytest.raises(DataError, match=r"nowhere is no folder; .* set data\.source\.root"):
        ImageFolder(tmp_path / "nowhere", tmp_path).load()


def test_a_root_that_may_not_be_read_is_a_data_error(folder, root, monkeypatch):
    def refuse(path):
        raise PermissionError(13, "Permission denied", str(path))

    monkeypatch.setattr(os, "scandir", refuse)
    with pytest.raises(DataError, match=f"cannot read {root}: Permission denied"):
        folder.prepare()


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"image_size": 0}, "data.source.image_size is 0"),
        ({"channels": 4}, "data.source.channels is 4; expected 3 for RGB or 1 for grey"),
        ({"val_fraction": 0.0}, "data.source.val_fraction is 0.0"),
        ({"test_fraction": 0.5}, "data.source.test_fraction is 0.5"),
        ({"max_pixels": 10**9}, "data.source.max_pixels is 1000000000"),
    ],
)
def test_options_out_of_range_are_refused_with_their_key(tmp_path, options, message):
    with pytest.raises(ConfigError, match=message):
        ImageFolder(tmp_path, tmp_path, **options)


def test_tensors_that_cannot_fit_in_memory_are_refused_before_they_are_made(root, tmp_path):
    with pytest.raises(DataError, match=r"GB at data\.source\.image_size=1000000, and this machine has"):
        ImageFolder(root, tmp_path, image_size=1_000_000).prepare()


def test_a_terminal_shows_a_progress_bar_and_a_log_file_does_not(folder, root, tmp_path, monkeypatch, capsys):
    folder.prepare()
    assert capsys.readouterr().err == ""
    plain = picture_tensors.Console
    monkeypatch.setattr(picture_tensors, "Console", lambda **options: plain(**options, force_terminal=True))
    ImageFolder(root, tmp_path / "cache", image_size=9).prepare()
    assert "decoding pictures" in capsys.readouterr().err


def test_paths_that_print_are_left_as_they_are():
    assert printable("train/Ünïcode 图片.png") == "train/Ünïcode 图片.png"


def test_a_folder_must_be_named(tmp_path):
    with pytest.raises(ConfigError, match=r"data\.source\.root is null"):
        ImageFolder(None, tmp_path)


@pytest.fixture
def train_on(compose, tmp_path):
    """``train_on(root, *overrides)``: an epoch of a small net on the pictures in a folder; gives the record."""

    def run(root, *overrides):
        from vision_baselines.training.run import train

        words = ["model=fc", "model.hidden_features=[8]", "trainer.max_epochs=1", "data.batch_size=8", "logger=none"]
        quiet = ["callbacks.learning_rate=null", "callbacks.filters=null", "callbacks.parameters=null"]
        own = ["data=image_folder", f"data.source.root={root}", "data.source.image_size=8", "data.num_classes=3"]
        where = [f"data.source.cache_dir={tmp_path / 'cache'}"]
        return train(compose(*words, *quiet, *where, *{o.split("=")[0]: o for o in [*own, *overrides]}.values()))

    return run


def test_a_folder_of_mixed_pictures_of_any_name_trains_to_a_record(train_on, root, folder):
    red = root / "train" / "red"
    add(root, "train", "red", mode="L", suffix="グレー.png")
    add(root, "train", "red", mode="RGBA", suffix=" ünïcode.png")
    (red / "deeper").mkdir()
    (red / "0.png").rename(red / "deeper" / "0.png")
    record = train_on(root)
    assert record.status == "finished"
    assert record.class_names == ["blue", "green", "red"]
    assert record.data_sha256 == folder.load().sha256
    assert np.sum(record.confusion) == 12


@pytest.mark.slow
@pytest.mark.ci
def test_a_folder_trains_on_some_of_its_classes_by_their_names(train_on, root):
    record = train_on(root, "data.classes=[red,blue]", "data.num_classes=2")
    assert record.class_names == ["red", "blue"]
    assert np.sum(record.confusion) == 8


@pytest.mark.slow
@pytest.mark.ci
def test_a_folder_of_another_number_of_classes_is_answered_with_the_number(train_on, root):
    with pytest.raises(ConfigError, match=r"^data\.num_classes is 10; the data has 3 classes$"):
        train_on(root, "data.num_classes=10")


@pytest.mark.parametrize(
    "fault",
    [
        "a class only in test",
        *(pytest.param(fault, marks=RARE) for fault in ("a truncated JPEG", "a text file", "an empty class")),
    ],
)
def test_a_folder_with_a_fault_is_not_trained_on_and_the_fault_is_named(train_on, root, fault):
    red = root / "train" / "red"
    if fault == "a truncated JPEG":
        Image.effect_noise((40, 40), 50).save(red / "cut.jpg")
        (red / "cut.jpg").write_bytes((red / "cut.jpg").read_bytes()[:600])
        named = r"train/red/cut\.jpg: .*truncated"
    elif fault == "a text file":
        (red / "text.png").write_text("no picture")
        named = r"train/red/text\.png: no picture in a known format"
    elif fault == "an empty class":
        for split in ("train", "val", "test"):
            (root / split / "white").mkdir()
        named = "train/white: no picture in it"
    else:
        add(root, "test", "purple")
        named = "test/purple: no such class in train"
    with pytest.raises(DataError, match=rf"fault.* under .*; fix or remove.*:\n  {named}"):
        train_on(root)


@pytest.mark.slow
@pytest.mark.ci
@pytest.mark.skipif(not CIFAR10_SUBSET.is_dir(), reason=f"real photographs are not in {CIFAR10_SUBSET}")
def test_real_photographs_are_2700_train_300_val_600_test(tmp_path):
    splits = ImageFolder(CIFAR10_SUBSET, tmp_path).load()
    assert [len(split.target) for split in (splits.train, splits.val, splits.test)] == [2700, 300, 600]
    assert torch.bincount(splits.val.target).tolist() == [30] * 10
    assert len(splits.class_names) == 10


@pytest.mark.slow
def test_a_hundred_thousand_files_are_listed(tmp_path):
    content = add(tmp_path, "train", "red").joinpath("0.png").read_bytes()
    for class_name in ("red", "green"):
        (tmp_path / "train" / class_name).mkdir(exist_ok=True)
        for index in range(50_000):
            (tmp_path / "train" / class_name / f"{index}.png").write_bytes(content)
    listing = list_pictures(tmp_path)
    assert len(listing.fingerprint()) == 64
    assert listing.counts("train") == [50_000, 50_000]
