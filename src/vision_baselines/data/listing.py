"""What can be said of a source's files from its config, without torch and without reading them.

A finished run is left alone only where its files are those it was trained on: `listing_sha256` is what is compared with
its record. What a run will need of memory is estimated here too, so that a sweep starts no more jobs than fit.
"""

from __future__ import annotations

import hashlib
import math
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from vision_baselines.data.picture_decoding import median_side
from vision_baselines.data.picture_labels import list_labelled
from vision_baselines.data.picture_layout import what_of
from vision_baselines.data.picture_listing import Listing, list_pictures
from vision_baselines.errors import DataError

_IMAGE_FOLDER = "vision_baselines.data.image_folder.ImageFolder"
_LARGEST_AUTO_SIDE = 224
# Images of the data sets whose size is known before they are read: train, val and test together.
_IMAGES = {
    "Digits": 1_797,
    "Mnist": 70_000,
    "FashionMnist": 70_000,
    "Kmnist": 70_000,
    "Cifar10": 60_000,
    "Cifar100": 60_000,
}
# Where torchvision's data sets lie under their root. MNIST's content is pinned by a checksum, unless that is null.
_FOLDERS = {
    "Mnist": "MNIST/raw",
    "FashionMnist": "FashionMNIST/raw",
    "Kmnist": "KMNIST/raw",
    "Cifar10": "cifar-10-batches-py",
    "Cifar100": "cifar-100-python",
}


def listed_pictures(source: Mapping[str, Any]) -> Listing | None:
    """The pictures of an image folder's config; None for another source.

    Args:
        source: ``data.source``, resolved.

    Raises:
        DataError: The folder or its table cannot be used.
    """
    if source.get("_target_") != _IMAGE_FOLDER or source.get("root") is None:
        return None
    root = Path(source["root"]).expanduser()
    try:
        if (labels := source.get("labels")) is not None:
            columns = {key: source.get(key) for key in ("file_column", "label_column")}
            return list_labelled(root, labels, **columns)
        return list_pictures(root)
    except (OSError, ValueError) as error:  # a name that no file can have
        raise DataError(f"cannot read {what_of(error, root)}; set data.source.root") from error


def listing_sha256(source: Mapping[str, Any]) -> str | None:
    """Hex digest that changes when a file of a source is added, removed, renamed, touched or replaced.

    Args:
        source: ``data.source``, resolved.

    Returns:
        None where the source has no files of the user's own, or they cannot be listed.
    """
    try:
        listing = listed_pictures(source)
    except DataError:
        return None
    if listing is not None:
        return listing.fingerprint()
    digest = hashlib.sha256()
    files = _own_files(source)
    try:
        for file in files:
            status = file.stat()
            digest.update(repr((status.st_size, status.st_mtime_ns, status.st_ctime_ns, status.st_ino)).encode())
    except (OSError, ValueError):
        return None
    return digest.hexdigest() if files else None


def _own_files(source: Mapping[str, Any]) -> list[Path]:
    """The files that a source reads, where its config names them and no checksum pins what is in them."""
    folder = _FOLDERS.get(str(source.get("_target_")).rpartition(".")[2])
    if folder is not None:
        root = Path(str(source.get("root"))).expanduser() / folder
        return sorted(root.iterdir()) if source.get("sha256") is None and root.is_dir() else []
    return [
        Path(value).expanduser() for key, value in source.items() if key.endswith("file") and isinstance(value, str)
    ]


def found_image_size(root: Path, listing: Listing) -> int:
    """Median of the pictures' shorter sides, in pixels, at most 224, from the headers of some two hundred."""
    pictures = listing.pictures["train"]
    sample = pictures[:: max(1, len(pictures) // 200)]
    return min(_LARGEST_AUTO_SIDE, median_side([root / picture.path for picture in sample]))


def image_count(data: Mapping[str, Any]) -> int | None:
    """Images of a data set, train, val and test together, where its config or its name says so without a look at it.

    Args:
        data: The ``data`` part of a resolved config.
    """
    source = data.get("source") or {}
    if isinstance(source.get("train_size"), int) and isinstance(source.get("test_size"), int):
        return int(source["train_size"] + source["test_size"])
    return _IMAGES.get(str(source.get("_target_")).rpartition(".")[2])


def estimated_bytes(data: Mapping[str, Any]) -> int | None:
    """Memory that the images of a run take, in bytes; None where that is not known before they are read.

    Twice the images, as a source that cuts validation from train holds both for a moment.

    Args:
        data: The ``data`` part of a resolved config.
    """
    source = data.get("source") or {}
    shape = data.get("image_shape")
    if not isinstance(shape, list | tuple) or not all(isinstance(side, int) for side in shape):
        return None
    count = image_count(data)
    if count is None:
        try:
            listing = listed_pictures(source)
        except DataError:
            return None
        if listing is not None:
            count = sum(map(len, listing.pictures.values()))
    if count is None:
        sizes = [file.stat().st_size for file in _own_files(source) if file.is_file()]
        return 2 * sum(sizes) if sizes else None
    return 2 * count * math.prod(shape)
