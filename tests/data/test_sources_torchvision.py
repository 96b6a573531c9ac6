"""MNIST and its likes, on small files made in the raw formats; FAULTS rows 37 to 41 and 45."""

import errno
import gzip
import hashlib
import logging
import os
import pickle
import subprocess
import sys
import time
from pathlib import Path
from urllib.error import URLError

import numpy as np
import pytest
import torch
from torchvision import datasets

import vision_baselines
from vision_baselines.data import torchvision_source
from vision_baselines.data.integrity import tensors_sha256
from vision_baselines.data.torchvision_source import Cifar10, Cifar100, FashionMnist, Kmnist, Mnist
from vision_baselines.errors import ConfigError, DataError, StorageError

SHARED_DATA = Path(__file__).parents[2].parent / "shared" / "data"
TRAIN_IMAGES, TRAIN_LABELS = "train-images-idx3-ubyte", "train-labels-idx1-ubyte"
TEST_IMAGES, TEST_LABELS = "t10k-images-idx3-ubyte", "t10k-labels-idx1-ubyte"
NAMES = [TRAIN_IMAGES, TRAIN_LABELS, TEST_IMAGES, TEST_LABELS]

real_mnist = pytest.mark.skipif(
    not (SHARED_DATA / "MNIST" / "raw").is_dir(), reason=f"real MNIST is not in {SHARED_DATA}"
)


def write_idx(path, array):
    path.parent.mkdir(parents=True, exist_ok=True)
    header = bytes([0, 0, 8, array.ndim]) + b"".join(side.to_bytes(4, "big") for side in array.shape)
    path.write_bytes(header + array.astype(np.uint8).tobytes())


def write_raw(folder, train=30, test=10):
    draws = np.random.default_rng(0)
    for count, images, labels in ((train, TRAIN_IMAGES, TRAIN_LABELS), (test, TEST_IMAGES, TEST_LABELS)):
        write_idx(folder / images, draws.integers(0, 256, (count, 28, 28)))
        write_idx(folder / labels, np.arange(count) % 10)
    return folder


@pytest.fixture
def root(tmp_path):
    write_raw(tmp_path / "MNIST" / "raw")
    return tmp_path


@pytest.fixture
def no_network(monkeypatch):
    """Torchvision's own code, with nobody listening at the other end."""
    for dataset in (datasets.MNIST, datasets.FashionMNIST, datasets.KMNIST):
        monkeypatch.setattr(dataset, "mirrors", ["http://127.0.0.1:9/"])
    monkeypatch.setattr(datasets.CIFAR10, "url", "http://127.0.0.1:9/cifar-10-python.tar.gz")


def mnist(root, **options):
    return Mnist(root, **{"val_size": 6, "sha256": None, **options})


def official_digest(root):
    train, test = (datasets.MNIST(root, train=train) for train in (True, False))
    return tensors_sha256(train.data.unsqueeze(1), train.targets, test.data.unsqueeze(1), test.targets)


def listing(folder):
    return sorted((str(path.relative_to(folder)), path.stat().st_mtime_ns) for path in folder.rglob("*"))


@pytest.mark.parametrize("source", [Mnist, FashionMnist, Kmnist])
def test_raw_files_become_the_tensors_that_torchvision_reads(tmp_path, source):
    torchvisions = getattr(datasets, source.raw_files.dataset)
    write_raw(tmp_path / torchvisions.__name__ / "raw")
    splits = source(tmp_path, val_size=6, sha256=None).load()
    assert torch.equal(splits.test.images[:, 0], torchvisions(tmp_path, train=False).data)
    assert torch.equal(splits.test.target, torchvisions(tmp_path, train=False).targets)
    together = torch.cat([splits.train.images, splits.val.images])[:, 0]
    theirs = torchvisions(tmp_path, train=True).data
    assert {image.numpy().tobytes() for image in together} == {image.numpy().tobytes() for image in theirs}
    assert splits.class_names == tuple(torchvisions.classes)


@pytest.mark.parametrize("source", [Mnist, FashionMnist, Kmnist])
def test_the_files_are_named_as_torchvision_names_them(tmp_path, source):
    resources = getattr(datasets, source.raw_files.dataset).resources
    assert [path.name for path in source.raw_files.archives(tmp_path)] == [name for name, _ in resources]


def test_validation_is_cut_from_train_and_the_same_every_time(root):
    one, again = mnist(root).load(), mnist(root).load()
    assert (len(one.train.target), len(one.val.target), len(one.test.target)) == (24, 6, 10)
    assert one.sha256 == again.sha256
    assert mnist(root, split_seed=1).load().sha256 != one.sha256


@real_mnist
def test_real_mnist_is_55000_5000_10000_and_has_its_published_checksum():
    splits = Mnist(SHARED_DATA).load()
    assert [tuple(split.images.shape) for split in (splits.train, splits.val, splits.test)] == [
        (55_000, 1, 28, 28),
        (5_000, 1, 28, 28),
        (10_000, 1, 28, 28),
    ]
    assert official_digest(SHARED_DATA) == Mnist(SHARED_DATA).sha256
    assert splits.sha256 == "b771572e41863530094d0a6783aa43ce9a3a3494e0e21a97d694eb4aa2f38861"


def test_nothing_is_written_where_the_files_are_there(root):
    before = listing(root)
    mnist(root).prepare()
    mnist(root).load()
    assert listing(root) == before


def test_a_processed_folder_of_an_old_torchvision_changes_nothing(root):
    before = mnist(root).load().sha256
    legacy = root / "MNIST" / "processed"
    legacy.mkdir()
    for name in ("training.pt", "test.pt"):
        torch.save((torch.zeros(4, 28, 28, dtype=torch.uint8), torch.zeros(4, dtype=torch.int64)), legacy / name)
    assert mnist(root).load().sha256 == before


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("fault", ["truncated", "too long", "empty", "html"])
def test_row_37_a_damaged_file_is_named_with_its_expected_size(root, name, fault):
    path = root / "MNIST" / "raw" / name
    whole = path.read_bytes()
    damaged = {
        "truncated": whole[:-5],
        "too long": whole + b"\0",
        "empty": b"",
        "html": b"<!DOCTYPE html><title>404 Not Found</title>",
    }[fault]
    path.write_bytes(damaged)
    official = {TRAIN_IMAGES: 47_040_016, TRAIN_LABELS: 60_008, TEST_IMAGES: 7_840_016, TEST_LABELS: 10_008}[name]
    expected = official if fault in ("empty", "html") else len(whole)
    with pytest.raises(DataError) as caught:
        mnist(root).load()
    first, second = str(caught.value).split("\n")
    assert f"{path} has {len(damaged):,} bytes" in first
    assert f"expected {expected:,}" in first
    assert "Delete it and start again" in second


@pytest.mark.parametrize(
    ("name", "offset"), [(TRAIN_IMAGES, 500), (TRAIN_LABELS, 9), (TEST_IMAGES, 99), (TEST_LABELS, 8)]
)
def test_row_38_one_changed_pixel_or_label_is_a_checksum_mismatch(root, name, offset):
    digest = official_digest(root)
    mnist(root, sha256=digest).load()
    path = root / "MNIST" / "raw" / name
    content = bytearray(path.read_bytes())
    content[offset] ^= 1
    path.write_bytes(content)
    with pytest.raises(DataError, match="checksum mismatch: MNIST in "):
        mnist(root, sha256=digest).load()


def test_row_38_counts_that_differ_are_named(root):
    write_idx(root / "MNIST" / "raw" / TRAIN_LABELS, np.zeros(29))
    with pytest.raises(
        DataError, match=r"train-images-idx3-ubyte holds 30 images but train-labels-idx1-ubyte 29 labels"
    ):
        mnist(root).load()


def test_row_45_a_label_beyond_the_classes_is_refused_even_without_a_checksum(root):
    write_idx(root / "MNIST" / "raw" / TEST_LABELS, np.full(10, 77))
    with pytest.raises(DataError, match="test has labels from 77 to 77; expected 0 to 9 for 10 classes"):
        mnist(root).load()


@pytest.mark.parametrize("val_size", [0, -1, 30, 100])
def test_row_47_a_cut_that_leaves_a_split_empty_is_refused(root, val_size):
    with pytest.raises(ConfigError, match=f"data.source.val_size is {val_size}; expected 1 to 29"):
        mnist(root, val_size=val_size).load()


@pytest.mark.parametrize(
    ("source", "files", "folder"),
    [(Mnist, NAMES, "MNIST/raw"), (Cifar10, ["data_batch_1", "batches.meta"], "cifar-10-batches-py")],
)
def test_row_41_without_network_it_says_which_files_to_put_where(tmp_path, no_network, source, files, folder):
    with pytest.raises(DataError) as caught:
        source(tmp_path).prepare()
    first, second = str(caught.value).split("\n")
    assert "Connection refused" in first
    assert all(name in second for name in [*files, str(tmp_path / folder), "paths.data_dir"])


def test_row_41_a_single_missing_file_is_the_one_that_is_named(root, no_network):
    (root / "MNIST" / "raw" / TEST_LABELS).unlink()
    with pytest.raises(DataError, match=f"Put {TEST_LABELS} into "):
        mnist(root).prepare()


def test_downloading_can_be_forbidden(tmp_path):
    with pytest.raises(DataError, match=r"data\.source\.download is false"):
        mnist(tmp_path, download=False).prepare()
    assert not list(tmp_path.iterdir())


def test_loading_what_nobody_prepared_is_a_data_error(tmp_path):
    with pytest.raises(
        DataError, match=r"(?s)MNIST is not whole under.* paths\.data_dir or VISION_BASELINES_DATA_DIR "
    ):
        mnist(tmp_path).load()


def test_a_full_disk_while_downloading_is_a_storage_error(tmp_path, monkeypatch):
    def fetch(dataset, staging):
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(torchvision_source, "fetch", fetch)
    with pytest.raises(StorageError, match="No space left on device"):
        mnist(tmp_path).prepare()


def test_a_download_that_ends_without_its_files_is_a_data_error(tmp_path, monkeypatch):
    monkeypatch.setattr(torchvision_source, "fetch", lambda dataset, staging: None)
    with pytest.raises(DataError, match=TRAIN_IMAGES):
        mnist(tmp_path).prepare()


def pack(folder, monkeypatch, dataset):
    """Put archives of raw files beside them, and their MD5 where torchvision publishes it."""
    resources = []
    for name in NAMES:
        packed = gzip.compress((folder / name).read_bytes(), mtime=0)
        (folder / f"{name}.gz").write_bytes(packed)
        resources.append((f"{name}.gz", hashlib.md5(packed).hexdigest()))
    monkeypatch.setattr(dataset, "resources", resources)


def test_archives_put_in_place_by_hand_need_no_network(root, monkeypatch, no_network):
    raw = root / "MNIST" / "raw"
    expected = mnist(root).load().sha256
    pack(raw, monkeypatch, datasets.MNIST)
    for name in NAMES:
        (raw / name).unlink()
    mnist(root).prepare()
    assert mnist(root).load().sha256 == expected
    assert not list(root.glob(".partial*"))


def test_row_38_without_a_checksum_the_archives_beside_the_files_decide(tmp_path, monkeypatch, caplog):
    raw = write_raw(tmp_path / "FashionMNIST" / "raw")
    pack(raw, monkeypatch, datasets.FashionMNIST)
    FashionMnist(tmp_path, val_size=6).load()
    assert not caplog.records
    labels = bytearray((raw / TRAIN_LABELS).read_bytes())
    labels[10] ^= 1
    (raw / TRAIN_LABELS).write_bytes(labels)
    with pytest.raises(DataError, match=f"checksum mismatch: .*{TRAIN_LABELS} is not what {TRAIN_LABELS}.gz holds"):
        FashionMnist(tmp_path, val_size=6).load()


def test_data_of_no_known_checksum_is_said_to_be_unchecked_once(tmp_path, caplog):
    write_raw(tmp_path / "KMNIST" / "raw")
    for _ in range(2):
        Kmnist(tmp_path, val_size=6).load()
    assert [record.levelno for record in caplog.records] == [logging.WARNING]
    pinned = caplog.messages[0].split("data.source.sha256=")[1]
    caplog.clear()
    Kmnist(tmp_path, val_size=6, sha256=pinned).load()
    assert not caplog.records


def test_a_root_that_may_not_be_read_is_a_data_error(root, monkeypatch):
    def refuse(path):
        raise PermissionError(13, "Permission denied", str(path))

    monkeypatch.setattr(Path, "is_file", refuse)
    for step in (mnist(root).prepare, mnist(root).load):
        with pytest.raises(DataError, match=f"cannot read {root}.*: Permission denied"):
            step()


class OldDtype:
    """Pickles as dtypes did in 2009, with whole numbers for booleans, of which NumPy 2.4.0 to 2.4.4 warn."""

    def __reduce__(self):
        return np.dtype, ("u1", 0, 1)


def write_cifar(root, monkeypatch, dataset, per_batch=10):
    folder = root / dataset.base_folder
    folder.mkdir()
    draws = np.random.default_rng(1)
    meta_key, labels_key = dataset.meta["key"], "labels" if dataset is datasets.CIFAR10 else "fine_labels"
    classes = 10 if dataset is datasets.CIFAR10 else 100

    def dump(name, content):
        (folder / name).write_bytes(pickle.dumps(content, protocol=2))
        return hashlib.md5((folder / name).read_bytes()).hexdigest()

    lists = {}
    for listed in ("train_list", "test_list"):
        lists[listed] = [
            [
                name,
                dump(
                    name,
                    {
                        "data": draws.integers(0, 256, (per_batch, 3072), dtype=np.uint8),
                        labels_key: draws.integers(0, classes, per_batch).tolist(),
                        "dtype": OldDtype(),
                    },
                ),
            ]
            for name, _ in getattr(dataset, listed)
        ]
    md5 = dump(dataset.meta["filename"], {meta_key: [f"class {label}" for label in range(classes)]})
    for listed, entries in lists.items():
        monkeypatch.setattr(dataset, listed, entries)
    monkeypatch.setattr(dataset, "meta", {**dataset.meta, "md5": md5})
    return folder


@pytest.mark.parametrize(
    ("source", "dataset", "classes"), [(Cifar10, datasets.CIFAR10, 10), (Cifar100, datasets.CIFAR100, 100)]
)
def test_cifar_batches_become_channel_first_tensors(tmp_path, monkeypatch, caplog, source, dataset, classes):
    folder = write_cifar(tmp_path, monkeypatch, dataset)
    source(tmp_path, val_size=4).prepare()
    splits = source(tmp_path, val_size=4).load()
    batch = pickle.loads((folder / dataset.test_list[0][0]).read_bytes())
    assert torch.equal(splits.test.images, torch.from_numpy(batch["data"]).view(-1, 3, 32, 32))
    assert splits.test.target.tolist() == (batch.get("labels") or batch["fine_labels"])
    assert len(splits.class_names) == classes
    assert len(splits.train.target) == 10 * len(dataset.train_list) - 4
    assert not caplog.records  # its checksums are published


def test_row_38_an_altered_cifar_batch_is_named_and_never_unpickled(tmp_path, monkeypatch):
    folder = write_cifar(tmp_path, monkeypatch, datasets.CIFAR10)
    marker = tmp_path / "ran"

    class Code:
        def __reduce__(self):
            return os.mkdir, (str(marker),)

    (folder / "data_batch_3").write_bytes(pickle.dumps(Code()))
    with pytest.raises(DataError, match=r"checksum mismatch: .*data_batch_3 \(\d+ bytes\) has MD5"):
        Cifar10(tmp_path, val_size=4).load()
    assert not marker.exists()


def test_the_network_timeout_is_put_back_after_a_failed_download(tmp_path, no_network):
    import socket

    with pytest.raises(DataError):
        mnist(tmp_path).prepare()
    assert socket.getdefaulttimeout() is None


def test_an_unreachable_server_ends_in_one_line_of_reason(tmp_path, monkeypatch):
    def fetch(dataset, staging):
        raise URLError("Temporary failure\nin name resolution")

    monkeypatch.setattr(torchvision_source, "fetch", fetch)
    with pytest.raises(DataError) as caught:
        mnist(tmp_path).prepare()
    assert str(caught.value).count("\n") == 1


WORKER = """
import os, sys, time
from pathlib import Path
from vision_baselines.data import torchvision_source

master, root, log, pause_s = Path(sys.argv[1]), sys.argv[2], Path(sys.argv[3]), float(sys.argv[4])

def fetch(dataset, staging):
    folder = staging / dataset / "raw"
    folder.mkdir(parents=True, exist_ok=True)
    for source in sorted(master.iterdir()):
        content = source.read_bytes()
        (folder / source.name).write_bytes(content[: len(content) // 2])
        with log.open("a") as file:
            file.write(f"{os.getpid()} {source.name}\\n")
        time.sleep(pause_s)
        (folder / source.name).write_bytes(content)

torchvision_source.fetch = fetch
torchvision_source.Mnist(root).prepare()
"""


def start(master, root, log, pause_s):
    environment = {**os.environ, "PYTHONPATH": str(Path(vision_baselines.__file__).parents[1]), "OMP_NUM_THREADS": "1"}
    arguments = [sys.executable, "-c", WORKER, str(master), str(root), str(log), str(pause_s)]
    return subprocess.Popen(arguments, env=environment)


@pytest.mark.slow
def test_rows_39_and_40_killed_while_preparing_then_four_at_once_and_one_writes(tmp_path):
    master, root, log = write_raw(tmp_path / "master" / "MNIST" / "raw"), tmp_path / "data", tmp_path / "log"
    with start(master, root, log, pause_s=60) as killed:
        deadline = time.monotonic() + 60
        while not log.exists() and time.monotonic() < deadline:
            time.sleep(0.02)
        killed.kill()
    assert not (root / "MNIST").exists()
    log.unlink()

    processes = [start(master, root, log, pause_s=0.05) for _ in range(4)]
    assert [process.wait(timeout=120) for process in processes] == [0, 0, 0, 0]
    assert mnist(root).load().sha256 == mnist(tmp_path / "master").load().sha256
    assert len({line.split()[0] for line in log.read_text().splitlines()}) == 1
    assert not list(root.glob(".partial*"))
