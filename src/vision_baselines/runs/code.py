"""The code that a run uses: a digest of each module that its config leads to, comments and docstrings left out.

Followed are the imports, as written in the source, from the classes that the config names and from the training loop,
through the packages that can change a result (`_OURS`) and the user's trusted ones. So the same config gives the same
modules in every process, whatever else was imported there; nothing is imported to find out.

The source is split by one regular expression rather than by `tokenize` or `ast`, whose output changes with the version
of Python and which take ten times as long. White space counts only between words and at the start of a line.
"""

from __future__ import annotations

import functools
import hashlib
import importlib.util
import re
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any

from vision_baselines.runs.fingerprint import is_irrelevant
from vision_baselines.runs.migrations import current_config
from vision_baselines.runs.targets import targets

_OURS = ("models", "optim", "data", "tasks", "training", "seeding")
_START = ("vision_baselines.training.run",)
_PIECE = re.compile(
    r'''"""(?:\\.|[^\\])*?"""|\'\'\'(?:\\.|[^\\])*?\'\'\'|"(?:\\.|[^"\\\n])*"|'(?:\\.|[^'\\\n])*\''''
    r"""|\#[^\n]*|\\\n|\n|[ \t\f\r]+|[()\[\]{}]|[^\s#"'()\[\]{}\\]+|.""",
    re.DOTALL,
)
_IMPORT = re.compile(r"(?:from ?(\.*[\w.]*?)(?: |(?<=\.))import[ (]+([\w, ]+)|import ([\w., ]+))")
_QUOTES = ('"', "'")
_PREFIX, _FORMATTED = re.compile("[rRuUbB]{1,2}"), re.compile("[rR]?[fFtT][rR]?")


def code_of(config: Mapping[str, Any]) -> dict[str, str]:
    """Digest of each module that a run of this plain config uses, by its name, sorted.

    Only what can change a result is followed: not probes, loggers or what shows progress.
    """
    trusted = [str(name) for name in config.get("trusted_packages") or ()]
    found: dict[str, str] = {}
    ahead = [*_START, *_modules_of_targets(config)]
    while ahead:
        name = ahead.pop()
        path = None if name in found else _source(name, tuple(trusted))
        if path is None:
            continue
        facts = path.stat()
        found[name], imports = _read(path, facts.st_mtime_ns, facts.st_size)
        ahead += _absolute(imports, name, is_package=path.name == "__init__.py")
    return dict(sorted(found.items()))


def code_differences(before: Mapping[str, str], now: Mapping[str, str]) -> list[str]:
    """Names of the modules that both have and that are not the same, without the package's own name."""
    return [name.removeprefix("vision_baselines.") for name in before if name in now and before[name] != now[name]]


def code_of_all_attempts(before: Mapping[str, str], now: Mapping[str, str]) -> dict[str, str]:
    """Digests of a run that was begun with other code: both, where a module is not the same."""
    changed = {name for name in now if name in before and now[name] not in before[name].split("+")}
    return {name: f"{before[name]}+{now[name]}" if name in changed else before.get(name, now[name]) for name in now}


def normalized(source: str) -> str:
    """Source without comments, docstrings, blank lines and white space that says nothing.

    >>> normalized("a = [1,  # one")
    'a=[1,'
    """
    return "\n".join(line for line, _ in _logical_lines(source))


def _logical_lines(source: str) -> Iterator[tuple[str, str]]:
    """Each statement as ``indent + text``, and its text."""
    line, indent, last, depth, formatted, says_something = "", "", "", 0, False, False
    for piece in _PIECE.findall(source + "\n"):
        first = piece[0]
        if first == "\n" and depth <= 0:
            if says_something:
                yield indent + line, line
            line, indent, last, depth, formatted, says_something = "", "", "", 0, False, False
        elif piece.isspace() or piece == "\\\n":
            indent, last = (indent, " ") if line else (piece.strip("\r\n\f"), "")
        elif first == "#" and not formatted:  # after an f-string it may be a part of one, so it counts
            continue
        else:
            depth += (first in "([{") - (first in ")]}")
            formatted |= first in _QUOTES and bool(_FORMATTED.fullmatch(last))
            says_something |= first not in _QUOTES and not _PREFIX.fullmatch(piece)
            if last == " " and _is_word(line[-1]) and _is_word(first):
                line += " "
            line, last = line + piece, piece
    if says_something:  # a bracket that nobody closes
        yield indent + line, line


def _is_word(character: str) -> bool:
    return character.isalnum() or character == "_"


@functools.cache
def _read(path: Path, mtime_ns: int, size_bytes: int) -> tuple[str, tuple[tuple[str, str], ...]]:
    """Digest of a file's normalized source, and its imports as pairs of module and names."""
    lines = list(_logical_lines(path.read_text(encoding="utf-8", errors="surrogateescape")))
    content = "\n".join(line for line, _ in lines)
    imports = [(found[1] or "", found[2] or found[3]) for _, text in lines if (found := _IMPORT.match(text))]
    digest = hashlib.sha256(content.encode("utf-8", "surrogateescape")).hexdigest()[:16]
    return digest, tuple(imports)


def _absolute(imports: Iterable[tuple[str, str]], module: str, *, is_package: bool) -> Iterator[str]:
    for base, names in imports:
        if base.startswith("."):
            level = len(base) - len(base.lstrip("."))
            parents = module.split(".")[: len(module.split(".")) - level + is_package]
            base = ".".join([*parents, *filter(None, [base.lstrip(".")])])
        words = [part.split(" as ")[0].strip() for part in names.split(",")]
        yield from ([base] if base else [])
        yield from (f"{base}.{word}" if base else word for word in words if word)


def _source(module: str, trusted: tuple[str, ...]) -> Path | None:
    """The file of a module that is followed; None for any other."""
    package, *rest = module.split(".")
    if package == "vision_baselines":
        if not rest or rest[0] not in _OURS:
            return None
        root: Path | None = Path(__file__).parents[1]
    else:
        root = _package_folder(package) if package in trusted else None
    if root is None:
        return None
    if root.suffix == ".py":  # a package that is one file
        return root if not rest else None
    place = root.joinpath(*rest)
    candidates = [place / "__init__.py", *([place.with_suffix(".py")] if rest else [])]
    return next((path for path in candidates if path.is_file()), None)


def _package_folder(package: str) -> Path | None:
    try:
        spec = importlib.util.find_spec(package)
    except (ImportError, ValueError):
        return None
    if spec is None or not spec.origin:
        return Path(next(iter(spec.submodule_search_locations))) if spec and spec.submodule_search_locations else None
    return Path(spec.origin).parent if spec.submodule_search_locations else Path(spec.origin)


def _modules_of_targets(config: Mapping[str, Any]) -> Iterator[str]:
    for key, target in targets(current_config(config)):
        if not is_irrelevant(f"{key}._target_"):
            yield target.rpartition(".")[0]
