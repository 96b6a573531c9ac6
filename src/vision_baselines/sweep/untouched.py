"""A preview leaves the sweep's folder as it was, although Hydra makes folders and files before it asks anybody."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

_HYDRAS_FILE = "multirun.yaml"


def remove_empty(folder: Path) -> None:
    """Remove a folder and the two it lies in, as far as they are empty."""
    for path in (folder, folder.parent, folder.parent.parent):
        with contextlib.suppress(OSError):
            path.rmdir()


@contextmanager
def untouched(folder: Path) -> Iterator[None]:
    """Put back what stood in the file that Hydra writes for a sweep; remove what was made for it."""
    path = folder / _HYDRAS_FILE
    before = path.read_bytes() if path.is_file() else None
    try:
        yield
    finally:
        if before is not None:
            path.write_bytes(before)
        else:
            path.unlink(missing_ok=True)
            with contextlib.suppress(OSError):
                folder.rmdir()
                folder.parent.rmdir()
