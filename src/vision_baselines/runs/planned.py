"""Which jobs a sweep is to run, as its folder says: those that have left no record yet are known by it alone."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

from vision_baselines.storage.reading import NOT_WRITTEN, read_listed, stays_below

PLANNED_FILE = "planned.json"
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


def sweeps_in(folder: Path) -> list[Path]:
    """Those right below a folder that a sweep has left its plan in, sorted; none where it cannot be looked into.

    Links are not followed, but a plan that is one counts, as one that cannot be read.
    """
    try:
        with os.scandir(folder) as entries:
            inside = sorted(entry.name for entry in entries if not entry.is_symlink())
    except OSError:
        return []
    # of thousands: a path costs more
    return [folder / name for name in inside if os.path.lexists(os.path.join(folder, name, PLANNED_FILE))]  # noqa: PTH118


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
