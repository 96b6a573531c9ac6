"""Tensors in a file that are known to be what was written: a key says of what, a checksum that they are whole.

Written beside the target, flushed and renamed, so a reader sees the old file, the new one or none. Plain tensors and
strings only, loaded with ``weights_only=True``. A file that is missing, torn, altered or of another key is no error:
it is made again. Who may write at a time is left to `integrity.prepare_lock`.
"""

from __future__ import annotations

import hashlib
import logging
from pathlib import Path

import torch
from torch import Tensor

from vision_baselines.errors import StorageError
from vision_baselines.storage.atomic import remove_leftovers, staged
from vision_baselines.storage.hashing import tensors_sha256

logger = logging.getLogger(__name__)


def read(path: Path, *, key: str, say_damaged: bool = True, mapped: bool = False) -> dict[str, Tensor] | None:
    """The tensors that were written under a key.

    Args:
        path: The file.
        key: What `write` was given.
        say_damaged: Whether a damaged file is logged.
        mapped: Whether the tensors stay in the file and are read from it as they are used.

    Returns:
        Tensors by name; None where the file is missing, damaged or holds something else.
    """
    if not path.is_file():
        return None
    try:
        content = torch.load(path, weights_only=True, mmap=mapped)
        tensors: dict[str, Tensor] = content["tensors"]
        if content["key"] != key:
            return None
        whole = content["sha256"] == _sha256(tensors)
    except Exception:  # damaged bytes can make torch.load raise almost anything
        whole = False
    if not whole and say_damaged:
        logger.warning("%s is damaged or was altered; it is made again", path)
    return tensors if whole else None


def write(path: Path, tensors: dict[str, Tensor], *, key: str) -> None:
    """Replace a file by these tensors; the caller holds the lock of the file's folder.

    Raises:
        StorageError: It cannot be written; what was there stays.
    """
    remove_leftovers(path.parent)
    try:
        with staged(path) as file:
            torch.save({"key": key, "sha256": _sha256(tensors), "tensors": tensors}, file)
    except (OSError, RuntimeError) as error:
        raise StorageError(
            f"cannot write {path}: {error}", "Set data.source.cache_dir to a folder with room."
        ) from error


def _sha256(tensors: dict[str, Tensor]) -> str:
    names = sorted(tensors)
    return hashlib.sha256(" ".join([*names, tensors_sha256(*(tensors[name] for name in names))]).encode()).hexdigest()
