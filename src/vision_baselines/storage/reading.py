"""Reading files that somebody else may have written: regular files of bounded size, and nothing that unpacks to more.

Opening a FIFO never returns, `/dev/zero` never ends, and a small archive may declare gigabytes; each is found out
before a byte is taken in.
"""

from __future__ import annotations

import hashlib
import io
import json
import os
import stat
import zipfile
from collections.abc import Mapping
from pathlib import Path, PurePosixPath
from typing import Any

NOT_WRITTEN = "it is not what was written"
_FLAGS = os.O_RDONLY | getattr(os, "O_NONBLOCK", 0) | getattr(os, "O_BINARY", 0)


def read_regular(path: Path, *, most_bytes: int) -> bytes:
    """The content of a regular file.

    Raises:
        OSError: It is missing or cannot be read.
        ValueError: It is not a regular file, or is larger than `most_bytes`.
    """
    descriptor = os.open(path, _FLAGS)
    try:
        facts = os.fstat(descriptor)
        if not stat.S_ISREG(facts.st_mode):
            raise ValueError(f"{path} is not a regular file")
        if facts.st_size > most_bytes:
            raise ValueError(f"{path} has {facts.st_size:,} bytes; expected at most {most_bytes:,}")
        with os.fdopen(descriptor, "rb", closefd=False) as file:
            return file.read(facts.st_size)
    finally:
        os.close(descriptor)


def read_json(path: Path, *, most_bytes: int) -> object:
    """What a regular file of JSON holds.

    Raises:
        FileNotFoundError: There is none.
        ValueError: It cannot be read, and why, in words that follow its name.
    """
    try:
        return json.loads(read_regular(path, most_bytes=most_bytes))
    except (OSError, ValueError, RecursionError) as error:
        if isinstance(error, FileNotFoundError) and not path.is_symlink():
            raise
        raise ValueError(why_no_json(error, path)) from error


def stays_below(name: str) -> bool:
    r"""Whether a name in a file that somebody else may have written is a path that leads nowhere but below a folder.

    >>> stays_below("a/b"), stays_below("/a"), stays_below("a/../../b"), stays_below("a\0b")
    (True, False, False, False)
    """
    try:
        is_possible = b"\0" not in os.fsencode(name)
    except UnicodeEncodeError:
        return False
    path = PurePosixPath(name)
    return is_possible and not path.is_absolute() and ".." not in path.parts


def read_listed(path: Path, *, key: str, most_bytes: int) -> Mapping[str, Any]:
    """The same of a file that holds a mapping with a list at `key`.

    Raises:
        FileNotFoundError: There is none.
        ValueError: It cannot be read, or holds something else, in words that follow its name.
    """
    content = read_json(path, most_bytes=most_bytes)
    if not isinstance(content, Mapping) or not isinstance(content.get(key), list):
        raise ValueError(NOT_WRITTEN)
    return content


def why_no_json(error: Exception, path: Path) -> str:
    """Why the content of a file is not valid JSON, in words that follow its name.

    Args:
        error: What `read_regular` or the reading of JSON has raised.
        path: The file.

    >>> try:
    ...     json.loads("[1, 2")
    ... except ValueError as error:
    ...     why_no_json(error, Path("run.json"))
    'it is cut off or damaged at line 1, column 6'
    """
    if isinstance(error, json.JSONDecodeError):
        if not error.doc.strip():
            return "it is empty"
        return f"it is cut off or damaged at line {error.lineno}, column {error.colno}"
    if isinstance(error, UnicodeDecodeError):
        return "it holds bytes that are no text"
    if isinstance(error, RecursionError):
        return "it nests too deeply"
    if isinstance(error, FileNotFoundError):
        return "it is a link that leads nowhere"
    if isinstance(error, OSError):
        return error.strerror or str(error)
    said = str(error)
    return f"it {said.removeprefix(f'{path} ')}" if said.startswith(f"{path} ") else said


def file_sha256(path: Path) -> str:
    """Hex SHA-256 of a file's content, read piece by piece.

    Raises:
        OSError: It is missing or cannot be read.
    """
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def check_archive(content: bytes, *, most_bytes: int | None = None) -> None:
    """Refuse a zip archive (a torch checkpoint, an ``.npz``) that declares more than it may unpack to.

    Args:
        content: The archive; what is not a zip archive is passed over.
        most_bytes: The most it may unpack to; by default its own size, since torch compresses nothing.

    Raises:
        ValueError: It declares more, or its directory is damaged.
    """
    if not content.startswith(b"PK"):
        return
    most = len(content) if most_bytes is None else most_bytes
    try:
        with zipfile.ZipFile(io.BytesIO(content)) as archive:
            declared = sum(entry.file_size for entry in archive.infolist())
    except (zipfile.BadZipFile, ValueError, OSError, NotImplementedError) as error:
        raise ValueError(str(error)) from error
    if declared > most:
        raise ValueError(f"it would unpack to {declared:,} bytes; expected at most {most:,}")
