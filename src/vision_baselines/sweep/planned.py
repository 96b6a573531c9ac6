"""Which jobs a sweep is to run, noted in its folder, so that `status` knows of those that have left no record yet.

A sweep holds a lock of its own while it runs. One that finds it held adds its jobs to those of the other.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from types import MappingProxyType

from vision_baselines.errors import StorageError
from vision_baselines.storage.atomic import write_atomically
from vision_baselines.storage.lock import RunLockedError, exclusive, holder
from vision_baselines.storage.reading import NOT_WRITTEN, read_listed, stays_below

PLANNED_FILE = "planned.json"
SWEEP_LOCK = ".sweep.lock"
_MOST_BYTES = 2**25


@dataclass(frozen=True)
class Planned:
    """What a sweep's folder says of its jobs.

    Attributes:
        words: What was typed of each job, by its folder's path below the sweep's; empty where there is no plan.
        fault: Why the plan, or a part of it, cannot be read, and what to do, in a line; empty where nothing is wrong.
    """

    words: Mapping[str, list[str]]
    fault: str = ""


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


def read_planned(folder: Path) -> Planned:
    """What a sweep's folder says of its jobs, and what is wrong with that."""
    path = folder / PLANNED_FILE
    try:
        content = read_listed(path, key="jobs", most_bytes=_MOST_BYTES)
    except FileNotFoundError:
        return Planned({})
    except ValueError as error:
        return Planned({}, _fault(path, str(error)))
    names, noted = content["jobs"], content.get("words")
    words = noted if isinstance(noted, dict) else {}
    found = {name: _texts(words.get(name)) for name in names if _is_below(name)}
    whole = all(map(_is_below, names))
    return Planned(found, "" if whole else _fault(path, NOT_WRITTEN))


def _fault(path: Path, reason: str) -> str:
    again = "the same command writes it again"
    if path.is_dir():
        reason, again = "it is a folder", f"move it away, and {again}"
    return f"{path} cannot be read: {reason}, so runs without a record are not shown; {again}"


def _is_below(name: object) -> bool:
    return isinstance(name, str) and bool(PurePosixPath(name).parts) and stays_below(name)


def _texts(found: object) -> list[str]:
    return found if isinstance(found, list) and all(isinstance(word, str) for word in found) else []


def sweep_process(folder: Path) -> int | None:
    """The id of the process of a sweep that runs, 0 where that is not known; None where none does."""
    return holder(folder, name=SWEEP_LOCK)
