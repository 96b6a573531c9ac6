"""A preview or a refused command leaves its folder as it was, although Hydra writes there before it asks anybody."""

from __future__ import annotations

import contextlib
import logging
import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from vision_baselines.runs.planned import PLANNED_FILE
from vision_baselines.storage.lock import LOCK_FILES
from vision_baselines.sweep.planned import SWEEP_LOCK

_HYDRAS_FILE = "multirun.yaml"
# What a sweep writes into its folder before its first job runs; named here, as the modules take long to import.
_OF_A_SWEEP = (
    _HYDRAS_FILE, PLANNED_FILE, SWEEP_LOCK, "until_decided.json", "ablation.json", "search.json", "search.journal",
    ".search.lock",
)  # fmt: skip
_MADE = (
    ".hydra/config.yaml", ".hydra/hydra.yaml", ".hydra/overrides.yaml", "train.log", *LOCK_FILES, *_OF_A_SWEEP,
    *(f"{name}.lease" for name in _OF_A_SWEEP if name.endswith(".lock")),
)  # fmt: skip


@dataclass(frozen=True)
class Before:
    """What was not there of a folder before Hydra made it: files and folders, the innermost first.

    `others` are the names of what was there; None where nothing can be said of that.
    """

    folder: Path
    files: tuple[Path, ...]
    folders: tuple[Path, ...]
    others: frozenset[str] | None = None

    @classmethod
    def of(cls, folder: Path) -> Before:
        """Look, before anything is made."""
        folder = folder.absolute()
        files = tuple(folder / name for name in _MADE if not os.path.lexists(folder / name))
        folders = (folder / ".hydra", folder, *folder.parents)
        others: set[str] = set()
        with contextlib.suppress(OSError):
            others.update(path.name for path in folder.iterdir())
        return cls(folder, files, tuple(path for path in folders if not path.exists()), frozenset(others))

    @classmethod
    def of_new(cls, folder: Path) -> Before:
        """What Hydra makes of a job's folder, where it tells of it only afterwards."""
        folder = folder.absolute()
        return cls(folder, tuple(folder / name for name in _MADE), (folder / ".hydra", folder))

    def restore(self) -> None:
        """Remove what was made since, if nothing else was: of a folder that got a record or a job all stays."""
        made = {self.folder / name for name in _MADE}
        new = [path for path in self.folder.glob("*") if path.name not in (self.others or ())]
        inside = [path for top in new for path in (top, *top.rglob("*"))]
        if any(path not in made for path in inside if path.is_symlink() or not path.is_dir()):
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
