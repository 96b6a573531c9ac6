"""Whether data is what it should be: checksums of tensors, checks of a split, and a lock for whoever prepares it.

Torchvision takes zeroed labels, a flipped pixel, a label 77 and more images than labels without a word; what is
read from disk therefore passes through here before anything is trained on it. Which checksum is expected is left
to the sources, how a file is laid out to its reader.
"""

from __future__ import annotations

import hashlib
import logging
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from functools import partial
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from vision_baselines.errors import DataError, StorageError
from vision_baselines.storage.hashing import tensors_sha256
from vision_baselines.storage.lock import exclusive

LOCK_FILE = ".prepare.lock"
MOST_PUBLISHED_BYTES = 2**28

logger = logging.getLogger(__name__)


def verify(expected: str, *tensors: Tensor, what: str, remedy: str) -> None:
    """Hold tensors against the checksum they must have.

    Args:
        expected: Hex digest from `tensors_sha256`.
        tensors: In the order in which the digest was made.
        what: Names the data in the message, such as ``MNIST under /data``.
        remedy: What the person can do about it, a sentence.

    Raises:
        DataError: The digests differ.
    """
    received = tensors_sha256(*tensors)
    if received != expected:
        raise DataError(
            f"checksum mismatch: {what} hashes to {received}; expected {expected} (data.source.sha256).", remedy
        )


def torchvision_class(dataset: str) -> Any:
    """Torchvision's class of a data set, which states names, classes and checksums; imported where it is needed."""
    from torchvision import datasets

    return getattr(datasets, dataset)


def md5_of(path: Path) -> str:
    """MD5 of a published file; one that is larger than any of them is not read to its end.

    Raises:
        OSError: It cannot be read.
    """
    digest = hashlib.md5(usedforsecurity=False)
    with path.open("rb") as file:
        for _ in range(0, MOST_PUBLISHED_BYTES, 2**20):
            digest.update(file.read(2**20))
    return digest.hexdigest()


def check_split(name: str, images: Tensor, target: Tensor, *, num_classes: int) -> None:
    """Refuse a split that could only be trained on by mistake.

    Args:
        name: ``train``, ``val`` or ``test``, for the message.
        images: Must be (N, C, H, W), uint8, with N > 0.
        target: Must be (N,), int64, with 0 <= target < num_classes; without classes, finite float32 of (N,) or (N, K).
        num_classes: Number of classes; 0 where targets are numbers.

    Raises:
        DataError: Any of this does not hold.
    """
    if images.dtype != torch.uint8 or images.ndim != 4:
        raise DataError(
            f"{name} images are {images.dtype} of shape {tuple(images.shape)}; expected torch.uint8 of (N, C, H, W)"
        )
    if not num_classes and (target.dtype != torch.float32 or target.ndim not in (1, 2)):
        raise DataError(
            f"{name} targets are {target.dtype} of shape {tuple(target.shape)}; "
            "expected torch.float32 of (N,) or (N, K) for data without classes"
        )
    if num_classes and (target.dtype != torch.int64 or target.ndim != 1):
        raise DataError(
            f"{name} labels are {target.dtype} of shape {tuple(target.shape)}; expected torch.int64 of (N,)"
        )
    if len(images) != len(target):
        raise DataError(f"{name} has {len(images):,} images but {len(target):,} labels; expected one label an image")
    if not len(target):
        raise DataError(f"{name} has no images; expected at least one")
    if not num_classes:
        if not bool(target.isfinite().all()):
            raise DataError(f"{name} has targets that are not finite; expected numbers")
        return
    lowest, highest = int(target.min()), int(target.max())
    if lowest < 0 or highest >= num_classes:
        raise DataError(
            f"{name} has labels from {lowest} to {highest}; expected 0 to {num_classes - 1} for {num_classes} classes"
        )


@contextmanager
def prepare_lock(folder: Path) -> Iterator[None]:
    """Let one process at a time prepare what lies in a folder; the others wait for it.

    Raises:
        StorageError: The folder or the lock file in it cannot be written, or the file system knows no locks.
    """
    with ExitStack() as held:
        try:
            waiting = partial(logger.info, "waiting for another process that prepares data in %s", folder)
            held.enter_context(exclusive(folder, wait=True, name=LOCK_FILE, on_wait=waiting))
        except OSError as error:
            raise StorageError(f"cannot write in {folder}: {error.strerror or error}") from error
        yield
