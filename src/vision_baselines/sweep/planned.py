"""Which jobs a sweep is to run, noted in its folder, so that `status` knows of those that have left no record yet.

A sweep holds a lock of its own while it runs. One that finds it held adds its jobs to those of the other.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path, PurePosixPath

from vision_baselines.errors import StorageError
from vision_baselines.storage.atomic import write_atomically
from vision_baselines.storage.lock import RunLockedError, exclusive, holder
from vision_baselines.storage.reading import read_regular

PLANNED_FILE = "planned.json"
_LOCK = ".sweep.lock"
_MOST_BYTES = 2**25


@contextmanager
def noted(folder: Path, jobs: Sequence[Path]) -> Iterator[None]:
    """While a sweep runs: its jobs, folders below the sweep's, are noted, if that can be written."""
    with ExitStack() as stack:
        try:
            try:
                stack.enter_context(exclusive(folder, name=_LOCK))
                before: list[str] = []
            except RunLockedError:
                before = planned_jobs(folder)
            note_planned(folder, jobs, before)
        except (OSError, ValueError, StorageError):
            pass  # its jobs cannot be written either, and say so
        yield


def note_planned(folder: Path, jobs: Sequence[Path], before: Sequence[str] = ()) -> None:
    """Note jobs, folders below a sweep's, beside those that were noted `before`.

    Raises:
        OSError: The folder cannot be written.
    """
    names = [job.relative_to(folder.absolute()).as_posix() for job in jobs]
    content = json.dumps({"jobs": list(dict.fromkeys([*before, *names]))}, indent=1)
    folder.mkdir(parents=True, exist_ok=True)
    write_atomically(folder / PLANNED_FILE, content.encode())


def planned_jobs(folder: Path) -> list[str]:
    """Paths below a sweep's folder of the jobs that it is or was to run; none where that is not known."""
    try:
        content = json.loads(read_regular(folder / PLANNED_FILE, most_bytes=_MOST_BYTES))
        names = [name for name in content["jobs"] if isinstance(name, str)]
    except (OSError, ValueError, TypeError, KeyError, RecursionError):
        return []
    paths = {name: PurePosixPath(name) for name in names}
    return [name for name, path in paths.items() if path.parts and not path.is_absolute() and ".." not in path.parts]


def sweep_process(folder: Path) -> int | None:
    """The id of the process of a sweep that runs, 0 where that is not known; None where none does."""
    return holder(folder, name=_LOCK)
