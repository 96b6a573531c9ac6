"""Data sets as arrays in one file: NumPy's ``.npz`` with images and labels, as those of Keras' data sets.

Arrays are looked up by name, their sizes compared with this machine's memory before they are read, and nothing pickled
is opened. How labels become classes and splits are cut is shared with `csv_pixels`.
"""

from __future__ import annotations

import zipfile
import zlib
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, final

import numpy as np
import torch

from vision_baselines.data.memory import physical_bytes
from vision_baselines.data.picture_layout import few, file_size, one_line, printable
from vision_baselines.data.picture_listing import class_name, natural_order
from vision_baselines.data.source_report import SourceReport
from vision_baselines.data.splits import SPLIT_SEED, Split, Splits, held_out, held_out_counts, require_fractions
from vision_baselines.errors import ConfigError, DataError

Array = np.ndarray[Any, Any]
# What NumPy raises for damaged bytes; RuntimeError is an archive with a password.
_UNREADABLE = (
    *(OSError, ValueError, EOFError, KeyError, RuntimeError, MemoryError),
    *(zipfile.BadZipFile, zlib.error),
)
_MOST_CLASSES = 100_000
_MOST_CHANNELS = 4


@final
@dataclass(frozen=True)
class Npz:
    """Images and labels in an ``.npz`` file.

    Images are (N, H, W), (N, H, W, C) or (N, C, H, W) with 1 to 4 channels: bytes, whole numbers from 0 to 255, or
    shares from 0 to 1. Labels are (N,) or (N, 1), numbers or words; classes are what occurs in train, sorted.

    Args:
        file: Must be set.
        x_train: Name of the array of training images.
        y_train: Of their labels.
        x_val: Of validation images; where there is no such array, they are cut from train.
        y_val: Of their labels.
        x_test: Of test images; where there is no such array, they are cut from train, which is said.
        y_test: Of their labels.
        val_fraction: Of each class in train, held out for validation where there is none.
        test_fraction: Of each class in train, held out for testing where there is none.
        split_seed: Decides which.
    """

    file: str | Path | None
    x_train: str = "x_train"
    y_train: str = "y_train"
    x_val: str = "x_val"
    y_val: str = "y_val"
    x_test: str = "x_test"
    y_test: str = "y_test"
    val_fraction: float = 0.1
    test_fraction: float = 0.2
    split_seed: int = SPLIT_SEED

    def __post_init__(self) -> None:
        require_file(self.file, ".npz")
        require_fractions(self.val_fraction, self.test_fraction)

    def prepare(self) -> None:
        """Nothing to do: the file is there, or it is not."""

    def load(self) -> Splits:
        """Train, val and test, images (N, C, H, W).

        Raises:
            DataError: The file or an array in it cannot be used.
        """
        path = Path(str(self.file)).expanduser()
        arrays = _arrays(path, self._names())
        images, labels = {}, {}
        for split in ("train", "val", "test"):
            x, y = getattr(self, f"x_{split}"), getattr(self, f"y_{split}")
            if x in arrays and y in arrays:
                images[split] = as_images(arrays[x], f"{x} in {printable(str(path))}")
                labels[split] = arrays[y]
            elif x in arrays or y in arrays:
                raise DataError(f"{printable(str(path))} has only one of {x} and {y}; expected images and labels")
        if "train" not in images:
            raise DataError(
                f"{printable(str(path))} has the arrays {few(sorted(_members(path))) or 'none'}; expected "
                f"{self.x_train} and {self.y_train}, or set data.source.x_train and y_train"
            )
        return cut_splits(
            labelled(images, labels, printable(str(path))),
            val_fraction=self.val_fraction,
            test_fraction=self.test_fraction,
            seed=self.split_seed,
            where=printable(str(path)),
        )

    def _names(self) -> set[str]:
        return {getattr(self, f"{kind}_{split}") for kind in "xy" for split in ("train", "val", "test")}


def require_file(file: str | Path | None, kind: str) -> None:
    """Refuse a source without its file.

    Raises:
        ConfigError: It is null.
    """
    if file is None:
        raise ConfigError(f"data.source.file is null; expected the path of a {kind} file")


def as_images(array: Array, what: str) -> torch.Tensor:
    """Images (N, C, H, W), uint8, of an array of images in another of the usual layouts.

    Raises:
        DataError: Its shape or its values are not those of images.
    """
    if array.ndim == 3:
        array = array[:, None]
    elif array.ndim == 4 and _channels_last(*array.shape[1:]):
        array = array.transpose(0, 3, 1, 2)
    if array.ndim != 4 or not 1 <= array.shape[1] <= _MOST_CHANNELS or not array.size:
        raise DataError(f"{what} has the shape {array.shape}; expected images, (N, H, W) or (N, H, W, channels)")
    if array.dtype.kind not in "buif":
        raise DataError(f"{what} is of type {array.dtype}; expected numbers")
    low, high = array.min(), array.max()
    if not (low >= 0 and high <= 255):  # also where one is not a number
        raise DataError(f"{what} has values from {low} to {high}; expected 0 to 255, or 0 to 1")
    if array.dtype.kind == "f" and high <= 1:
        array = array * 255
    if array.dtype.kind == "b":
        array = array.astype(np.uint8) * 255
    return torch.from_numpy(np.ascontiguousarray(np.rint(array) if array.dtype.kind == "f" else array, dtype=np.uint8))


def _channels_last(first: int, middle: int, last: int) -> bool:
    """Whether the last of three sides is that of the channels; of very small images, the one that is no square's."""
    if first <= _MOST_CHANNELS and last <= _MOST_CHANNELS:
        return first == middle != last
    return last <= _MOST_CHANNELS


def labelled(images: Mapping[str, torch.Tensor], labels: Mapping[str, Array], where: str) -> Splits:
    """Splits of images and labels of any kind; without val or test, train stands in their place until it is cut.

    Raises:
        DataError: Images and labels differ in number, or labels are none, or classes differ.
    """
    words: dict[str, list[str]] = {}
    for split, array in labels.items():
        flat = array.reshape(-1) if array.ndim == 2 and array.shape[1] == 1 else array
        if flat.ndim != 1 or len(flat) != len(images[split]):
            raise DataError(
                f"{where}: {split} has {len(images[split]):,} images and labels of shape {array.shape}; "
                "expected one label an image"
            )
        if flat.dtype.kind == "f" and not ((abs(flat) < 2**53).all() and (flat == np.rint(flat)).all()):
            raise DataError(f"{where}: {split} has labels that are no whole numbers; expected classes")
        whole = flat.astype(np.int64) if flat.dtype.kind in "fbu" else flat
        words[split] = [
            class_name(word.decode("utf-8", "replace") if isinstance(word, bytes) else str(word))
            for word in whole.tolist()
        ]
    names = tuple(sorted(set(words["train"]), key=natural_order))
    if not 2 <= len(names) <= _MOST_CLASSES:
        raise DataError(f"{where} has {len(names):,} classes in train; expected 2 to {_MOST_CLASSES:,}")
    numbers = {name: index for index, name in enumerate(names)}
    splits = {}
    for split, found in words.items():
        unknown = sorted(set(found).difference(numbers), key=natural_order)
        if unknown:
            raise DataError(f"{where}: {split} has classes that train lacks: {few(unknown)}")
        splits[split] = Split(images[split], torch.tensor([numbers[word] for word in found], dtype=torch.int64))
    train = splits["train"]
    return Splits(
        train,
        splits.get("val", train),
        splits.get("test", train),
        names,
        SourceReport({split: "train" for split in ("val", "test") if split not in splits}),
    )


def cut_splits(splits: Splits, *, val_fraction: float, test_fraction: float, seed: int, where: str) -> Splits:
    """Cut from train, each class by its share, the splits that `labelled` found missing.

    Raises:
        DataError: A class has too few images.
    """
    found = splits.by_name()
    train = replace(found["train"], ids=tuple(f"train {index}" for index in range(len(found["train"].target))))
    per_class = torch.bincount(train.target).tolist()
    fractions = {"test": test_fraction, "val": val_fraction}
    missing = {name: fraction for name, fraction in fractions.items() if name in splits.report.cut_from}
    counts = held_out_counts(per_class, missing)
    for label, count in enumerate(per_class):
        needed = sum(taken[label] for taken in counts.values())
        if count <= needed:
            raise DataError(
                f"{where}: class {splits.class_names[label]} has {count} images in train; "
                f"expected more than the {needed} to be held out of them"
            )
    found |= {name: train.subset(index) for name, index in held_out(train.target, counts, seed=seed).items()}
    notes = (f"{where} has no test images: {len(found['test'].target):,} of train are held out as the test split",)
    report = replace(splits.report, notes=notes if "test" in counts else ())
    return replace(splits, train=found["train"], val=found["val"], test=found["test"], report=report)


def require_room(needed: int, where: str) -> None:
    """Refuse data that this machine cannot hold, before they are read.

    Raises:
        DataError: They are larger than its memory.
    """
    if needed > physical_bytes():
        raise DataError(
            f"{where} takes {needed / 1e9:,.1f} GB in memory, and this machine has {physical_bytes() / 1e9:,.1f} GB; "
            "expected a smaller file"
        )


def _members(path: Path) -> dict[str, int]:
    """Size in bytes of each array of a file."""
    try:
        file_size(path, "data.source.file", "arrays of images and labels")
        with zipfile.ZipFile(path) as archive:
            return {info.filename.removesuffix(".npy"): info.file_size for info in archive.infolist()}
    except OSError as error:
        raise DataError(f"cannot read {printable(str(path))}: {error.strerror or error} (data.source.file)") from error
    except (zipfile.BadZipFile, ValueError, NotImplementedError) as error:
        raise DataError(f"{printable(str(path))} is no .npz file: {one_line(error)} (data.source.file)") from error


def _arrays(path: Path, names: set[str]) -> dict[str, Array]:
    members = _members(path)
    wanted = sorted(names.intersection(members))
    require_room(2 * sum(members[name] for name in wanted), printable(str(path)))
    try:
        with np.load(path, allow_pickle=False) as file:
            return {name: np.asarray(file[name]) for name in wanted}
    except _UNREADABLE as error:
        raise DataError(f"{printable(str(path))} cannot be read: {one_line(error)} (data.source.file)") from error
