"""What lies in a folder of pictures: ``<root>/<split>/<class>/…``, listed without opening a picture.

Names beginning with a dot are ignored, and so is whatever has no picture's extension. A link to a picture, or one
that stands for a split's or a class's folder, is followed; a link to a folder further down is not, so no loop is
walked, and is said. Faults are collected rather than raised, for one message that names them all. Which folders are
splits is left to `picture_layout`, pictures whose classes stand in a table to `picture_labels`, whether the pictures
can be opened to `picture_decoding`.
"""

from __future__ import annotations

import hashlib
import os
import re
import stat
import unicodedata
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import NamedTuple

from vision_baselines.data.picture_layout import few, found_layout, is_visible, joined, printable, visible_folders
from vision_baselines.errors import DataError
from vision_baselines.terminal import Waiting

EXTENSIONS = (
    *(".avif", ".bmp", ".gif", ".jfif", ".jpe", ".jpeg", ".jpg"),
    *(".pgm", ".png", ".ppm", ".tif", ".tiff", ".webp"),
)


_MOST_BYTES = 2**31  # every byte is read, for what tells copies apart


class Picture(NamedTuple):
    """A file that should be a picture."""

    path: str
    """Relative to the root, with slashes."""
    label: int
    size_bytes: int
    mtime_ns: int
    # two files of one size and time that change places differ in these
    ctime_ns: int
    inode: int


@dataclass(frozen=True)
class Listing:
    """The pictures of a folder.

    Attributes:
        class_names: Sorted, numbers in them by their value; a label is an index into them.
        pictures: By split, for those splits that have a folder; sorted by path.
        faults: What is wrong with the folders, a line each.
        notes: What was taken for what and what was passed over, a line each.
    """

    class_names: tuple[str, ...]
    pictures: dict[str, list[Picture]]
    faults: list[str] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)

    def counts(self, split: str) -> list[int]:
        """Number of pictures in each class of a split."""
        per_label = Counter(picture.label for picture in self.pictures[split])
        return [per_label[label] for label in range(len(self.class_names))]

    def fingerprint(self) -> str:
        """Hex digest that changes when a picture is added, removed, renamed, resized, touched or replaced."""
        digest = hashlib.sha256(repr(self.class_names).encode())
        for split, pictures in self.pictures.items():
            digest.update(split.encode())
            for picture in pictures:
                digest.update(repr(tuple(picture)).encode())
        return digest.hexdigest()


def list_pictures(root: Path) -> Listing:
    """List the pictures under a root.

    Raises:
        DataError: There is no train, or fewer than two classes in it: nothing else is worth saying then.
    """
    layout = found_layout(root)
    folders = {split: visible_folders(root / folder) for split, folder in layout.splits.items()}
    class_names = _class_names(root, layout.splits["train"], folders["train"])
    listing = Listing(class_names, {split: [] for split in layout.splits}, notes=list(layout.notes))
    left_out = _LeftOut()
    for split, names in folders.items():
        place = layout.splits[split]
        by_class = [(class_name(name), name) for name in names]
        present = {name for name, _ in by_class}
        unknown, missing = (
            sorted(present.difference(class_names)),
            [name for name in class_names if name not in present],
        )
        listing.faults.extend(f"{joined(place, name)}: no such class in train" for name in unknown)
        if missing:
            listing.notes.append(f"{split} has no picture of {few(missing)}, which train has")
        for name, folder in by_class:
            if name in class_names:
                _list_class(root, joined(place, folder), split, class_names.index(name), listing, left_out)
        listing.pictures[split].sort()
        with os.scandir(root / place) as entries:
            left_out.loose.extend(
                printable(joined(place, entry.name))
                for entry in entries
                if entry.name.lower().endswith(EXTENSIONS) and is_visible(entry.name) and not entry.is_dir()
            )
    if layout.passed_over:
        beside = few(layout.passed_over)
        listing.notes.append(f"folders that are no split are passed over under {printable(str(root))}: {beside}")
    listing.notes.extend(left_out.notes())
    return listing


@dataclass
class _LeftOut:
    """Paths that are passed over, by reason."""

    not_pictures: list[str] = field(default_factory=list)
    linked: list[str] = field(default_factory=list)
    loose: list[str] = field(default_factory=list)

    def notes(self) -> Iterator[str]:
        for reason, paths in (
            ("files that are no pictures by their names are passed over", self.not_pictures),
            ("folders that are linked to from inside a class are passed over", self.linked),
            ("pictures that lie in no class's folder are passed over", self.loose),
        ):
            if paths:
                count = f" ({len(paths):,})" if len(paths) > 1 else ""
                yield f"{reason}{count}: {few(sorted(paths))}"


def natural_order(name: str) -> tuple[list[str | int], str]:
    """A key that sorts the numbers in names by their value.

    >>> sorted(["10", "2", "-1", "b2", "b10"], key=natural_order)
    ['-1', '2', '10', 'b2', 'b10']
    """
    parts: list[str | int] = list(re.split(r"((?:^-)?[0-9]+)", name))
    parts[1::2] = [int(str(part)[:1000]) for part in parts[1::2]]
    return parts, name


def class_name(text: str) -> str:
    """How a class is called whose folder, or whose entry in a table, is called this."""
    # macOS decomposes accents in file names, other systems do not: one class either way
    return unicodedata.normalize("NFC", printable(text))


def _class_names(root: Path, place: str, train_folders: list[str]) -> tuple[str, ...]:
    class_names = tuple(sorted({class_name(folder) for folder in train_folders}, key=natural_order))
    if len(class_names) < 2:
        shown = printable(str(root / place))
        raise DataError(
            f"{shown} holds {few(class_names) or 'no class folder'}; expected a folder for each of two or more "
            "classes (hidden ones do not count), or data.source.labels=TABLE.csv"
        )
    return class_names


def _list_class(root: Path, folder: str, split: str, label: int, listing: Listing, left_out: _LeftOut) -> None:
    pictures = listing.pictures[split]
    before = len(pictures) + len(listing.faults)
    if Path(os.path.realpath(root)).is_relative_to(os.path.realpath(root / folder)):
        listing.faults.append(f"{printable(folder)}: a link to a folder that holds it")
        return
    try:
        for path, entry in files_below(root, folder, left_out.linked):
            if not entry.name.lower().endswith(EXTENSIONS):
                left_out.not_pictures.append(printable(path))
                continue
            picture = stated(path, entry, label)
            if isinstance(picture, Picture):
                pictures.append(picture)
            else:
                listing.faults.append(picture)
    except OSError as error:
        listing.faults.append(f"{printable(folder)}: {error.strerror or error}")
    if len(pictures) + len(listing.faults) == before:
        listing.faults.append(f"{printable(folder)}: no picture in it (looked for {' '.join(EXTENSIONS)})")


def stated(path: str, entry: os.DirEntry[str], label: int) -> Picture | str:
    """A file as the system states it, or what is wrong with it."""
    try:
        status = entry.stat()
        if os.name == "nt":  # a folder's entries have no inode there
            status = Path(entry).stat()
    except OSError as error:
        return f"{printable(path)}: {error.strerror or error}"
    if (fault := fault_of(status)) is not None:
        return f"{printable(path)}: {fault}"
    return Picture(path, label, status.st_size, status.st_mtime_ns, status.st_ctime_ns, status.st_ino)


def fault_of(status: os.stat_result) -> str | None:
    """Why a file, as the system states it, is not read as a picture; None where it is."""
    if not stat.S_ISREG(status.st_mode):
        return "no regular file"
    if status.st_size > _MOST_BYTES:
        return f"{status.st_size:,} bytes; expected at most {_MOST_BYTES:,}"
    return None


def files_below(
    root: Path, folder: str, linked: list[str], refused: dict[str, str] | None = None
) -> Iterator[tuple[str, os.DirEntry[str]]]:
    """Every visible file in a folder and the folders below it.

    Args:
        root: What paths are relative to.
        folder: Below it.
        linked: Is given the folders that are linked to, which are not entered.
        refused: Is given the folders that cannot be read, and why.

    Raises:
        OSError: A folder cannot be read, and `refused` is None.
    """
    pending, line, seen = [folder], Waiting(f"looking for files in {root / folder}"), 0
    while pending:
        current = pending.pop()
        line.told(seen)
        try:
            opened = os.scandir(root / current)
        except OSError as error:
            if refused is None:
                raise
            refused[current] = error.strerror or str(error)
            continue
        with opened as entries:
            for entry in entries:
                seen += 1
                path = joined(current, entry.name)
                if not is_visible(entry.name):
                    continue
                if entry.is_dir(follow_symlinks=False):
                    pending.append(path)
                elif entry.is_symlink() and Path(entry).is_dir():
                    linked.append(printable(path))
                else:
                    yield path, entry
