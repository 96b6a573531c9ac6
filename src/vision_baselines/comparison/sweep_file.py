"""Files in a sweep's folder that say what the sweep as a whole does: JSON, each with a schema of its own."""

from __future__ import annotations

from pathlib import Path
from typing import TypeVar

from pydantic import BaseModel, ValidationError

from vision_baselines.errors import StorageError
from vision_baselines.storage.atomic import write_atomically
from vision_baselines.storage.reading import NOT_WRITTEN, read_json


class Versioned(BaseModel):
    """What such a file holds."""

    schema_version: int


V = TypeVar("V", bound=Versioned)


def write_sweep_file(path: Path, content: Versioned) -> None:
    """Replace a sweep's file.

    Raises:
        StorageError: The folder cannot be written.
    """
    try:
        write_atomically(path, content.model_dump_json(indent=1).encode() + b"\n")
    except OSError as error:
        raise StorageError(f"cannot write {path}: {error.strerror or error}") from error


def read_sweep_file(path: Path, kind: type[V], *, schema: int, most_bytes: int, instead: str) -> V | None:
    """What a sweep's file holds; None where there is none.

    Args:
        path: The file.
        kind: What it holds.
        schema: The version that is read.
        most_bytes: A larger file is not read.
        instead: What moving it away leads to, as the end of a sentence.

    Raises:
        StorageError: There is a file of that name that is none.
    """
    try:
        found = kind.model_validate(read_json(path, most_bytes=most_bytes))
    except FileNotFoundError:
        return None
    except ValueError as error:
        reason = NOT_WRITTEN if isinstance(error, ValidationError) else error
        raise StorageError(f"{path} cannot be read: {reason}; move it away{instead}") from error
    if found.schema_version != schema:
        raise StorageError(f"{path} has schema {found.schema_version}; this version reads {schema}")
    return found
