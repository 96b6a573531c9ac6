"""MNIST, Fashion-MNIST, KMNIST, CIFAR-10 and CIFAR-100 from torchvision's folders, downloaded where they are missing.

A download goes into a staging folder under a lock and is moved into place file by file once it is whole: of
several processes one downloads, and one that is killed leaves nothing behind that looks finished (torchvision
extracts in place, and takes a file that exists for whole). Where the files are all there, nothing is written, not
even the lock, so a read-only folder will do. What the files look like inside is left to `idx_files` and
`cifar_files`.
"""

from __future__ import annotations

import errno
import functools
import logging
import os
import shutil
import socket
import tarfile
import zlib
from abc import ABC
from dataclasses import dataclass
from http.client import HTTPException
from pathlib import Path
from typing import ClassVar, Protocol, final

from vision_baselines.data.cifar_files import CifarFiles
from vision_baselines.data.idx_files import IdxFiles
from vision_baselines.data.integrity import prepare_lock, verify
from vision_baselines.data.picture_layout import printable, what_of
from vision_baselines.data.source_report import VAL_CUT_FROM_TRAIN
from vision_baselines.data.splits import SPLIT_SEED, OfficialSplits, Splits, cut_val
from vision_baselines.errors import DataError, StorageError
from vision_baselines.storage.hashing import tensors_sha256

# tensors_sha256 of train images and labels, test images and labels, in the order of the files
MNIST_SHA256 = "731c02e50f07a2fc93cc2c9b0df709507fc27cba0aff0ee3592e75b0849b602e"

_NETWORK_TIMEOUT_S = 30.0
_STORAGE_ERRORS = {errno.ENOSPC, errno.EDQUOT, errno.EROFS, errno.EACCES, errno.EPERM}

logger = logging.getLogger(__name__)


class RawFiles(Protocol):
    """How one family of data sets lies on disk."""

    @property
    def dataset(self) -> str:
        """Name of torchvision's class."""

    def paths(self, root: Path) -> list[Path]:
        """The files that are read."""

    def archives(self, root: Path) -> list[Path]:
        """The files that are downloaded; they may stay or go."""

    def check(self, root: Path) -> None:
        """Raise DataError for a file that is not whole."""

    def read(self, root: Path) -> OfficialSplits:
        """Every image and label."""

    def published_checksums_hold(self, root: Path) -> bool:
        """Whether the files are known to be the published ones; DataError where they are known not to be."""


@dataclass(frozen=True)
class _TorchvisionSource(ABC):
    """Official test split; validation is cut from train at random.

    Args:
        root: Torchvision's root folder.
        val_size: Images cut from train for validation.
        split_seed: Decides which.
        sha256: Checksum of the tensors before the cut; None where it is not known.
        download: Whether missing files may be fetched from the network.
    """

    root: str | Path
    val_size: int = 5_000
    split_seed: int = SPLIT_SEED
    sha256: str | None = None
    download: bool = True

    raw_files: ClassVar[RawFiles]

    def prepare(self) -> None:
        """Download what is missing; returns at once where nothing is.

        Raises:
            DataError: Files are missing and cannot be had.
            StorageError: They cannot be written.
        """
        root = self._root
        if not _missing(self.raw_files, root):
            return
        if not self.download:
            raise DataError(*_absence(self.raw_files, root, "data.source.download is false"))
        try:
            with prepare_lock(root):
                if _missing(self.raw_files, root):
                    _fetch_whole(self.raw_files, root)
        except StorageError as error:
            raise StorageError(*_absence(self.raw_files, root, str(error))) from error

    def load(self) -> Splits:
        """Train, val and test, checked.

        Raises:
            DataError: A file is missing or damaged, or the data is not what the checksum stands for.
        """
        root, dataset = self._root, self.raw_files.dataset
        if _missing(self.raw_files, root):
            raise DataError(*_absence(self.raw_files, root, "nothing has prepared it"))
        official = self.raw_files.read(root)
        tensors = (official.train.images, official.train.target, official.test.images, official.test.target)
        if self.sha256 is not None:
            folder = self.raw_files.paths(root)[0].parent
            remedy = f"Delete {folder} and start again to download it, or set data.source.sha256 to what you mean."
            verify(self.sha256, *tensors, what=f"{dataset} in {folder}", remedy=remedy)
        elif not self.raw_files.published_checksums_hold(root):
            _say_unchecked(dataset, root, tensors_sha256(*tensors))
        train, val = cut_val(official.train, self.val_size, seed=self.split_seed)
        return Splits(train, val, official.test, official.class_names, VAL_CUT_FROM_TRAIN)

    @property
    def _root(self) -> Path:
        return Path(self.root).expanduser()


@final
@dataclass(frozen=True)
class Mnist(_TorchvisionSource):
    """70,000 handwritten digits, (1, 28, 28): 55,000 train, 5,000 val, 10,000 test."""

    sha256: str | None = MNIST_SHA256
    raw_files: ClassVar[RawFiles] = IdxFiles("MNIST")


@final
@dataclass(frozen=True)
class FashionMnist(_TorchvisionSource):
    """70,000 pieces of clothing, (1, 28, 28): 55,000 train, 5,000 val, 10,000 test."""

    raw_files: ClassVar[RawFiles] = IdxFiles("FashionMNIST")


@final
@dataclass(frozen=True)
class Kmnist(_TorchvisionSource):
    """70,000 cursive Japanese characters, (1, 28, 28): 55,000 train, 5,000 val, 10,000 test."""

    raw_files: ClassVar[RawFiles] = IdxFiles("KMNIST")


@final
@dataclass(frozen=True)
class Cifar10(_TorchvisionSource):
    """60,000 photographs of 10 classes, (3, 32, 32): 45,000 train, 5,000 val, 10,000 test."""

    raw_files: ClassVar[RawFiles] = CifarFiles("CIFAR10")


@final
@dataclass(frozen=True)
class Cifar100(_TorchvisionSource):
    """60,000 photographs of 100 classes, (3, 32, 32): 45,000 train, 5,000 val, 10,000 test."""

    raw_files: ClassVar[RawFiles] = CifarFiles("CIFAR100")


def fetch(dataset: str, staging: Path) -> None:
    """Have torchvision download and extract a data set; the only place that touches the network."""
    from torchvision import datasets

    before = socket.getdefaulttimeout()
    socket.setdefaulttimeout(_NETWORK_TIMEOUT_S)  # torchvision sets none, and would wait for a silent server for good
    try:
        getattr(datasets, dataset)(staging, download=True)
    finally:
        socket.setdefaulttimeout(before)


def _fetch_whole(raw_files: RawFiles, root: Path) -> None:
    """Download into the staging folder, then move into place; the caller holds the lock."""
    staging = root / f".partial-{raw_files.dataset}"
    try:
        for leftover in raw_files.paths(staging):
            leftover.unlink(missing_ok=True)  # may be half extracted; a half download torchvision sees by its MD5
        for archive, staged in zip(raw_files.archives(root), raw_files.archives(staging), strict=True):
            if archive.is_file() and not staged.exists():
                staged.parent.mkdir(parents=True, exist_ok=True)
                shutil.copyfile(archive, staged)
        fetch(raw_files.dataset, staging)
        raw_files.check(staging)
        # archives first: when every file that is read is in place, nothing of any size is left in the staging folder
        for listed in (raw_files.archives, raw_files.paths):
            for path, staged in zip(listed(root), listed(staging), strict=True):
                _move(staged, path)
        shutil.rmtree(staging)
    except (OSError, RuntimeError, EOFError, HTTPException, zlib.error, tarfile.TarError) as error:
        # torchvision lists every mirror it tried, a line each; the last one's answer is enough
        reason = (str(error).strip().splitlines() or [type(error).__name__])[-1]
        if isinstance(error, OSError) and error.errno in _STORAGE_ERRORS:
            raise StorageError(f"cannot write it: {reason}") from error
        raise DataError(*_absence(raw_files, root, reason)) from error


def _move(staged: Path, path: Path) -> None:
    if path.exists() or not staged.exists():
        return
    path.parent.mkdir(parents=True, exist_ok=True)
    with staged.open("rb") as file:
        os.fsync(file.fileno())
    staged.replace(path)


def _missing(raw_files: RawFiles, root: Path) -> list[Path]:
    try:
        return [path for path in raw_files.paths(root) if not path.is_file()]
    except (OSError, ValueError) as error:  # a name that no file can have
        raise DataError(f"cannot read {what_of(error, root)}; set paths.data_dir") from error


def _absence(raw_files: RawFiles, root: Path, reason: str) -> tuple[str, str]:
    paths = raw_files.paths(root)
    folder = printable(str(paths[0].parent))
    names = ", ".join(path.name for path in _missing(raw_files, root) or paths)
    return (
        f"{raw_files.dataset} is not whole under {printable(str(root))} and was not downloaded: {reason}",
        f"Put {names} into {folder}, or set paths.data_dir or VISION_BASELINES_DATA_DIR to the folder that holds "
        f"{raw_files.dataset}.",
    )


@functools.cache
def _say_unchecked(dataset: str, root: Path, sha256: str) -> None:
    logger.warning(
        "%s under %s was not checked: no checksum is known. To pin it, set data.source.sha256=%s",
        dataset,
        root,
        sha256,
    )
