"""Which jobs a sweep is to run, noted in its folder, so that `status` knows of those that have left no record yet.

A sweep holds a lock of its own while it runs. One that finds it held adds its jobs to those of the other.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path, PurePosixPath
from types import MappingProxyType

from vision_baselines.errors import StorageError
from vision_baselines.storage.atomic import write_atomically
from vision_baselines.storage.lock import RunLockedError, exclusive, holder
from vision_baselines.storage.reading import read_regular

PLANNED_FILE = "planned.json"
SWEEP_LOCK = ".sweep.lock"
_MOST_BYTES = 2**25


@contextmanager
def noted(folder: Path, jobs: Sequence[Path], words: Sequence[Sequence[str]] = ()) -> Iterator[None]:
    """While a sweep runs: its jobs, folders below the sweep's, are noted, if that can be written.

    Args:
        folder: The sweep's.
        jobs: Folders of its jobs.
        words: What was typed of each job, by which it is called before it has a record.
    """
    with ExitStack() as stack:
        try:
            try:
                stack.enter_context(exclusive(folder, name=SWEEP_LOCK))
                before: dict[str, list[str]] = {}
            except RunLockedError:
                before = planned_words(folder)
            note_planned(folder, jobs, words, before)
        except (OSError, ValueError, StorageError):
            pass  # its jobs cannot be written either, and say so
        yield


def note_planned(
    folder: Path,
    jobs: Sequence[Path],
    words: Sequence[Sequence[str]] = (),
    before: Mapping[str, Sequence[str]] = MappingProxyType({}),
) -> None:
    """Note jobs, folders below a sweep's, and what was typed of each, beside those that were noted `before`.

    Raises:
        OSError: The folder cannot be written.
    """
    names = [job.relative_to(folder.absolute()).as_posix() for job in jobs]
    typed = {**dict.fromkeys([*before, *names], ()), **before, **dict(zip(names, words, strict=False))}
    content = json.dumps({"jobs": list(typed), "words": {name: list(found) for name, found in typed.items()}}, indent=1)
    folder.mkdir(parents=True, exist_ok=True)
    write_atomically(folder / PLANNED_FILE, content.encode())


def planned_jobs(folder: Path) -> list[str]:
    """Paths below a sweep's folder of the jobs that it is or was to run; none where that is not known."""
    return list(planned_words(folder))


def planned_words(folder: Path) -> dict[str, list[str]]:
    """The same paths, each with what was typed of its job; nothing where that is not known."""
    try:
        content = json.loads(read_regular(folder / PLANNED_FILE, most_bytes=_MOST_BYTES))
        names = [name for name in content["jobs"] if isinstance(name, str)]
    except (OSError, ValueError, TypeError, KeyError, RecursionError):
        return {}
    noted = content.get("words")
    words = noted if isinstance(noted, dict) else {}
    paths = {name: PurePosixPath(name) for name in names}
    return {
        name: _texts(words.get(name))
        for name, path in paths.items()
        if path.parts and not path.is_absolute() and ".." not in path.parts
    }


def _texts(found: object) -> list[str]:
    return found if isinstance(found, list) and all(isinstance(word, str) for word in found) else []


def sweep_process(folder: Path) -> int | None:
    """The id of the process of a sweep that runs, 0 where that is not known; None where none does."""
    return holder(folder, name=SWEEP_LOCK)
