"""Picture files and folders that somebody named, as one list of files; what cannot be one is said, and no more.

A folder is walked as `data=image_folder` walks a class: files below it in sorted order, by their extensions, hidden
ones and linked folders left out. A file that is named itself is taken whatever its name. Whether the files can be
decoded is left to `picture_decoding`.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path
from typing import NamedTuple

from vision_baselines.data.picture_layout import few, one_line, printable
from vision_baselines.data.picture_listing import EXTENSIONS, fault_of, files_below


class Fault(NamedTuple):
    """A file or folder, as it can go to any terminal, and why it is not used."""

    place: str
    reason: str

    def __str__(self) -> str:
        return f"{self.place}: {self.reason}"


@dataclass(frozen=True)
class GivenPictures:
    """The files, each once, in the order given; what cannot be used; and what was passed over, a line each."""

    files: list[Path] = field(default_factory=list)
    faults: list[Fault] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)


def given_pictures(paths: Iterable[str | Path]) -> GivenPictures:
    """The picture files that are named, or that lie in folders that are named."""
    found = GivenPictures()
    known: set[Path] = set()
    for path in paths:
        for file in _in_folder(Path(path), found) if is_folder(Path(path)) else [Path(path)]:
            identity = file.absolute()
            if identity in known:
                continue
            known.add(identity)
            try:
                fault = fault_of(file.stat())
            except (OSError, ValueError) as error:
                fault = getattr(error, "strerror", None) or one_line(error)
            if fault is None:
                found.files.append(file)
            else:
                found.faults.append(Fault(printable(str(file)), fault))
    return found


def is_folder(path: Path) -> bool:
    """Whether a path is a folder; one that cannot be looked at is none."""
    try:
        return path.is_dir()
    except OSError:
        return False


def _in_folder(folder: Path, found: GivenPictures) -> list[Path]:
    """Files that are pictures by their names; the rest is noted in `found`."""
    linked: list[str] = []
    refused: dict[str, str] = {}
    names = sorted(path for path, _ in files_below(folder, "", linked, refused))
    pictures = [name for name in names if name.lower().endswith(EXTENSIONS)]
    others = [name for name in names if not name.lower().endswith(EXTENSIONS)]
    shown = printable(str(folder))
    found.faults.extend(Fault(printable(str(folder / place)), reason) for place, reason in sorted(refused.items()))
    if not pictures and "" not in refused:
        found.faults.append(Fault(shown, f"no picture in it (looked for {' '.join(EXTENSIONS)})"))
    for what, paths in (("files that are no pictures by their names", others), ("linked folders", sorted(linked))):
        if paths:
            count = f" ({len(paths):,})" if len(paths) > 1 else ""
            found.notes.append(f"{what} are passed over in {shown}{count}: {few(paths)}")
    return [folder / name for name in pictures]
