"""The raw files of MNIST and its likes: IDX, as torchvision lays them out under ``<root>/<dataset>/raw``.

Read here rather than by torchvision's class, which prefers a forgotten ``processed/`` folder when there is one,
takes a truncated file's word for its shape and counts nothing. Where the files come from is left to
`torchvision_source`.

Source of the format: LeCun, Cortes & Burges, http://yann.lecun.com/exdb/mnist/.
"""

from __future__ import annotations

import gzip
import math
import struct
import zlib
from dataclasses import dataclass
from pathlib import Path
from typing import final

import numpy as np
import torch
from torch import Tensor

from vision_baselines.data.integrity import md5_of, torchvision_class
from vision_baselines.data.splits import OfficialSplits, Split
from vision_baselines.errors import DataError

_NAMES = ("train-images-idx3-ubyte", "train-labels-idx1-ubyte", "t10k-images-idx3-ubyte", "t10k-labels-idx1-ubyte")
# Number of images in the official splits of MNIST, Fashion-MNIST and KMNIST, all 28×28.
_OFFICIAL_COUNTS = {"train": 60_000, "t10k": 10_000}
_IMAGE_PIXELS = 28 * 28


@final
@dataclass(frozen=True)
class IdxFiles:
    """Four IDX files: images and labels of train and of ``t10k``, which is test.

    Args:
        dataset: Name of torchvision's class, and of the folder under the root.
    """

    dataset: str

    def paths(self, root: Path) -> list[Path]:
        """Train images, train labels, test images, test labels."""
        return [root / self.dataset / "raw" / name for name in _NAMES]

    def archives(self, root: Path) -> list[Path]:
        """The compressed files that are downloaded, in the order of `paths`."""
        return [path.with_name(f"{path.name}.gz") for path in self.paths(root)]

    def check(self, root: Path) -> None:
        """Hold every file's size against its header, without reading it.

        Raises:
            DataError: A file is truncated, empty, too long or no IDX file.
        """
        for path in self.paths(root):
            _shape(path)

    def read(self, root: Path) -> OfficialSplits:
        """Images (N, 1, H, W) and labels of train and test; class names as torchvision states them.

        Raises:
            DataError: As `check`, or images and labels differ in number.
        """
        train_images, train_labels, test_images, test_labels = self.paths(root)
        return OfficialSplits(
            train=_split(train_images, train_labels),
            test=_split(test_images, test_labels),
            class_names=tuple(torchvision_class(self.dataset).classes),
        )

    def published_checksums_hold(self, root: Path) -> bool:
        """Whether the files are what the archives beside them hold, whose MD5 torchvision publishes.

        Returns:
            False where that cannot be known, because the archives are not there.

        Raises:
            DataError: A file is something else than its archive holds.
        """
        archives = self.archives(root)
        if not all(archive.is_file() for archive in archives):
            return False
        md5 = dict(torchvision_class(self.dataset).resources)
        for archive, path in zip(archives, self.paths(root), strict=True):
            if md5_of(archive) != md5[archive.name]:
                return False
            try:
                altered = gzip.decompress(archive.read_bytes()) != path.read_bytes()
            except (OSError, EOFError, zlib.error):
                return False
            if altered:
                raise DataError(f"checksum mismatch: {path} is not what {archive.name} holds.", _remedy(path))
        return True


def _split(images_path: Path, labels_path: Path) -> Split:
    images, labels = _tensor(images_path), _tensor(labels_path)
    if len(images) != len(labels):
        raise DataError(
            f"{images_path} holds {len(images):,} images but {labels_path.name} {len(labels):,} labels; "
            f"expected one label an image.",
            _remedy(labels_path),
        )
    return Split(images.unsqueeze(1), labels.long())


def _shape(path: Path) -> tuple[int, ...]:
    """Shape that a file's header states, once the file's size agrees with it."""
    dimensions = 3 if "-images-" in path.name else 1
    header_bytes = 4 + 4 * dimensions
    try:
        received = path.stat().st_size
        with path.open("rb") as file:
            header = file.read(header_bytes)
    except OSError as error:
        raise DataError(f"cannot read {path}: {error.strerror or error}") from error
    # two zero bytes, 8 for unsigned bytes, the number of dimensions
    if len(header) < header_bytes or header[:4] != bytes((0, 0, 8, dimensions)):
        begins = f"beginning with {header[:15]!r}" if header else "empty"
        raise DataError(
            f"{path} has {received:,} bytes and is no IDX file ({begins}); expected {_official_size(path):,} bytes.",
            _remedy(path),
        )
    shape = struct.unpack(f">{dimensions}I", header[4:])
    expected = header_bytes + math.prod(shape)
    if received != expected:
        raise DataError(f"{path} has {received:,} bytes; expected {expected:,}.", _remedy(path))
    return shape


def _tensor(path: Path) -> Tensor:
    shape = _shape(path)
    try:
        return torch.from_numpy(np.fromfile(path, dtype=np.uint8, offset=4 + 4 * len(shape)).reshape(shape))
    except OSError as error:
        raise DataError(f"cannot read {path}: {error.strerror or error}") from error


def _official_size(path: Path) -> int:
    count = _OFFICIAL_COUNTS[path.name.split("-")[0]]
    return 16 + count * _IMAGE_PIXELS if "-images-" in path.name else 8 + count


def _remedy(path: Path) -> str:
    return f"Delete it and start again to download it, or put the right {path.name} there."
