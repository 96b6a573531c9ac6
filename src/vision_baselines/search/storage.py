"""The study's journal in the sweep's folder: one file of appended lines, which Optuna reads and writes.

Optuna's lock on it is a file that must not exist yet (``O_EXCL``), which holds on NFS as well; one that a killed
process left is taken over after half a minute. A line that was cut off by a kill or a full disk is removed before the
study goes on, since Optuna takes the file for damaged once another line follows it.
"""

from __future__ import annotations

import contextlib
import json
import os
from pathlib import Path
from typing import TYPE_CHECKING

from vision_baselines.errors import ConfigError, StorageError

if TYPE_CHECKING:
    from optuna.storages import JournalStorage

JOURNAL_FILE = "search.journal"
STUDY = "search"
_INSTALL = "hydra/sweeper=search needs Optuna: pip install 'vision-baselines[search]', or optuna>=4"


def require_optuna() -> None:
    """Refuse where Optuna is not installed or too old, and let it speak of what is wrong only.

    Raises:
        ConfigError: What to install.
    """
    try:
        import optuna
    except ImportError as error:
        raise ConfigError(_INSTALL) from error
    if int(optuna.__version__.split(".")[0]) < 4:
        raise ConfigError(f"Optuna is {optuna.__version__}; {_INSTALL}")
    optuna.logging.set_verbosity(optuna.logging.WARNING)


def open_storage(folder: Path) -> JournalStorage:
    """The journal in a sweep's folder; begun where there is none.

    Raises:
        StorageError: It cannot be read or written.
    """
    require_optuna()
    from optuna.storages import JournalStorage
    from optuna.storages.journal import JournalFileBackend, JournalFileOpenLock

    path = folder / JOURNAL_FILE
    try:
        lock = JournalFileOpenLock(str(path))
        return JournalStorage(JournalFileBackend(str(path), lock_obj=lock))
    except (OSError, ValueError, LookupError, TypeError, AttributeError, AssertionError) as error:
        raise StorageError(
            f"{path} cannot be read: {why_unusable(path, error)}; move it away to begin the search anew"
        ) from error


def why_unusable(path: Path, error: Exception) -> str:
    """What is wrong with a journal that Optuna could not use, by the first of its lines that is damaged."""
    if isinstance(error, OSError):
        return error.strerror or str(error)
    with contextlib.suppress(OSError), path.open("rb") as file:
        for number, line in enumerate(file, 1):
            if not _is_entry(line):
                return f"line {number} is cut off or damaged"
    return "it is not what a search has written"


def remove_torn_line(folder: Path) -> None:
    """Remove the end of the journal that is no whole line, while no process of the study runs.

    Raises:
        StorageError: It cannot be written.
    """
    path = folder / JOURNAL_FILE
    try:
        with path.open("r+b") as file:
            content = file.read()
            whole = content.rfind(b"\n") + 1
            last = content[content.rfind(b"\n", 0, max(whole - 1, 0)) + 1 : whole]
            if whole and not _is_entry(last):  # a line that a full disk cut off, ended by whoever wrote next
                whole -= len(last)
            if whole < len(content):
                file.truncate(whole)
                file.flush()
                os.fsync(file.fileno())
    except FileNotFoundError:
        return
    except OSError as error:
        raise StorageError(f"cannot write {path}: {error.strerror or error}") from error


def _is_entry(line: bytes) -> bool:
    try:
        return isinstance(json.loads(line), dict)
    except (ValueError, RecursionError):
        return False
