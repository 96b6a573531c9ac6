"""Where the splits and their classes lie in a folder of pictures, as people download them.

Taken for splits: folders called train, val or test, or by another of their usual names, in any case. Where there are
none, the folders under the root are classes, and all pictures are train. A single folder around all that is entered,
and so is one around the classes of a split. What was taken for what is said. Files are left to `picture_listing`.
"""

from __future__ import annotations

import os
import re
import stat
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from vision_baselines.errors import DataError

SPLIT_NAMES = ("train", "val", "test")
_SPLIT_WORDS = {
    **dict.fromkeys(("train", "training", "trainset", "trainingset"), "train"),
    **dict.fromkeys(("val", "valid", "validation", "validate", "dev", "valset", "validset", "validationset"), "val"),
    **dict.fromkeys(("test", "testing", "testset", "testingset"), "test"),
}
# Left behind by archivers, file managers and notebooks; nobody's class.
_JUNK_FOLDERS = frozenset({"__macosx", "@eadir", "__pycache__", "$recycle.bin", "system volume information"})
_MOST_LEVELS = 3
_LONGEST_NAME, _LONGEST_PATH = 100, 500


@dataclass(frozen=True)
class Layout:
    """What was taken for what.

    Attributes:
        splits: For each split that has a folder, that folder, relative to the root; "" is the root itself.
        notes: What is worth saying, a line each.
        passed_over: Folders beside the splits that are none, relative to the root.
    """

    splits: dict[str, str]
    notes: tuple[str, ...] = ()
    passed_over: tuple[str, ...] = ()


def split_of(folder: str) -> str | None:
    """The split that a folder's name, or a word in a table, stands for.

    >>> split_of("Training"), split_of("test_set"), split_of("cats")
    ('train', 'test', None)
    """
    return _SPLIT_WORDS.get(folder.casefold().translate(str.maketrans("", "", "_- .")))


def found_layout(root: Path) -> Layout:
    """Find the splits under a root.

    Raises:
        DataError: There is no such folder, no train among the splits, nothing in it, or two folders for one split.
    """
    shown = printable(str(root))
    if not root.is_dir():
        raise DataError(f"{shown} is no folder; expected one that holds train/<class>/…: set data.source.root")
    inner = _entered(root, "")
    names = visible_folders(root / inner)
    called = {name: split_of(name) for name in names}
    if not any(called.values()):
        called = _splits_in_longer_names(root, inner, names)
    by_split: dict[str, str] = {}
    for name, split in called.items():
        if split in by_split:
            raise DataError(
                f"{shown} holds {by_split[split]} and {printable(name)}, both for {split}; expected one folder a split"
            )
        if split:
            by_split[split] = name
    if not by_split:
        notes = [f"{printable(inner)} under {shown} is taken for the root"] if inner else []
        if names:
            notes.append(f"{shown} has no train folder: its {len(names)} folders are taken for classes, all of train")
        return Layout({"train": inner}, tuple(notes))
    if "train" not in by_split:
        raise DataError(
            f"{shown} holds no train folder but {few(names)}; "
            "expected train/<class>/…, with val and test beside train, or the classes alone: set data.source.root"
        )
    splits = {
        split: _entered(root, joined(inner, by_split[split]), inside_split=True)
        for split in SPLIT_NAMES
        if split in by_split
    }
    other = {split: folder for split, folder in splits.items() if folder != split}
    said = ", ".join(f"{printable(folder)} for {split}" for split, folder in other.items())
    beside = tuple(joined(inner, name) for name in names if name not in by_split.values())
    return Layout(splits, (f"taken under {shown}: {said}",) if other else (), beside)


def _splits_in_longer_names(root: Path, inner: str, names: Sequence[str]) -> dict[str, str | None]:
    """The splits of folders such as ``seg_train`` and ``test_images``, where these hold folders of classes.

    Raises:
        DataError: All folders are called so and hold none: as classes they would be learned apart as train and test.
    """
    called = {name: next(filter(None, map(split_of, re.split(r"[^a-z]+", name.casefold()))), None) for name in names}
    if not {"train"} < set(called.values()) - {None}:
        return dict.fromkeys(names)
    found = {name: split if visible_folders(root / inner / name) else None for name, split in called.items()}
    if not any(found.values()) and all(called.values()):
        raise DataError(
            f"{printable(str(root))} holds {few(names)}, which are called as splits and hold no folders of classes; "
            "expected train/<class>/…, or data.source.labels=TABLE.csv"
        )
    return found if "train" in found.values() else dict.fromkeys(names)


def visible_folders(folder: Path) -> list[str]:
    """Names of the folders in a folder, linked ones too, without hidden ones and what archivers leave; sorted."""
    with os.scandir(folder) as entries:
        return sorted(entry.name for entry in entries if is_visible(entry.name) and Path(entry).is_dir())


def is_visible(name: str) -> bool:
    """Whether a name counts: it is not hidden, and not what archivers and file managers leave behind."""
    return not name.startswith(".") and name.casefold() not in _JUNK_FOLDERS


def joined(folder: str, name: str) -> str:
    """A relative path of two parts, of which the first may be empty."""
    return f"{folder}/{name}" if folder else name


def printable(path: str) -> str:
    r"""A path as it can go to any terminal: what is no character, or would move the cursor, is escaped.

    >>> printable("caf\udce9\n.png")
    'caf\\udce9\\x0a.png'
    """
    return "".join(
        character if character.isprintable() else ascii(character)[1:-1].replace("\\n", "\\x0a") for character in path
    )


def few(names: Sequence[str]) -> str:
    """The first names of many, as they can go to any terminal."""
    shown = [printable(name if len(name) <= _LONGEST_NAME else f"{name[:_LONGEST_NAME]}…") for name in names[:5]]
    return ", ".join(shown) + (f" and {len(names) - 5:,} more" if len(names) > 5 else "")


def one_line(error: object) -> str:
    """What an error says, on one line that can go to any terminal."""
    return printable(" ".join(str(error).split()))[:200] or type(error).__name__


def what_of(error: OSError | ValueError, path: Path) -> str:
    """The file or folder that could not be read, and why."""
    shown = printable(str(getattr(error, "filename", None) or path)[-_LONGEST_PATH:])
    return f"{shown}: {getattr(error, 'strerror', None) or one_line(error)}"


def file_size(path: Path, key: str, expected: str) -> int:
    """Size in bytes of a file that is to be read.

    Args:
        path: The file.
        key: The config key that names it.
        expected: What it should be, for the message.

    Raises:
        DataError: It is missing, cannot be read, or is not a regular file, as a FIFO or a device.
    """
    try:
        status = path.stat()
    except FileNotFoundError as error:
        raise DataError(f"there is no file {printable(str(path))}; expected {expected} ({key})") from error
    except (OSError, ValueError) as error:
        raise DataError(f"cannot read {what_of(error, path)}; expected {expected} ({key})") from error
    if not stat.S_ISREG(status.st_mode):
        raise DataError(f"{printable(str(path))} is not a regular file; expected {expected} ({key})")
    return status.st_size


def _entered(root: Path, folder: str, *, inside_split: bool = False) -> str:
    """The folder itself, or the one inside it, level by level, that alone holds the splits or classes."""
    inner = folder
    for _ in range(_MOST_LEVELS):
        names = visible_folders(root / inner)
        if len(names) != 1 or (root / inner / names[0]).is_symlink() or (split_of(names[0]) and not inside_split):
            break
        inner = joined(inner, names[0])
    names = visible_folders(root / inner)
    return inner if len(names) > 1 or (not inside_split and any(map(split_of, names))) else folder
