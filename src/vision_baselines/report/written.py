"""Which files of a comparison's folder a comparison has written, by their SHA-256: a list beside them."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from pathlib import Path

from vision_baselines.storage.atomic import write_atomically
from vision_baselines.storage.reading import read_regular

WRITTEN_FILE = ".files.json"
_MOST_BYTES = 2**22


def note_written(folder: Path, contents: Mapping[str, bytes]) -> None:
    """Add files to the list of a folder; those that are gone leave it.

    Args:
        folder: Of the comparison, held by this process.
        contents: What was written, by path below the folder.
    """
    known = {name: digest for name, digest in (read_written(folder) or {}).items() if (folder / name).is_file()}
    known |= {name: hashlib.sha256(content).hexdigest() for name, content in contents.items()}
    write_atomically(folder / WRITTEN_FILE, (json.dumps(known, indent=1, sort_keys=True) + "\n").encode())


def read_written(folder: Path) -> dict[str, str] | None:
    """SHA-256 by path below the folder; None where there is no such list, or something else in its place."""
    try:
        found = json.loads(read_regular(folder / WRITTEN_FILE, most_bytes=_MOST_BYTES))
    except (OSError, ValueError, RecursionError):
        return None
    is_list = isinstance(found, dict) and all(isinstance(digest, str) for digest in found.values())
    return found if is_list else None
