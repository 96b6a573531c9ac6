"""The files of a run's folder: which of them this project writes, and how they are removed before a run anew.

Only these are ever removed, one by one; what somebody else put into the folder stays. A folder that holds files of
somebody's and no record is not a run's folder, and no run is started in it.
"""

from __future__ import annotations

import itertools
import os
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence, Set
from contextlib import suppress
from pathlib import Path, PurePosixPath

from vision_baselines.errors import ConfigError
from vision_baselines.runs.record import RECORD_FILE, Failure, RunRecord, Status, read_record
from vision_baselines.storage.atomic import remove_leftovers, write_atomically
from vision_baselines.storage.lock import LOCK_PATTERN

FILTERS_FILE = "filters.npy"
RUN_PAGE = "run.html"
"""The page of a single run, made from its record."""
CONFIG_FILE = "config.yaml"

# Everything that a run writes, by its path below the run's folder.
_WRITTEN = re.compile(
    r"run\.(json|html)|config\.yaml|trace\.npz|predictions[\w.-]*\.npz|mistakes\.npz|filters\.(npy|png)|filters_film\.(gif|png)|events\.out\.tfevents\.[^/]+"
    r"|csv/(metrics\.csv|hparams\.yaml)"
    r"|profile/[\w.=\[\]-]+\.(txt|json)|model_checkpoint/[\w.=-]+\.ckpt(\.sha256)?"
    r"|wandb/(metrics\.csv|run_id\.txt|pictures/\d+@[^/]+\.png)"
    r"|checkpoints/((best|last|resume-step=\d+)\.ckpt(\.sha256)?)"
)
# What W&B writes for itself, also after a record has listed the run's files.
_SYNCED = re.compile(r"wandb/(offline-)?run-\d{8}_\d{6}-\w+/.+")
_RESUME_STATE = re.compile(r"checkpoints/resume-step=\d+\.ckpt(\.sha256)?")
_FOLDERS = ("checkpoints", "csv", ".hydra")
# A picture of a probe: written where a record lists it.
_PICTURE = re.compile(r"[a-z]\w*/\w[\w.,=+-]*\.png")
# What a run leaves beside these, and that goes with it only where it is removed for good.
_BESIDE = re.compile(rf"{LOCK_PATTERN}|\.hydra/(config|hydra|overrides)\.yaml|train\.log|output\.txt")
# What is there before a run begins, and stays when it is trained anew: the lock, Hydra's own files, logs.
_KEPT = re.compile(rf"{LOCK_PATTERN}|\.hydra/[^/]+|[^/]+\.log|output\.txt|\.[^/]+\.\d+|\.replaced/.+")


def own_files(folder: Path, record: RunRecord) -> list[str]:
    """Everything in a run's folder that came with the run, as paths below it: what it wrote, its logs and its lock."""
    beside = (name for name in _files(folder) if _BESIDE.fullmatch(name) and not (folder / name).is_symlink())
    return [*run_files(folder, record), *sorted(beside)]


def written_files(folder: Path) -> list[str]:
    """Files in a run's folder that this project writes there, as sorted paths below it; links are not followed."""
    return sorted(name for name in _files(folder) if _WRITTEN.fullmatch(name) and not (folder / name).is_symlink())


def resume_states(folder: Path) -> list[str]:
    """The states in a run's folder that it can be resumed from, with their checksums, as sorted paths below it."""
    return [name for name in written_files(folder) if _RESUME_STATE.fullmatch(name)]


def run_files(folder: Path, record: RunRecord) -> list[str]:
    """What a run wrote, its record too, as paths below its folder; its logs and its lock are not among them."""
    return _removable(record, {name for name in _files(folder) if not (folder / name).is_symlink()})


def names_below(folder: Path) -> list[str]:
    """Every file below a folder, as sorted paths; a link is not followed."""
    return sorted(_files(folder))


def is_of_a_run(path: Path) -> bool:
    """Whether `path`, or the file that it leads to, is one that a run wrote, or will write under this name.

    A picture counts where the run's record lists it, or where the record says nothing yet.
    """
    ways = {path.resolve(), path.parent.resolve() / path.name}
    return any(
        _is_run(folder) and _is_own(folder, way.relative_to(folder).as_posix())
        for way in ways
        for folder in list(way.parents)[:2]
    )


def is_folder_of_a_run(path: Path) -> bool:
    """Whether `path` is a run's folder, or one in it that the run writes into."""
    path = path.resolve()
    if _is_run(path):
        return True
    if not _is_run(path.parent):
        return False
    return path.name in _FOLDERS or any(name.startswith(f"{path.name}/") for name in _listed(path.parent) or ())


def _is_run(folder: Path) -> bool:
    return os.path.lexists(folder / RECORD_FILE)


def _is_own(folder: Path, name: str) -> bool:
    if _WRITTEN.fullmatch(name) or _BESIDE.fullmatch(name):
        return True
    listed = _listed(folder)
    return name in listed if listed else _PICTURE.fullmatch(name) is not None


def _listed(folder: Path) -> list[str] | None:
    """The files that a run's record lists; None where it cannot be read."""
    try:
        return read_record(folder).files
    except (OSError, ValueError):
        return None


def require_own_folder(folder: Path) -> None:
    """Refuse to start a run among files of somebody else, such as a folder of documents; for one without a record.

    Raises:
        ConfigError: The folder holds files that no run was preceded by.
    """
    foreign = list(itertools.islice((name for name in _files(folder) if not _KEPT.fullmatch(name)), 4))
    if foreign:
        more = " and more" if len(foreign) > 3 else ""
        raise ConfigError(
            f"{folder} has no {RECORD_FILE} but holds {', '.join(foreign[:3])}{more}; it is not the folder of a run, "
            "and nothing was changed there. Choose another name=…, or move them away"
        )


def require_no_link(folder: Path) -> None:
    """Refuse to remove a run through a link.

    Raises:
        ConfigError: The folder is a link to another one.
    """
    if folder.is_symlink():
        raise ConfigError(f"{folder} is a link to {folder.resolve()}; a run is removed only from a folder of its own")


def clear(folder: Path, record: RunRecord | None) -> None:
    """Remove what an earlier run left in `folder`, record last; the lock, logs and what is not the project's stay.

    A finished run's record lists its files, and then only those are removed.

    Raises:
        ConfigError: The folder is a link to another one.
    """
    require_no_link(folder)
    own = written_files(folder)
    if record is not None:
        own = run_files(folder, record)
        # a kill from here on leaves the record of a run that has to be trained again, not of a finished one
        record = record.model_copy(update={"status": Status.FAILED, "failure": Failure(kind="", message="removed")})
        record.write(folder)
    for name in own:
        if name != RECORD_FILE:
            (folder / name).unlink(missing_ok=True)
    (folder / RECORD_FILE).unlink(missing_ok=True)
    remove_empty_folders(folder, own)


def remove_empty_folders(folder: Path, names: Iterable[str]) -> None:
    """Remove folders below `folder` that held the files `names`, paths below it, and hold nothing now."""
    above = {parent for name in names for parent in PurePosixPath(name).parents if parent.name}
    for parent in sorted(above, key=lambda parent: -len(parent.parts)):
        with suppress(OSError):
            (folder / parent).rmdir()


def write_pictures(folder: Path, pictures: Mapping[str, bytes], before: Sequence[str] = ()) -> list[str]:
    """Write a probe's pictures below `folder`, and remove what the same probes wrote `before` and do not draw now.

    Args:
        folder: A run's folder, held by this process, or one for pictures alone.
        pictures: PNG files by name, ``probe/name.png``.
        before: Names of files below `folder` that were written earlier.

    Returns:
        The names in `before` that are still there, and those of `pictures`, sorted.

    Raises:
        ConfigError: A name is of another form, or leads through a link.
        OSError: The folder cannot be written.
    """
    probes = {name.partition("/")[0] for name in pictures}
    for name in pictures:
        if not _PICTURE.fullmatch(name) or (folder / name).parent.is_symlink():
            raise ConfigError(f"a probe's picture is called {name!r}; expected probe/name.png, in no link")
    for probe in sorted(probes):
        (folder / probe).mkdir(parents=True, exist_ok=True)
        remove_leftovers(folder / probe)
    for name, content in pictures.items():
        write_atomically(folder / name, content)
    outdated = {n for n in before if _PICTURE.fullmatch(n) and n.partition("/")[0] in probes and n not in pictures}
    for name in outdated:
        (folder / name).unlink(missing_ok=True)
    return sorted({*before, *pictures} - outdated)


def _removable(record: RunRecord, there: Set[str]) -> list[str]:
    """Of the files that are `there`, those that the run wrote; where its record lists its files, only these."""
    own = sorted(name for name in there if _WRITTEN.fullmatch(name))
    if record.files:
        own = [name for name in own if name in {*record.files, RECORD_FILE, RUN_PAGE} or name.endswith(".row")]
    own += sorted(name for name in there if _SYNCED.fullmatch(name))
    return own + [name for name in record.files if is_probe_picture(name) and name in there]


def is_probe_picture(name: str) -> bool:
    """Whether a file of a run's folder, by its path below it, is a picture that a probe has drawn."""
    return _PICTURE.fullmatch(name) is not None


def _files(folder: Path, prefix: str = "") -> Iterator[str]:
    if folder.is_symlink() and prefix:
        yield prefix.rstrip("/")
    elif folder.is_dir():
        for path in folder.iterdir():
            yield from _files(path, f"{prefix}{path.name}/")
    elif prefix:
        yield prefix.rstrip("/")
