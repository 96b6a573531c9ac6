r"""Whether the figures in a paper are what the records say: every line with a receipt is made again and compared."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from vision_baselines.comparison.collection import OUTPUT_FOLDER
from vision_baselines.comparison.errors import NoRecordsError, UnknownNameError
from vision_baselines.comparison.of_folders import table_of
from vision_baselines.errors import DataError
from vision_baselines.report.latex import RECEIPT, latex, receipts
from vision_baselines.storage.reading import read_regular

_INPUT = re.compile(r"^[^%\n]*?\\(?:input|include)\s*\{([^}]+)\}", re.MULTILINE)
_DEFINES = re.compile(r"\\(?:[gex]?def|let)\s*\\csname\s+vb@\w+@(?!known\\endcsname)")
_MOST_BYTES = 2**24
_NOT_MADE = "it cannot be made again"


@dataclass(frozen=True)
class Checked:
    """A figure of a paper; `reason` is empty where the records say the same, else what they say.

    `has_records` is false where they were not found, so that nothing is known of the figure.
    """

    place: str
    what: str
    reason: str = ""
    has_records: bool = True


def check_paper(paper: Path, folders: Sequence[Path], outputs: Path) -> list[Checked]:
    r"""Hold every figure with a receipt, in `paper` and the files that it takes in by ``\input``, against the records.

    Args:
        paper: A LaTeX file.
        folders: Sweeps, or folders of sweeps; for a receipt of another one, its name below `outputs`. A file in a
            comparison's folder is of the sweep that this is in.
        outputs: Where sweeps lie that `folders` do not name.

    Raises:
        DataError: A file cannot be read, a receipt is damaged, or there is none at all.
    """
    found: list[Checked] = []
    own = [paper.absolute().parent.parent] if paper.absolute().parent.name == OUTPUT_FOLDER else []
    for path, text in _files(paper):
        made: dict[str, dict[str, str] | str] = {}
        for place in _defined_otherwise(path, text):
            found.append(Checked(place, "a macro", "it is defined again, without a receipt"))
        for place, shown, key, said in _receipts(path, text):
            if isinstance(said, dict):
                made[key] = _made_again(said, key, [*folders, *own], outputs)
                continue
            what, _, _ = said.rpartition(" ")
            lines = made.get(key)
            if lines is None:
                reason = "the line that says which sweep it is of, the first with a receipt, is missing"
            elif isinstance(lines, str):
                reason = lines
            elif what not in lines:
                reason = "the records have no such group or metric any more"
            else:
                reason = "" if lines[what] == shown else f"the records say {_figure(lines[what])}, not {_figure(shown)}"
            found.append(Checked(place, what, reason, has_records=not reason.startswith(_NOT_MADE)))
    if not found:
        raise DataError(f"{paper} has no figure with a receipt; compare.py FOLDER format=latex writes such figures")
    return found


def _files(paper: Path) -> Iterator[tuple[Path, str]]:
    """The paper and what it takes in, each once, with what is in it."""
    waiting, seen = [paper], set()
    while waiting:
        path = waiting.pop(0)
        if path.resolve() in seen:
            continue
        seen.add(path.resolve())
        text = _text(path)
        yield path, text
        for name in _INPUT.findall(text):
            beside = paper.parent / name.strip()
            waiting.append(beside if beside.suffix else beside.with_suffix(".tex"))


def _text(path: Path) -> str:
    try:
        return read_regular(path, most_bytes=_MOST_BYTES).decode("utf-8", "replace")
    except (OSError, ValueError) as error:
        raise DataError(f"cannot read {path}: {getattr(error, 'strerror', None) or error}") from error


def _receipts(path: Path, text: str) -> Iterator[tuple[str, str, str, dict[str, Any] | str]]:
    try:
        for number, shown, key, said in receipts(text):
            yield f"{path.name}:{number}", shown, key, said
    except ValueError as error:
        raise DataError(f"{path}: {error}") from error


def _defined_otherwise(path: Path, text: str) -> Iterator[str]:
    """Lines that give a macro of a comparison a figure, and have no receipt."""
    for number, line in enumerate(text.splitlines(), 1):
        code = re.sub(r"(?<!\\)%.*", "", line)
        if _DEFINES.search(code) and RECEIPT not in line:
            yield f"{path.name}:{number}"


def _made_again(asked: dict[str, Any], key: str, folders: Sequence[Path], outputs: Path) -> dict[str, str] | str:
    """The lines of the comparison by what their receipts call them, or why there are none."""
    sweeps = [str(name) for name in asked.get("sweeps", [])]
    places = [_place(name, folders, outputs) for name in sweeps]
    options = {name: value for name, value in asked.items() if name != "sweeps"}
    try:
        table = table_of(places, options)
        if list(table.sweeps) != sweeps:
            return f"{', '.join(map(str, places))} holds runs of {', '.join(table.sweeps)}, not of {', '.join(sweeps)}"
        found = list(receipts(latex(table, options)))
    except (NoRecordsError, UnknownNameError, TypeError) as error:
        return f"{_NOT_MADE}: {error}"
    if found[0][2] != key:
        return "its receipt was changed"
    return {said.rpartition(" ")[0]: shown for _, shown, _, said in found if isinstance(said, str)}


def _place(name: str, folders: Sequence[Path], outputs: Path) -> Path:
    """Where a sweep lies."""
    named = [folder for folder in folders if folder.absolute().name == name]
    below = [folder / name for folder in folders if (folder / name).is_dir()]
    return next(iter([*named, *below]), outputs / name)


def _figure(line: str) -> str:
    r"""The figure of a macro's definition, or a table's row.

    >>> _figure(r"\expandafter\def\csname vb@acc@cnn@demo\endcsname{97.2 $\pm$ 0.3}")
    '97.2 $\\pm$ 0.3'
    """
    return line.partition(r"\endcsname{")[2].removesuffix("}") or line.removesuffix(r"\\").strip()
