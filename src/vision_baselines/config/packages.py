"""Packages of the user's own, found in the folder that a command was started in.

A console script has no current folder on its path, and putting it there would let any file shadow any module. So only
the packages that the command line trusts are looked for, and only after everything that is installed. A recorded
config cannot add a name here.
"""

from __future__ import annotations

import importlib
import importlib.util
import re
import sys
import sysconfig
from collections.abc import Iterable, Sequence
from contextvars import ContextVar
from importlib.abc import MetaPathFinder
from importlib.machinery import ModuleSpec, PathFinder
from pathlib import Path
from types import ModuleType

from hydra.core.override_parser.overrides_parser import OverridesParser
from hydra.errors import HydraException, InstantiationException

from vision_baselines.errors import ConfigError

_KEY = "trusted_packages="

# How each way in is told whom to trust, and which of them was taken; what is refused says it in these words.
OVERRIDE, OPTION, KEYWORD = "'trusted_packages=[{}]'", "--trust {}", 'trusted_packages=["{}"]'
_BETWEEN = {OVERRIDE: ",", OPTION: " --trust ", KEYWORD: '", "'}
_SUBJECTS = {OVERRIDE: "trusted_packages names", OPTION: "--trust names", KEYWORD: "trusted_packages names"}
told_by: ContextVar[str] = ContextVar("told_by", default=OVERRIDE)


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


def trust_packages(names: Iterable[str]) -> None:
    """Make the packages that somebody trusts importable, as `find_in_start_folder` does, before anything is read.

    Raises:
        ConfigError: One of them is not the name of a package or module that is there; nothing was imported.
    """
    listed = list(names)
    find_in_start_folder(listed)
    for name in listed:
        _require_package(name)


def _require_package(name: str) -> None:
    by = _SUBJECTS[told_by.get()]
    if not name.isidentifier():
        top = re.split(r"\W+", name.removesuffix(".py").strip("./"))[0]
        like = top if top.isidentifier() else "my_package"
        raise ConfigError(f"{by} {name!r}, which is no package; expected its name alone, such as {like}")
    try:
        spec = importlib.util.find_spec(name)
    except (ImportError, ValueError):
        spec = None
    if spec is None:
        raise ConfigError(
            f"{by} {name!r}, which is neither installed nor in {Path.cwd()}; start where it lies, or install it"
        )
    folders = list(spec.submodule_search_locations or ()) if spec.origin is None else []
    if folders and not any(any(Path(folder).glob(inner)) for folder in folders for inner in ("*.py", "*/*.py")):
        raise ConfigError(f"{by} {name!r}, which is a folder without Python files ({folders[0]}); expected a package")


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


def as_options(words: Sequence[str]) -> list[str]:
    """The words of a command that has ``--trust``, which does the same as ``trusted_packages=[…]``.

    Raises:
        ConfigError: What is to be trusted is not a list of names.

    >>> as_options(["outputs/demo", "trusted_packages=[mine,ours]"])
    ['outputs/demo', '--trust', 'mine', '--trust', 'ours']
    """
    found: list[str] = []
    for word in words:
        if not word.lstrip("+").startswith(_KEY):
            found.append(word)
            continue
        names = trusted_on_command_line([word])
        if not names:
            raise ConfigError(f"{word!r} names no package; expected the name of one: --trust my_package")
        found += [part for name in names for part in ("--trust", name)]
    return found


def how_to_trust(packages: Iterable[str], trusted: Iterable[str] = ()) -> str:
    """What to do about classes of some packages that are not trusted, in the words of the way in that was taken.

    A library is not named: whoever copies the advice would allow whatever a hostile config does with it.

    Args:
        packages: Top-level packages whose classes were refused, the one that is spoken of first.
        trusted: Those that are trusted already, which an override that names the others must name again.

    >>> how_to_trust(["my_lab", "os"], ["ours"])
    "if my_lab is a package of your own, add 'trusted_packages=[ours,my_lab]'"
    >>> how_to_trust(["os"])
    "to use a package of your own, add 'trusted_packages=[its_name]'"
    """
    form = told_by.get()
    refused = list(dict.fromkeys(packages))
    own = [name for name in refused if not _is_library(name)]
    if refused[0] not in own:
        return f"to use a package of your own, add {form.format('its_name')}"
    subject = f"{own[0]} is a package" if len(own) == 1 else f"{' and '.join(own)} are packages"
    named = own if form == OPTION else [*trusted, *own]
    return f"if {subject} of your own, add {form.format(_BETWEEN[form].join(named))}"


def require_of_hydra(key: str, target: str) -> None:
    """Refuse a target of a trusted package that Hydra itself instantiates for nobody, such as one that runs a shell.

    It says so only when the object is made; a class that is one of these under another name shows only then.

    Raises:
        ConfigError: It is such a target; nothing was imported.
    """
    from hydra._internal.target_policy import _authorize_target_name

    try:
        _authorize_target_name(target, target, "")
    except InstantiationException as error:
        raise ConfigError(
            f"{key}._target_ is {target!r}, which Hydra instantiates for nobody, though its package is trusted; "
            "expected a class of your own package"
        ) from error


def _is_library(package: str) -> bool:
    if package in {*sys.stdlib_module_names, "vision_baselines"} or not package.isidentifier():
        return True
    try:
        spec = importlib.util.find_spec(package)
    except (ImportError, ValueError):
        return False
    files = [spec.origin, *(spec.submodule_search_locations or ())] if spec is not None else []
    installed = tuple({sysconfig.get_path(kind) for kind in ("stdlib", "platstdlib", "purelib", "platlib")})
    return any(file is not None and file.startswith(installed) for file in files)


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
