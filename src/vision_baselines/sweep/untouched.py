"""A preview or a refused command leaves its folder as it was, although Hydra writes there before it asks anybody."""

from __future__ import annotations

import contextlib
import logging
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from vision_baselines.storage.lock import LOCK_FILES

_HYDRAS_FILE = "multirun.yaml"
_MADE = (
    ".hydra/config.yaml", ".hydra/hydra.yaml", ".hydra/overrides.yaml", "train.log", _HYDRAS_FILE, *LOCK_FILES,
)  # fmt: skip


@dataclass(frozen=True)
class Before:
    """What was not there of a folder before Hydra made it: files and folders, the innermost first."""

    folder: Path
    files: tuple[Path, ...]
    folders: tuple[Path, ...]

    @classmethod
    def of(cls, folder: Path) -> Before:
        """Look, before anything is made."""
        folder = folder.absolute()
        files = tuple(folder / name for name in _MADE if not (folder / name).exists())
        folders = (folder / ".hydra", folder, *folder.parents)
        return cls(folder, files, tuple(path for path in folders if not path.exists()))

    @classmethod
    def of_new(cls, folder: Path) -> Before:
        """What Hydra makes of a job's folder, where it tells of it only afterwards."""
        folder = folder.absolute()
        return cls(folder, tuple(folder / name for name in _MADE), (folder / ".hydra", folder))

    def restore(self) -> None:
        """Remove what was made since, if there is nothing else: a folder with a record or anything of a job stays."""
        made = {self.folder / name for name in _MADE}
        if any(path not in made for path in self.folder.rglob("*") if path.is_symlink() or not path.is_dir()):
            return
        for handler in list(logging.getLogger().handlers):  # Windows keeps a file that is open
            if isinstance(handler, logging.FileHandler) and Path(handler.baseFilename) in self.files:
                logging.getLogger().removeHandler(handler)
                handler.close()
        for path in self.files:
            with contextlib.suppress(OSError):
                path.unlink()
        for path in self.folders:
            with contextlib.suppress(OSError):
                path.rmdir()


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
