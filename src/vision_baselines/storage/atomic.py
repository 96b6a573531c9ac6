"""Files that are never seen half written, and that are not written through somebody's link."""

from __future__ import annotations

import os
import re
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO

# What `staged` leaves when it is killed; other hidden files that end in a number are not ours.
_STAGED = re.compile(r"\.(.+\.(ckpt|sha256|json|yaml|npz|npy|png|gif|html|csv|md|tex|pt)|\.probe(\.\d+)?)\.\d+")
_FLAGS = os.O_WRONLY | os.O_CREAT | os.O_EXCL | getattr(os, "O_NOFOLLOW", 0) | getattr(os, "O_BINARY", 0)


@contextmanager
def staged(target: Path) -> Iterator[BinaryIO]:
    """A new file beside `target`, which is flushed to the disk and renamed over it when the block ends well.

    Raises:
        OSError: The folder cannot be written or the disk is full; `target` is untouched.
    """
    path = target.with_name(f".{target.name}.{os.getpid()}")
    path.unlink(missing_ok=True)  # a leftover, or a link that would lead elsewhere
    try:
        with os.fdopen(os.open(path, _FLAGS, 0o666), "wb") as file:
            yield file
            file.flush()
            os.fsync(file.fileno())
        path.replace(target)
    finally:
        path.unlink(missing_ok=True)


def write_atomically(target: Path, content: bytes) -> None:
    """Write beside `target`, flush to the disk, then rename over it.

    Raises:
        OSError: The folder cannot be written or the disk is full; `target` is untouched.
    """
    with staged(target) as file:
        file.write(content)


def why_unwritable(folder: Path) -> str:
    """Why no file can be made in a folder; empty where one can, which is tried: root is permitted what /proc refuses.

    The file has no name where the system can make such, and is removed at once.
    """
    try:
        with tempfile.TemporaryFile(dir=folder):
            return ""
    except PermissionError:
        return f"no permission to write into {str(folder)!r}"
    except OSError as error:
        return f"no file can be made in {str(folder)!r} ({error.strerror or error})"


def is_leftover(name: str) -> bool:
    """Whether a killed `staged` may have left a file of this name."""
    return _STAGED.fullmatch(name) is not None


def remove_leftovers(folder: Path) -> None:
    """Delete what a killed `staged` left in `folder`; for the folder's only writer."""
    for path in folder.glob(".*"):
        if is_leftover(path.name) and path.is_file():
            path.unlink(missing_ok=True)
