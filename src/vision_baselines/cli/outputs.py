"""What a command writes where it is told to: only what is no run's own, and JSON or CSV, alone or into a file.

``--json [FILE]`` and ``--csv [FILE]`` mean the same for every command: without a file, or with ``-``, the data is
printed and nothing else; a file is written beside what the command says.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import math
import os
import sys
from collections.abc import Collection, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from vision_baselines.comparison.formatting import printable
from vision_baselines.errors import ConfigError, StorageError, single_line
from vision_baselines.terminal import print_prose

PRINTED = Path("-")
DATA = {"--json": "JSON", "--csv": "CSV"}
_KINDS = {".png": "a PNG file", ".html": "an HTML file", ".json": "a JSON file", ".csv": "a CSV file"}
_PLANNED = "planned.json"
# In the folder of a sweep: its plan, a search's trials, Hydra's own. Named here, as their modules take long to import.
_OF_A_SWEEP = {
    _PLANNED, "search.json", "search.journal", "ablation.json", "until_decided.json", "multirun.yaml", "receipt.json",
}  # fmt: skip
_COMPARISON = "comparison"
_EXAMPLES = {".png": "picture.png", ".html": "page.html", ".json": "table.json", ".csv": "table.csv"}


@dataclass(frozen=True)
class Output:
    """An argument that names what a command writes.

    Attributes:
        dest: Where the parser puts its value.
        name: What it is called, such as ``--out``.
        suffix: How the name of its file ends; empty for any, None for a folder.
        makes_folders: Whether its folder is made where there is none.
        own: The name of a sweep's file that this command writes anew, if any.
    """

    dest: str
    name: str
    suffix: str | None
    makes_folders: bool = False
    own: str = ""

    def check(self, path: Path | None) -> None:
        """Refuse, before anything is spent, what must not or cannot be written.

        Raises:
            ConfigError: The name is of another kind of file, or is a run's own.
            StorageError: It is a folder, or its folder is missing or may not be written into.
        """
        if path is None or (path == PRINTED and self.name in DATA):
            return
        if self.suffix is None:
            require_foreign_folder(path, self.name)
            return
        if self.suffix and path.suffix != self.suffix:
            expected = f"{_KINDS[self.suffix]}, such as {_EXAMPLES[self.suffix]}"
            raise ConfigError(f"{self.name} is {str(path)!r}; expected the name of {expected}")
        if path.name != self.own:
            require_foreign_file(path, self.name)
        if reason := self._unwritable(path):
            raise StorageError(f"{self.name} {str(path)!r} cannot be written: {reason}")

    def _unwritable(self, path: Path) -> str:
        from vision_baselines.storage.atomic import why_unwritable

        folder = path.parent
        if self.makes_folders:
            folder = next(parent for parent in (folder, *folder.parents) if os.path.lexists(parent))
        if path.is_dir():
            return "it is a folder"
        if not folder.is_dir():
            return f"{str(folder)!r} is a file" if os.path.lexists(folder) else f"there is no folder {str(folder)!r}"
        return why_unwritable(folder)


def require_foreign_file(path: Path, name: str) -> None:
    """Refuse to write over a file of a run, a sweep or a comparison, such as a record, by whatever way it is reached.

    Raises:
        ConfigError: One of these wrote it, or writes one of this name there.
    """
    if owner := _owner(path):
        raise ConfigError(f"{name} is {str(path)!r}, a file of {owner}, which would be lost; choose another")


def require_own_files(paths: Mapping[str, Path | None]) -> None:
    """Refuse two arguments that name one file, of which only the second would be left.

    Args:
        paths: What each argument names, if anything.

    Raises:
        ConfigError: Two name the same.
    """
    named: dict[Path, str] = {}
    for name, path in paths.items():
        if path is None or path == PRINTED:
            continue
        if (other := named.setdefault(path.resolve(), name)) != name:
            raise ConfigError(f"{other} and {name} both name {str(path)!r}; choose another file for one of them")


def _owner(path: Path) -> str:
    from vision_baselines.report.written import read_written
    from vision_baselines.runs.files import is_of_a_run

    if is_of_a_run(path):
        return "a run"
    for way in {path.resolve(), path.parent.resolve() / path.name}:
        if way.name in _OF_A_SWEEP and os.path.lexists(way.parent / _PLANNED):
            return "a sweep"
        for folder in list(way.parents)[:2]:
            written = read_written(folder)
            if written is not None and (way.name.startswith(".") or way.relative_to(folder).as_posix() in written):
                return "a comparison"
    return ""


def require_foreign_folder(path: Path, name: str, *, compared: Sequence[Path] = ()) -> None:
    """Refuse to write into a run's folder, or one in it that the run writes into, or over a sweep's comparison.

    Args:
        path: Where is to be written.
        name: What says so.
        compared: Sweeps whose comparison may be written anew; then their own folders are no place for it.

    Raises:
        ConfigError: It is such a folder.
        StorageError: It is a file.
    """
    from vision_baselines.report.written import read_written
    from vision_baselines.runs.files import is_folder_of_a_run

    where, its = path.resolve(), {folder.resolve() for folder in compared}
    owner = ""
    if is_folder_of_a_run(path):
        owner = "a run"
    elif where.name == _COMPARISON and where.parent not in its and read_written(where) is not None:
        owner = "the comparison of another sweep" if its else "a comparison"
    elif its and (where in its or os.path.lexists(where / _PLANNED)):
        owner = "a sweep"
    if owner:
        raise ConfigError(f"{name} is {str(path)!r}, where {owner} keeps its own files; choose another folder")
    if os.path.lexists(path) and not path.is_dir():
        raise StorageError(f"{name} {str(path)!r} cannot be written into: it is a file")


@contextmanager
def until_reader_leaves() -> Iterator[None]:
    """Print meanwhile to somebody who may have seen enough, such as ``head``; what follows is done all the same."""
    try:
        yield
    except BrokenPipeError:
        # without this, Python complains once more while it ends
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
    except SystemExit as end:
        if not isinstance(end.__context__, BrokenPipeError):  # rich's own answer to the same
            raise


def with_data_files(words: Sequence[str], names: Collection[str] = tuple(DATA)) -> list[str]:
    """The words, with the value that each ``--json`` and ``--csv`` has: the next word where that is such a file.

    Args:
        words: What was typed.
        names: Those of the two that the command has; another is left as it was typed, to be refused as that.

    >>> with_data_files(["--json", "outputs/demo", "--csv", "a.csv"])
    ['--json=-', 'outputs/demo', '--csv=a.csv']
    """
    found: list[str] = []
    is_option = True
    for word in words:
        before = found[-1] if found else ""
        is_option = is_option and before != "--"
        if is_option and before in names and (word == str(PRINTED) or word.endswith(before.replace("--", "."))):
            found[-1] = f"{before}={word}"
            continue
        if is_option and before in names:
            found[-1] = f"{before}={PRINTED}"
        found.append(word)
    if is_option and found and found[-1] in names:
        found[-1] = f"{found[-1]}={PRINTED}"
    return found


def is_printed(options: argparse.Namespace) -> bool:
    """Whether data is printed, so that nothing else may be.

    Raises:
        ConfigError: JSON and CSV are both to be printed.
    """
    printed = [name for name in DATA if getattr(options, name.removeprefix("--"), None) == PRINTED]
    if len(printed) > 1:
        raise ConfigError(f"{' and '.join(printed)} are both to be printed; leave one of them out, or name a file")
    return bool(printed)


def say(text: object, *, to_stderr: bool = False) -> None:
    """Print one line, whatever names of files and runs in it hold."""
    print_prose(printable(single_line(text)), sys.stderr if to_stderr else None)


def text_apart(options: argparse.Namespace) -> contextlib.AbstractContextManager[object]:
    """While active, what is printed goes to stderr where data is printed."""
    return contextlib.redirect_stdout(sys.stderr) if is_printed(options) else contextlib.nullcontext()


def deliver(target: Path | None, content: bytes | object) -> None:
    """Print data alone, or write it to a file, if one of these is asked for.

    Args:
        target: What ``--json`` or ``--csv`` says; None for neither.
        content: The bytes, or what is written as JSON.

    Raises:
        StorageError: It cannot be written.
    """
    if target is None:
        return
    if not isinstance(content, bytes):
        content = as_json(content)
    if target == PRINTED:
        text = content.decode()
        sys.stdout.write(printable(text) if sys.stdout.isatty() else text)  # a name may hold what acts on a terminal
        sys.stdout.flush()
        return
    from vision_baselines.storage.atomic import write_atomically

    with writing(target):
        write_atomically(target, content)


def as_json(facts: object) -> bytes:
    r"""JSON that every reader takes: what is not a finite number is null, and paths are text.

    >>> as_json({"loss": math.nan})
    b'{\n "loss": null\n}\n'
    """
    return (json.dumps(_plain(facts), indent=1, allow_nan=False) + "\n").encode()


def _plain(node: Any) -> Any:
    if isinstance(node, dict):
        return {str(key): _plain(value) for key, value in node.items()}
    if isinstance(node, list | tuple):
        return [_plain(value) for value in node]
    if isinstance(node, float) and not math.isfinite(node):
        return None
    return str(node) if isinstance(node, Path) else node


@contextmanager
def writing(path: Path) -> Iterator[None]:
    """While a file is written that an option names.

    Raises:
        StorageError: It cannot be, and why.
    """
    try:
        yield
    except OSError as error:
        raise StorageError(f"{str(path)!r} cannot be written: {error.strerror or error}") from error
