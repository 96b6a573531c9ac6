"""Packages of the user's own, found in the folder that a command was started in.

A console script has no current folder on its path, and putting it there would let any file shadow any module. So only
the packages that the command line trusts are looked for, and only after everything that is installed. A recorded
config cannot add a name here.
"""

from __future__ import annotations

import importlib
import sys
from collections.abc import Iterable, Sequence
from importlib.abc import MetaPathFinder
from importlib.machinery import ModuleSpec, PathFinder
from pathlib import Path
from types import ModuleType

from hydra.core.override_parser.overrides_parser import OverridesParser
from hydra.errors import HydraException

_KEY = "trusted_packages="


class StartFolderFinder(MetaPathFinder):
    """Finds the top-level packages named to `find_in_start_folder`, and nothing else."""

    def __init__(self) -> None:
        self.folders: dict[str, str] = {}

    def find_spec(
        self, fullname: str, path: Sequence[str] | None, target: ModuleType | None = None
    ) -> ModuleSpec | None:
        """The module in the folder the command was started in; its submodules are found from it as usual."""
        if path is not None or fullname not in self.folders:
            return None
        return PathFinder.find_spec(fullname, [self.folders[fullname]])


_finder = StartFolderFinder()


def find_in_start_folder(names: Iterable[str], folder: Path | None = None) -> None:
    """Make some top-level packages importable from a folder, by default the current one, after installed packages."""
    place = str(folder or Path.cwd())
    _finder.folders.update({name: place for name in names if name.isidentifier()})
    if _finder.folders and _finder not in sys.meta_path:
        sys.meta_path.append(_finder)
    importlib.invalidate_caches()


def trusted_on_command_line(words: Sequence[str]) -> list[str]:
    """The packages that ``trusted_packages=[…]`` names among the words of a command line.

    >>> trusted_on_command_line(["seed=1", "trusted_packages=[mine,ours]"])
    ['mine', 'ours']
    """
    named: list[str] = []
    for word in words:
        if word.lstrip("+").startswith(_KEY):
            try:
                value = OverridesParser.create().parse_override(word.lstrip("+")).value()
            except HydraException:
                continue  # Hydra will say so
            named += [str(name) for name in value] if isinstance(value, list) else []
    return named


def where_raised(error: BaseException) -> str:
    """File and line in which an import failed, leaving out the import system's own frames; empty if unknown.

    >>> where_raised(ValueError())
    ''
    """
    if isinstance(error, SyntaxError) and error.filename:
        return f"{error.filename}, line {error.lineno}"
    found = ""
    step = error.__traceback__
    while step is not None:
        name = step.tb_frame.f_code.co_filename
        if not name.startswith("<") and not name.endswith(("importlib/__init__.py", "hydra/_internal/utils.py")):
            found = f"{name}, line {step.tb_lineno}"
        step = step.tb_next
    return found
