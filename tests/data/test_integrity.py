"""Checksums, the checks of a split, and the lock."""

import hashlib
import subprocess
import sys
import threading
from pathlib import Path

import pytest
import torch

from vision_baselines.data.integrity import LOCK_FILE, check_split, prepare_lock, tensors_sha256, verify
from vision_baselines.errors import DataError, StorageError

IMAGES = torch.zeros(4, 1, 2, 2, dtype=torch.uint8)
TARGET = torch.tensor([0, 1, 2, 1])


def test_the_checksum_is_sha256_over_dtype_shape_and_bytes():
    by_hand = hashlib.sha256(b"torch.int16 (2, 1)\n" + b"\x01\x00\xff\xff").hexdigest()
    assert tensors_sha256(torch.tensor([[1], [-1]], dtype=torch.int16)) == by_hand


def test_the_checksum_does_not_depend_on_the_layout_in_memory():
    image = torch.arange(24, dtype=torch.uint8).view(1, 2, 3, 4)
    assert tensors_sha256(image) == tensors_sha256(image.contiguous(memory_format=torch.channels_last))


@pytest.mark.parametrize(
    "other",
    [
        (IMAGES + 1, TARGET),
        (IMAGES.view(4, 1, 4, 1), TARGET),
        (IMAGES, TARGET.int()),
        (TARGET, IMAGES),
        (IMAGES,),
        (IMAGES, TARGET, torch.empty(0)),
    ],
)
def test_the_checksum_tells_values_shapes_dtypes_order_and_number_apart(other):
    assert tensors_sha256(*other) != tensors_sha256(IMAGES, TARGET)


def test_verify_is_silent_when_the_checksum_holds():
    verify(tensors_sha256(IMAGES), IMAGES, what="x", remedy="y")


def test_a_mismatch_names_the_data_both_digests_and_the_remedy():
    with pytest.raises(DataError) as caught:
        verify("0" * 64, IMAGES, what="MNIST in /data", remedy="Delete it.")
    assert str(caught.value) == (
        f"checksum mismatch: MNIST in /data hashes to {tensors_sha256(IMAGES)}; expected {'0' * 64} "
        "(data.source.sha256).\nDelete it."
    )
    assert caught.value.exit_code == 3


@pytest.mark.parametrize(
    ("images", "target", "message"),
    [
        (IMAGES[:3], TARGET, "train has 3 images but 4 labels"),
        (IMAGES[:0], TARGET[:0], "train has no images"),
        (IMAGES.float(), TARGET, "train images are torch.float32"),
        (IMAGES[0], TARGET, r"train images are torch.uint8 of shape \(1, 2, 2\)"),
        (IMAGES, TARGET.int(), "train labels are torch.int32"),
        (IMAGES, torch.tensor([0, 1, 77, 1]), "train has labels from 0 to 77; expected 0 to 2 for 3 classes"),
        (IMAGES, torch.tensor([0, -1, 2, 1]), "train has labels from -1 to 2"),
    ],
)
def test_a_split_that_cannot_be_right_is_refused_with_both_numbers(images, target, message):
    with pytest.raises(DataError, match=message):
        check_split("train", images, target, num_classes=3)


def test_a_right_split_passes():
    check_split("train", IMAGES, TARGET, num_classes=3)


def test_the_lock_lets_one_in_at_a_time(tmp_path):
    inside, most = 0, 0

    def enter():
        nonlocal inside, most
        for _ in range(20):
            with prepare_lock(tmp_path):
                inside += 1
                most = max(most, inside)
                inside -= 1

    threads = [threading.Thread(target=enter) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert most == 1


def test_the_lock_goes_when_its_process_is_killed(tmp_path):
    holder = (
        "import fcntl, sys, time\n"
        "file = open(sys.argv[1], 'ab')\n"
        "fcntl.flock(file, fcntl.LOCK_EX)\n"
        "print('held', flush=True)\n"
        "time.sleep(60)\n"
    )
    with subprocess.Popen(
        [sys.executable, "-c", holder, str(tmp_path / LOCK_FILE)], stdout=subprocess.PIPE, text=True
    ) as process:
        assert process.stdout.readline() == "held\n"
        got_it = threading.Event()

        def wait_for_it():
            with prepare_lock(tmp_path):
                got_it.set()

        waiting = threading.Thread(target=wait_for_it)
        waiting.start()
        assert not got_it.wait(0.2)
        process.kill()
        assert got_it.wait(5)
        waiting.join()


def test_an_error_inside_lets_the_lock_go(tmp_path):
    with pytest.raises(ZeroDivisionError), prepare_lock(tmp_path):
        1 / 0  # noqa: B018
    with prepare_lock(tmp_path):
        pass


def test_a_folder_that_cannot_be_written_is_named(tmp_path):
    blocked = tmp_path / "file"
    blocked.touch()
    with pytest.raises(StorageError, match=r"cannot write in .*file/data"), prepare_lock(Path(blocked, "data")):
        pass
