"""A finished run that is being trained anew: its files wait in ``.replaced`` until the new run has finished.

They are put back where the new run is refused before it has begun, and otherwise nothing puts them back by itself. The
record waits as ``record.json``, so that nothing takes the folder for a run; to have the earlier result again, move all
files back and give the record its name.
"""

from __future__ import annotations

from pathlib import Path
from typing import Final

from vision_baselines.runs.files import names_below, remove_empty_folders, run_files
from vision_baselines.runs.record import RECORD_FILE, Failure, RunRecord, Status
from vision_baselines.storage.atomic import write_atomically
from vision_baselines.storage.reading import read_regular

REPLACED: Final = ".replaced"
_RECORD: Final = "record.json"
_MOST_BYTES = 2**25


def set_aside(folder: Path, record: RunRecord) -> None:
    """Move what a finished run left into ``.replaced``; a kill leaves what was moved and what was not.

    Args:
        folder: Of the run, held by this process.
        record: Its record.
    """
    remove_replaced(folder)  # of a run that finished, and was killed before it removed this
    place = folder / REPLACED
    place.mkdir(exist_ok=True)
    # the record goes first: from here on the folder holds a run that has to be trained, not a finished one
    write_atomically(place / _RECORD, (folder / RECORD_FILE).read_bytes())
    record.model_copy(
        update={"status": Status.FAILED, "failure": Failure(kind="", message="it was being trained anew")}
    ).write(folder)
    for name in run_files(folder, record):
        if name != RECORD_FILE:
            (place / name).parent.mkdir(parents=True, exist_ok=True)
            (folder / name).replace(place / name)
    remove_empty_folders(folder, run_files(place, record))


def put_back(folder: Path) -> None:
    """Move what waits in ``.replaced`` back, its record last; nothing where nothing waits.

    Args:
        folder: Of the run, held by this process.
    """
    found = [name.removeprefix(f"{REPLACED}/") for name in replaced_files(folder)]
    for name in sorted(found, key=lambda name: name == _RECORD):
        target = folder / (RECORD_FILE if name == _RECORD else name)
        target.parent.mkdir(parents=True, exist_ok=True)
        (folder / REPLACED / name).replace(target)
    if found:
        remove_empty_folders(folder, [f"{REPLACED}/{name}" for name in found])


def replaced_files(folder: Path) -> list[str]:
    """Files of an earlier run that wait in a run's folder, as sorted paths below it; links are not followed."""
    place = folder / REPLACED
    if place.is_symlink() or not place.is_dir() or (place / _RECORD).is_symlink():
        return []
    try:
        record = RunRecord.model_validate_json(read_regular(place / _RECORD, most_bytes=_MOST_BYTES))
    except (OSError, ValueError):
        return []
    return sorted(f"{REPLACED}/{name}" for name in (*run_files(place, record), _RECORD))


def remove_replaced(folder: Path) -> None:
    """Remove the files of the earlier run; what somebody else put beside them stays."""
    found = replaced_files(folder)
    for name in sorted(found, key=lambda name: name.endswith(f"/{_RECORD}")):  # it says which files are the run's
        (folder / name).unlink(missing_ok=True)
    if found:
        remove_empty_folders(folder, found)


def is_waiting(folder: Path) -> bool:
    """Whether an earlier result waits in a run's folder."""
    return bool(names_below(folder / REPLACED)) and bool(replaced_files(folder))
