"""What could be removed below a folder of runs, and its removal: only files that this project writes, never a link.

What a run's folder holds is judged by its record, and again when it is removed, while its lock is held: a run that is
being trained is left alone. A folder whose ``config.yaml`` is not that of its record is left alone too, whatever the
record says.
"""

from __future__ import annotations

import os
import stat
from collections.abc import Collection, Iterator, Sequence
from contextlib import nullcontext, suppress
from dataclasses import dataclass, field
from enum import StrEnum
from pathlib import Path

from vision_baselines.comparison.collection import OUTPUT_FOLDER
from vision_baselines.comparison.formatting import one_line
from vision_baselines.errors import StorageError
from vision_baselines.report.write import PICTURES, is_comparison_file
from vision_baselines.report.written import WRITTEN_FILE, read_written
from vision_baselines.runs.files import CONFIG_FILE, own_files, resume_states
from vision_baselines.runs.fingerprint import fingerprint
from vision_baselines.runs.record import RECORD_FILE, RunRecord, Status, read_record
from vision_baselines.runs.record_cache import CACHE_FILE as RECORDS_FILE
from vision_baselines.runs.replaced import replaced_files
from vision_baselines.storage.atomic import is_leftover
from vision_baselines.storage.lock import LEASE_FILE, LOCK_FILE, LOCK_FILES, RunLockedError, exclusive, holder
from vision_baselines.storage.reading import file_sha256, read_regular
from vision_baselines.terminal import Waiting

_BEST = "checkpoints/best.ckpt"
_MOST_BYTES = 2**25


class Kind(StrEnum):
    """What could go."""

    RESUME_STATES = "resume-states"
    FAILED = "failed"
    INTERRUPTED = "interrupted"
    REPLACED = "replaced"
    LEFTOVERS = "leftovers"
    COMPARISONS = "comparisons"


# In words, for one folder and for all.
MEANING = {
    Kind.RESUME_STATES: "states of training that finished runs no longer need",
    Kind.FAILED: "runs that failed or diverged",
    Kind.INTERRUPTED: "runs that were interrupted, killed or pruned, with the states they could be resumed from",
    Kind.REPLACED: "earlier results that wait until a run that is trained anew has finished",
    Kind.LEFTOVERS: "files that a killed process left half written",
    Kind.COMPARISONS: "comparisons: `collect` makes a sweep's own again from the records, `compare` those with options",
}


@dataclass(frozen=True)
class Removable:
    """Files of one kind in one folder, by their paths below it."""

    kind: Kind
    folder: Path
    files: tuple[str, ...]
    size_bytes: int


@dataclass
class Disk:
    """What lies below a folder: what could go, what is left alone and why, and the size of everything."""

    top: Path
    removable: list[Removable] = field(default_factory=list)
    left_alone: list[tuple[Path, str]] = field(default_factory=list)
    n_runs: int = 0
    size_bytes: int = 0

    def of(self, kind: Kind) -> list[Removable]:
        """What is of a kind, largest first."""
        return sorted((one for one in self.removable if one.kind is kind), key=lambda one: -one.size_bytes)


def look(top: Path) -> Disk:
    """Find what could be removed at or below `top`; nothing is written and no link below it is followed."""
    top = top.resolve() if top.is_symlink() else top
    disk = Disk(top)
    for folder, names in _folders(top, disk):
        disk.left_alone += [(folder / name, "a link") for name in names if (folder / name).is_symlink()]
        disk.size_bytes += sum(_size(folder / name) for name in names)
        if RECORD_FILE in names:
            _look_at_run(folder, disk)
        _add(disk, Kind.REPLACED, folder, [] if holder(folder) is not None else replaced_files(folder))
        if folder.name == OUTPUT_FOLDER or folder.parent.name == OUTPUT_FOLDER:
            _look_at_comparison(folder, disk)
    return disk


def remove(found: Removable) -> int:
    """Remove it, if it is still what was found; the bytes that were freed.

    Raises:
        StorageError: It is being trained, it has changed meanwhile, or a file cannot be removed.
    """
    place = found.folder
    if place.is_symlink() or not place.is_dir():
        raise StorageError(f"{place}: it has changed meanwhile")
    try:
        with exclusive(place):
            now = Disk(place)
            (_look_at_run if (place / RECORD_FILE).exists() else _look_at_comparison)(place, now, held=True)
            _add(now, Kind.REPLACED, place, replaced_files(place))
            files = [name for one in now.of(found.kind) for name in one.files]
            if not files:
                raise StorageError(f"{place}: {now.left_alone[0][1] if now.left_alone else 'it has changed meanwhile'}")
            if found.kind is Kind.RESUME_STATES and not _is_whole(place / _BEST):
                raise StorageError(f"{place}: {_BEST} is not what was written, and the states hold those weights too")
            freed = _removed(place, files)
    except RunLockedError as error:
        raise StorageError(f"{place}: {error}") from error
    except OSError as error:
        raise StorageError(f"{error.filename or place} cannot be removed: {error.strerror}") from error
    return freed


def _removed(folder: Path, files: Sequence[str]) -> int:
    """Remove files of a folder that is held; what tells whose they are goes last, so that a kill leaves it known."""
    freed = 0
    last = {CONFIG_FILE: 1, RECORD_FILE: 2, WRITTEN_FILE: 2, LOCK_FILE: 3, LEASE_FILE: 4}
    for name in sorted(files, key=lambda name: (last.get(name, 0), name)):
        size = _size_of(folder, [name])
        with suppress(OSError) if name == LOCK_FILE else nullcontext():  # Windows keeps a file that is open
            (folder / name).unlink(missing_ok=True)
        freed += size
    if LOCK_FILE in files:
        (folder / LEASE_FILE).unlink(missing_ok=True)  # this process's own
    for below in sorted({name.rpartition("/")[0] for name in files}, key=len, reverse=True):
        with suppress(OSError):  # somebody else's files are in it
            (folder / below).rmdir()
    return freed


def _look_at_run(folder: Path, disk: Disk, *, held: bool = False) -> None:
    if not held and (pid := holder(folder)) is not None:
        disk.n_runs += 1
        disk.left_alone.append((folder, f"it is being trained by process {pid or '(unknown)'}"))
        return
    try:
        if not _is_regular(folder / RECORD_FILE):
            raise ValueError(f"its {RECORD_FILE} is not a regular file")
        record = read_record(folder)
    except (OSError, ValueError, RecursionError) as error:
        disk.left_alone.append((folder, one_line(error, 200)))
        return
    disk.n_runs += 1
    own = [name for name in own_files(folder, record) if _is_regular(folder / name)]
    is_bare = set(own) <= LOCK_FILES | {RECORD_FILE}  # of a removal that was killed
    if not is_bare and (problem := _not_its_own(folder, record)) is not None:
        disk.left_alone.append((folder, problem))
        return
    below = _below(folder)
    leftovers = [name for name in below if is_leftover(name.rpartition("/")[2])]
    _add(disk, Kind.LEFTOVERS, folder, leftovers)
    if not record.finished:
        _leave(disk, folder, set(below) - set(own) - set(leftovers) - set(replaced_files(folder)), "not of this run")
    if record.status is Status.FINISHED:
        states = resume_states(folder)
        if states and not _is_regular(folder / _BEST):
            disk.left_alone.append((folder, f"{_BEST} is missing, and the resume states hold those weights too"))
        else:
            _add(disk, Kind.RESUME_STATES, folder, states)
    elif record.status in (Status.FAILED, Status.DIVERGED):
        _add(disk, Kind.FAILED, folder, own)
    else:
        _add(disk, Kind.INTERRUPTED, folder, own)


def _look_at_comparison(folder: Path, disk: Disk, *, held: bool = False) -> None:
    """A comparison that can be made again: one of a folder that has a finished run."""
    top = folder if folder.name == OUTPUT_FOLDER else folder.parent
    files = [name for name in _below(folder) if name.count("/") < 2]
    if held or holder(folder) is None:
        _add(disk, Kind.LEFTOVERS, folder, [name for name in files if is_leftover(name.rpartition("/")[2])])
    files = [name for name in files if "/" not in name or name.startswith(f"{PICTURES}/")]
    files = [name for name in files if not is_leftover(name.rpartition("/")[2])]
    listed = read_written(folder)
    if listed is None:
        is_like_one = set(filter(is_comparison_file, files)) - LOCK_FILES
        if is_like_one and not (folder != top and folder.name == PICTURES):
            reason = f"it has no {WRITTEN_FILE}, which names what a comparison wrote; `collect` writes it anew"
            disk.left_alone.append((folder, reason))
        return
    known = [name for name in files if name in listed and is_comparison_file(name)]
    same = [name for name in known if _digest(folder / name) == listed[name]]
    ours = LOCK_FILES | {WRITTEN_FILE, RECORDS_FILE}
    _leave(disk, folder, set(known) - set(same), "changed since the comparison wrote it")
    _leave(disk, folder, set(files) - set(known) - ours, "not of this comparison")
    if same and any(_is_finished(path.parent) for path in top.parent.glob(f"*/{RECORD_FILE}")):
        _add(disk, Kind.COMPARISONS, folder, [*same, *(name for name in files if name in ours)])


def _not_its_own(folder: Path, record: RunRecord) -> str | None:
    """Why a record is not believed of the folder that it lies in."""
    import yaml

    loader = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
    try:
        content = read_regular(folder / CONFIG_FILE, most_bytes=_MOST_BYTES)
        if any(isinstance(event, yaml.AliasEvent) for event in yaml.parse(content, loader)):
            raise ValueError("what is written here repeats nothing by reference")
        config = yaml.load(content, loader)
        if fingerprint(config) == fingerprint(record.config):
            return None
    except FileNotFoundError:
        return f"it has no {CONFIG_FILE} beside its {RECORD_FILE}"
    except (OSError, ValueError, TypeError, AttributeError, RecursionError, yaml.YAMLError):
        pass  # whatever it is, it is not what was written
    return f"its {CONFIG_FILE} is not that of its {RECORD_FILE}"


def _is_finished(folder: Path) -> bool:
    try:
        return _is_regular(folder / RECORD_FILE) and read_record(folder).finished
    except (OSError, ValueError, RecursionError):
        return False


def _leave(disk: Disk, folder: Path, names: Collection[str], reason: str) -> None:
    if names:
        more = f" and {len(names) - 3} more" if len(names) > 3 else ""
        disk.left_alone.append((folder, f"{reason}: {', '.join(sorted(names)[:3])}{more}"))


def _add(disk: Disk, kind: Kind, folder: Path, names: Sequence[str]) -> None:
    if names:
        size = _size_of(folder, names)
        disk.removable.append(Removable(kind, folder, tuple(sorted(names)), size))


def _folders(top: Path, disk: Disk) -> Iterator[tuple[Path, list[str]]]:
    def refused(error: OSError) -> None:
        disk.left_alone.append((Path(error.filename or top), f"it cannot be read: {error.strerror}"))

    line = Waiting(f"looking through {top}", "folders")
    for seen, (path, folders, names) in enumerate(os.walk(top, onerror=refused)):
        line.told(seen)
        folders.sort()
        links = [Path(path) / name for name in folders if (Path(path) / name).is_symlink()]
        disk.left_alone += [(link, "a link") for link in links]
        yield Path(path), names


def _below(folder: Path) -> list[str]:
    """Regular files in a folder and in the folders in it, by path; no link is followed."""
    found = []
    for path, folders, names in os.walk(folder):
        below = Path(path).relative_to(folder)
        if below.parts and RECORD_FILE in names:
            folders.clear()  # a run of its own
            continue
        if len(below.parts) >= 2:
            folders.clear()
        prefix = f"{below.as_posix()}/" if below.parts else ""
        found += [prefix + name for name in names if _is_regular(Path(path) / name)]
    return found


def _size_of(folder: Path, names: Sequence[str]) -> int:
    """Without the lock's few bytes: the removal itself writes it."""
    return sum(_size(folder / name) for name in names if name not in LOCK_FILES)


def _size(path: Path) -> int:
    try:
        facts = path.lstat()
    except OSError:
        return 0
    return facts.st_size if stat.S_ISREG(facts.st_mode) else 0


def _is_regular(path: Path) -> bool:
    try:
        return stat.S_ISREG(path.lstat().st_mode)
    except OSError:
        return False


def _is_whole(path: Path) -> bool:
    """Whether a checkpoint is what its checksum beside it says."""
    if not _is_regular(path):
        return False
    try:
        known = read_regular(path.with_name(f"{path.name}.sha256"), most_bytes=1000).decode("ascii").split()
    except (OSError, ValueError):
        return False
    return _digest(path) in known


def _digest(path: Path) -> str | None:
    """SHA-256 of a regular file; None where it cannot be read."""
    try:
        return file_sha256(path)
    except OSError:
        return None
