"""What lies in a folder of pictures: ``<root>/<split>/<class>/…``, listed without opening a picture.

Names beginning with a dot are ignored, and so is whatever has no picture's extension. A link to a picture, or one
that stands for a split's or a class's folder, is followed; a link to a folder further down is not, so no loop is
walked. Faults are collected rather than raised, for one message that names them all. Whether the pictures can be
opened is left to `picture_decoding`.
"""

from __future__ import annotations

import hashlib
import os
import stat
import unicodedata
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

from vision_baselines.errors import DataError

EXTENSIONS = (".bmp", ".gif", ".jpeg", ".jpg", ".pgm", ".png", ".ppm", ".tif", ".tiff", ".webp")
SPLIT_NAMES = ("train", "val", "test")


class Picture(NamedTuple):
    """A file that should be a picture."""

    path: str
    """Relative to the root, with slashes."""
    label: int
    size_bytes: int
    mtime_ns: int


@dataclass(frozen=True)
class Listing:
    """The pictures of a folder.

    Attributes:
        class_names: Sorted; a label is an index into them.
        pictures: By split, for those splits that have a folder; sorted by path.
        faults: What is wrong with the folders, a line each.
        notes: What was passed over, a line each.
    """

    class_names: tuple[str, ...]
    pictures: dict[str, list[Picture]]
    faults: list[str]
    notes: list[str]

    def counts(self, split: str) -> list[int]:
        """Number of pictures in each class of a split."""
        per_label = Counter(picture.label for picture in self.pictures[split])
        return [per_label[label] for label in range(len(self.class_names))]

    def fingerprint(self) -> str:
        """Hex digest that changes when a picture is added, removed, renamed, resized or touched."""
        digest = hashlib.sha256(repr(self.class_names).encode())
        for split, pictures in self.pictures.items():
            digest.update(split.encode())
            for picture in pictures:
                digest.update(repr(tuple(picture)).encode())
        return digest.hexdigest()


def printable(path: str) -> str:
    r"""A path as it can go to any terminal: what is no character, or would move the cursor, is escaped.

    >>> printable("caf\udce9\n.png")
    'caf\\udce9\\x0a.png'
    """
    return "".join(
        character if character.isprintable() else ascii(character)[1:-1].replace("\\n", "\\x0a") for character in path
    )


def list_pictures(root: Path) -> Listing:
    """List the pictures under a root.

    Raises:
        DataError: There is no ``train`` folder, or fewer than two classes in it: nothing else is worth saying then.
    """
    folders = {name: _folders(root / name) for name in SPLIT_NAMES if (root / name).is_dir()}
    class_names = _class_names(root, folders.get("train"))
    listing = Listing(class_names, {split: [] for split in folders}, faults=[], notes=[])
    ignored: list[str] = []
    for split, names in folders.items():
        by_class = [(_class_name(name), name) for name in names]
        present = {class_name for class_name, _ in by_class}
        unknown, missing = sorted(present.difference(class_names)), sorted(set(class_names) - present)
        listing.faults.extend(f"{split}/{name}: no such class in train" for name in unknown)
        listing.faults.extend(f"{split}/{name}: missing, but train has this class" for name in missing)
        for class_name, name in by_class:
            if class_name in class_names:
                _list_class(root, f"{split}/{name}", class_names.index(class_name), listing, ignored)
        listing.pictures[split].sort()
    beside = [printable(name) for name in _folders(root) if name not in SPLIT_NAMES]
    if beside:
        listing.notes.append(f"folders that are no split are passed over under {printable(str(root))}: {_few(beside)}")
    if ignored:
        listing.notes.append(f"files that are no pictures by their names are passed over: {_few(sorted(ignored))}")
    return listing


def _class_names(root: Path, train_folders: list[str] | None) -> tuple[str, ...]:
    shown = printable(str(root))
    if not root.is_dir():
        raise DataError(f"{shown} is no folder; expected one that holds train/<class>/…: set data.source.root")
    if train_folders is None:
        raise DataError(
            f"{shown} holds no train folder but {_few([printable(name) for name in _folders(root)]) or 'none at all'}; "
            "expected train/<class>/…, with val and test beside train: set data.source.root"
        )
    class_names = tuple(sorted({_class_name(folder) for folder in train_folders}))
    if len(class_names) < 2:
        raise DataError(
            f"{shown}/train holds {_few(class_names) or 'no class folder'}; expected a folder for each of two or more "
            "classes (hidden ones do not count)"
        )
    return class_names


def _list_class(root: Path, folder: str, label: int, listing: Listing, ignored: list[str]) -> None:
    pictures = listing.pictures[folder.split("/")[0]]
    before = len(pictures) + len(listing.faults)
    if Path(os.path.realpath(root)).is_relative_to(os.path.realpath(root / folder)):
        listing.faults.append(f"{printable(folder)}: a link to a folder that holds it")
        return
    try:
        for path, entry in _files_below(root, folder):
            if not entry.name.lower().endswith(EXTENSIONS):
                ignored.append(printable(path))
            else:
                _list_file(path, entry, label, listing)
    except OSError as error:
        listing.faults.append(f"{printable(folder)}: {error.strerror or error}")
    if len(pictures) + len(listing.faults) == before:
        listing.faults.append(f"{printable(folder)}: no picture in it (looked for {' '.join(EXTENSIONS)})")


def _list_file(path: str, entry: os.DirEntry[str], label: int, listing: Listing) -> None:
    try:
        status = entry.stat()
    except OSError as error:
        listing.faults.append(f"{printable(path)}: {error.strerror or error}")
        return
    if stat.S_ISREG(status.st_mode):
        listing.pictures[path.split("/")[0]].append(Picture(path, label, status.st_size, status.st_mtime_ns))
    else:
        listing.faults.append(f"{printable(path)}: no regular file")


def _files_below(root: Path, folder: str) -> Iterator[tuple[str, os.DirEntry[str]]]:
    pending = [folder]
    while pending:
        current = pending.pop()
        with os.scandir(root / current) as entries:
            for entry in entries:
                path = f"{current}/{entry.name}"
                if entry.name.startswith("."):
                    continue
                if entry.is_dir(follow_symlinks=False):
                    pending.append(path)
                elif not (entry.is_symlink() and Path(entry).is_dir()):
                    yield path, entry


def _folders(folder: Path) -> list[str]:
    with os.scandir(folder) as entries:
        return sorted(entry.name for entry in entries if not entry.name.startswith(".") and Path(entry).is_dir())


def _class_name(folder: str) -> str:
    # macOS decomposes accents in file names, other systems do not: one class either way
    return unicodedata.normalize("NFC", printable(folder))


def _few(names: Sequence[str]) -> str:
    return ", ".join(names[:5]) + (f" and {len(names) - 5:,} more" if len(names) > 5 else "")
