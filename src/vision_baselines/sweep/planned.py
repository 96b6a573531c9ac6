"""Which jobs a sweep is to run, noted in its folder, so that `status` knows of those that have left no record yet.

A sweep holds a lock of its own while it runs. One that finds it held adds its jobs to those of the other.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path
from types import MappingProxyType

from vision_baselines.errors import StorageError
from vision_baselines.runs.planned import PLANNED_FILE, read_planned
from vision_baselines.storage.atomic import write_atomically
from vision_baselines.storage.lock import RunLockedError, exclusive, holder

SWEEP_LOCK = ".sweep.lock"


@contextmanager
def noted(
    folder: Path, jobs: Sequence[Path], words: Sequence[Sequence[str]] = (), *, goes_on: bool = False
) -> Iterator[None]:
    """While a sweep runs: its jobs, folders below the sweep's, are noted, if that can be written.

    Args:
        folder: The sweep's.
        jobs: Folders of its jobs.
        words: What was typed of each job, by which it is called before it has a record.
        goes_on: Whether the same command has noted jobs before, which stay: those of an earlier round.
    """
    with ExitStack() as stack:
        try:
            try:
                stack.enter_context(exclusive(folder, name=SWEEP_LOCK))
                before = dict(read_planned(folder).words) if goes_on else {}
            except RunLockedError:
                planned = read_planned(folder)
                if planned.fault:  # those of the other would be lost, and nobody would be told
                    raise ValueError(planned.fault) from None
                before = dict(planned.words)
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
    with suppress(OSError):
        (folder / PLANNED_FILE).rmdir()  # an empty folder in its place, which no file replaces
    write_atomically(folder / PLANNED_FILE, content.encode())


def sweep_process(folder: Path) -> int | None:
    """The id of the process of a sweep that runs, 0 where that is not known; None where none does."""
    return holder(folder, name=SWEEP_LOCK)
