"""Files that are never seen half written."""

from __future__ import annotations

import os
from pathlib import Path


def write_atomically(target: Path, content: bytes) -> None:
    """Write beside `target`, flush to the disk, then rename over it.

    Raises:
        OSError: The folder cannot be written or the disk is full; `target` is untouched.
    """
    staged = target.with_name(f".{target.name}.{os.getpid()}")
    try:
        with staged.open("wb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        staged.replace(target)
    finally:
        staged.unlink(missing_ok=True)


def remove_leftovers(folder: Path) -> None:
    """Delete what a killed `write_atomically` had staged in `folder`; for the folder's only writer."""
    for path in folder.glob(".*"):
        if path.suffix[1:].isdigit() and path.is_file():
            path.unlink(missing_ok=True)
