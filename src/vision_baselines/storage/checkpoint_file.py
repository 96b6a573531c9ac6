"""Checkpoint files that are whole or not there, and that are checked before they are believed.

A checkpoint is staged beside its target, flushed to the disk and renamed, with its SHA-256 in a file beside it; so a
kill leaves the previous one, and an altered one is found out. It holds tensors and plain types only and is always
loaded with ``weights_only=True``, so that loading runs no code. What goes into it is decided elsewhere.
"""

from __future__ import annotations

import errno
import hashlib
import io
import itertools
import os
import pickle
from collections import Counter, OrderedDict
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from pytorch_lightning.plugins.io import TorchCheckpointIO

from vision_baselines.errors import ConfigError, StorageError
from vision_baselines.storage.atomic import write_atomically
from vision_baselines.storage.reading import check_archive, read_regular

_ARCHIVE = b"PK\x03\x04"  # a zip file, which torch.save has written since 1.6
_MOST_BYTES = 2**35
_MOST_VALUES = 2_000_000
# What `torch.load(weights_only=True)` takes without further permission, apart from containers of it.
_PLAIN = (torch.Tensor, torch.Size, torch.dtype, torch.device, int, float, complex, str, bytes, bytearray, type(None))


class CheckedCheckpointIO(TorchCheckpointIO):
    """Lightning's plugin point for reading and writing checkpoints."""

    def save_checkpoint(self, checkpoint: dict[str, Any], path: Any, storage_options: Any | None = None) -> None:
        """Write `checkpoint` so that `path` is never seen half written.

        Raises:
            StorageError: The disk is full or the folder cannot be written; whatever was at `path` is untouched.
        """
        save(checkpoint, Path(path))

    def load_checkpoint(
        self, path: Any, map_location: Any | None = "cpu", weights_only: bool | None = None
    ) -> dict[str, Any]:
        """Read and check a checkpoint; `weights_only` is ignored, it is always true.

        Raises:
            StorageError: It is missing, torn, altered or holds more than plain types.
        """
        return load(Path(path), map_location="cpu" if map_location is None else map_location)

    def remove_checkpoint(self, path: Any) -> None:
        """Delete a checkpoint and its checksum."""
        remove(Path(path))


def save(checkpoint: dict[str, Any], path: Path) -> None:
    """Write `checkpoint` to `path`, checksum first, each by staging, flushing and renaming.

    Raises:
        ConfigError: Something in it is of no plain type, so that it could never be loaded again.
        StorageError: It cannot be written; whatever was at `path` is untouched.
    """
    require_plain(checkpoint)
    buffer = io.BytesIO()
    torch.save(checkpoint, buffer)
    content = buffer.getvalue()
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        checksum, new = _checksum_file(path), hashlib.sha256(content).hexdigest()
        old = _checksums(checksum) if path.exists() else []
        # While a file is replaced both checksums hold, so a kill between the steps leaves one of the two files good.
        write_atomically(checksum, "\n".join([new, *old]).encode())
        write_atomically(path, content)
        if old:
            write_atomically(checksum, new.encode())
        _flush_folder(path.parent)
    except OSError as error:
        reason = (
            "disk full" if error.errno in (errno.ENOSPC, errno.EDQUOT, errno.EFBIG) else str(error.strerror or error)
        )
        raise StorageError(f"{reason} at {path}: the checkpoint was not written; earlier ones are kept") from error


def load(path: Path, *, map_location: Any = "cpu", checksum_needed: bool = False) -> dict[str, Any]:
    """Read the checkpoint at `path` and check it against its checksum, if it has one.

    Args:
        path: The file.
        map_location: Where its tensors go.
        checksum_needed: Refuse a file without a checksum; nothing else would find one flipped bit in a tensor.

    Raises:
        StorageError: It is missing, torn, altered or holds more than plain types.
    """
    try:
        content = read_regular(path, most_bytes=_MOST_BYTES)
    except OSError as error:
        raise StorageError(f"cannot read checkpoint {path}: {error.strerror}") from error
    except ValueError as error:
        raise StorageError(f"cannot read checkpoint {error}") from error
    if not content:
        raise StorageError(f"checkpoint {path} is empty")
    checksum = _checksum_file(path)
    if checksum_needed and not checksum.is_file():
        raise StorageError(f"checkpoint {path} has no {checksum.name} beside it to be checked against")
    if checksum.is_file() and hashlib.sha256(content).hexdigest() not in _checksums(checksum):
        raise StorageError(f"checksum mismatch: checkpoint {path} is not what was written")
    if not content.startswith(_ARCHIVE):
        raise StorageError(f"{path} is not a checkpoint: it does not begin as a file that torch.save writes")
    try:
        check_archive(content)
        loaded = torch.load(io.BytesIO(content), map_location=map_location, weights_only=True)
    except pickle.UnpicklingError as error:
        raise StorageError(
            f"checkpoint {path} holds more than tensors and plain types; refused, nothing was run"
        ) from error
    except RuntimeError as error:
        if "on a CUDA device" in str(error):
            raise ConfigError(f"map_location is {map_location!r}; this machine has no such device") from error
        raise StorageError(f"checkpoint {path} is torn or not a checkpoint: {str(error).splitlines()[0]}") from error
    except Exception as error:  # whatever damaged bytes make of the reader
        reason = (str(error).splitlines() or [""])[0]
        what = reason if isinstance(error, ValueError) else f"{type(error).__name__}: {reason}"
        raise StorageError(f"checkpoint {path} is torn or not a checkpoint: {what}") from error
    if not isinstance(loaded, dict) or "state_dict" not in loaded:
        raise StorageError(f"checkpoint {path} has no state_dict; expected one written by this project or by Lightning")
    _require_size(loaded, path, len(content))
    return loaded


def remove(path: Path) -> None:
    """Delete the checkpoint at `path`, file first, so that no checksum outlives doubt about its file."""
    path.unlink(missing_ok=True)
    _checksum_file(path).unlink(missing_ok=True)


def require_plain(node: Any, key: str = "") -> None:
    """Refuse what a checkpoint may not hold.

    Raises:
        ConfigError: A value is neither a tensor, a number, a string nor a container of those; the key names it.
    """
    # exact types: a subclass of `str` or `dict` is pickled by the name of its class, which loading refuses
    if isinstance(node, Mapping) and type(node) in (dict, OrderedDict, Counter):
        for name, value in node.items():
            require_plain(name, key)
            require_plain(value, f"{key}.{name}" if key else str(name))
    elif type(node) in (list, tuple, set):
        for index, value in enumerate(node):
            require_plain(value, f"{key}[{index}]")
    elif not (type(node) in (*_PLAIN, bool) or isinstance(node, torch.Tensor)):
        raise ConfigError(
            f"the state of the run holds a {type(node).__module__}.{type(node).__qualname__} at {key}, which no "
            "checkpoint may hold; expected tensors, numbers, strings and lists or dicts of them"
        )


def _require_size(loaded: dict[Any, Any], path: Path, size_bytes: int) -> None:
    """Refuse what grows beyond its file when it is used: tensors that repeat their bytes, containers that repeat."""
    known: dict[int, int] = {}

    def values(node: Any) -> int:
        if isinstance(node, torch.Tensor):
            if node.numel() * node.element_size() > size_bytes:
                raise StorageError(
                    f"checkpoint {path} declares a tensor of {tuple(node.shape)} in a file of {size_bytes:,} bytes"
                )
            return 1
        if not isinstance(node, Mapping | list | tuple | set):
            return 1
        if id(node) not in known:
            known[id(node)] = _MOST_VALUES + 1  # met again on the way down: it contains itself
            parts = itertools.chain(node.keys(), node.values()) if isinstance(node, Mapping) else node
            known[id(node)] = 1 + sum(map(values, parts))
        return known[id(node)]

    try:
        found = values(loaded)
    except RecursionError:
        found = _MOST_VALUES + 1
    if found > _MOST_VALUES:
        raise StorageError(f"checkpoint {path} holds more than {_MOST_VALUES:,} values, or nests without end")


def _checksum_file(path: Path) -> Path:
    return path.with_name(path.name + ".sha256")


def _checksums(path: Path) -> list[str]:
    try:
        return read_regular(path, most_bytes=1000).decode("ascii", errors="replace").split()
    except (OSError, ValueError):
        return []


def _flush_folder(folder: Path) -> None:
    if os.name == "posix":  # a rename is on the disk only once its folder is
        descriptor = os.open(folder, os.O_RDONLY)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)
