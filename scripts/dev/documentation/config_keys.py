"""Every key of conf/ with its default and its description: what the reference of the config is made from.

A description is the key's comment in its YAML file, and what the docstring of the class says of the argument that the
key becomes. Files are read as text: nothing is composed, so a default is shown as it is written.
"""

from __future__ import annotations

import ast
import functools
import re
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from pathlib import Path

import yaml

from documentation.arguments import argument_kind, argument_text
from vision_baselines.config.compose import conf_dir

# What Hydra reads in any node; described once, in docs/reference/config.md.
SYNTAX = frozenset({"_target_", "_partial_", "defaults"})
_LOADER = getattr(yaml, "CSafeLoader", yaml.SafeLoader)  # libyaml's is ten times as fast
_PACKAGE = re.compile(r"# @package (\S+)")


@dataclass(frozen=True)
class Key:
    """One key of one file.

    Attributes:
        name: The key as it is typed, such as ``data.source.val_size``.
        default: Its value as it is written.
        comment: What the file says of it.
        target: The class whose argument it is; empty where it is none's.
        argument: What the class's docstring says of that argument.
        kind: What the class's signature takes, in words.
    """

    name: str
    default: str
    comment: str = ""
    target: str = ""
    argument: str = ""
    kind: str = ""

    @property
    def description(self) -> str:
        """All that is said of it."""
        return "\n\n".join(part for part in (self.argument, self.comment) if part)


@dataclass(frozen=True)
class Option:
    """One file of conf/.

    Attributes:
        group: ``data``, ``hydra/launcher``, …; empty for train.yaml.
        name: ``mnist``, …
        about: Its leading comment.
        target: The class that it builds, if any.
        based_on: The files that it begins with, as its defaults list names them.
        keys: Its own keys.
        sets: Keys of other groups that it sets.
    """

    group: str
    name: str
    about: str
    target: str = ""
    based_on: tuple[str, ...] = ()
    keys: tuple[Key, ...] = ()
    sets: tuple[Key, ...] = field(default=())


@functools.cache
def options() -> tuple[Option, ...]:
    """Every file of conf/, train.yaml first."""
    folder = conf_dir()
    paths = sorted(folder.rglob("*.yaml"), key=lambda path: (path.name != "train.yaml", path.as_posix()))
    return tuple(_option(path, folder) for path in paths)


def groups() -> dict[str, list[Option]]:
    """The options of each group, in the order of train.yaml's defaults list, then the others."""
    found: dict[str, list[Option]] = {group: [] for group in _default_options()}
    for option in options():
        if option.group:
            found.setdefault(option.group, []).append(option)
    return found


def default_option(group: str) -> str:
    """The option that is chosen where none is typed; empty for none."""
    return _default_options().get(group, "")


@functools.cache
def keys() -> frozenset[str]:
    """The name of every key that the reference describes."""
    return frozenset(key.name for option in options() for key in option.keys)


@functools.cache
def _default_options() -> dict[str, str]:
    entries = yaml.load((conf_dir() / "train.yaml").read_text(encoding="utf-8"), Loader=_LOADER)["defaults"]
    chosen = {group: option for entry in entries if isinstance(entry, dict) for group, option in entry.items()}
    chosen = {group: option for group, option in chosen.items() if not group.startswith("optional ")}  # not shipped
    hydras = yaml.load((conf_dir() / "hydra" / "default.yaml").read_text(encoding="utf-8"), Loader=_LOADER)["defaults"]
    nested = {f"hydra/{name.split()[-1]}": option for entry in hydras for name, option in entry.items()}
    return {group: option or "" for group, option in {**chosen, **nested}.items()}


def _option(path: Path, folder: Path) -> Option:
    text = path.read_text(encoding="utf-8")
    lines = text.splitlines()
    group = path.parent.relative_to(folder).as_posix()
    group = path.stem.removesuffix("_base") if path.stem.endswith("_base") else "" if group == "." else group
    leading = []
    for line in lines:
        if not line.startswith("#"):
            break
        leading.append(line.removeprefix("#").removeprefix(" "))
    package = _PACKAGE.match(text)
    prefix = "" if package or not group else group.replace("/", ".")
    root = yaml.compose(text, Loader=_LOADER)
    own = group.replace("/", ".")
    based_on = _based_on(text)
    inherited = next((target for name in based_on if (target := _target_of(name, path, folder))), "")
    found = list(_keys(root, prefix, inherited, lines, len(leading))) if isinstance(root, yaml.MappingNode) else []
    mine = [key for key in found if not package or key.name.split(".")[0] == own]
    return Option(
        group,
        path.stem,
        "\n".join(line for line in leading if not line.startswith("@package")).strip(),
        target=next((_plain(key.default) for key in found if key.name == f"{own}._target_"), ""),
        based_on=based_on,
        keys=tuple(key for key in mine if key.name.rpartition(".")[2] not in SYNTAX),
        sets=tuple(key for key in found if key not in mine and key.name.rpartition(".")[2] not in SYNTAX),
    )


def _based_on(text: str) -> tuple[str, ...]:
    entries = (yaml.load(text, Loader=_LOADER) or {}).get("defaults") or []
    named = [entry if isinstance(entry, str) else " ".join(f"{k}={v}" for k, v in entry.items()) for entry in entries]
    return tuple(name for name in named if name != "_self_")


def _target_of(name: str, path: Path, folder: Path) -> str:
    """The class that the file named in a defaults list builds, where that file is put in the same place."""
    place, _, package = name.partition("@")
    if "=" in name or name.startswith("override ") or package not in ("", "_here_"):
        return ""
    base = (folder / place[1:] if place.startswith("/") else path.parent / place).with_suffix(".yaml")
    loaded = yaml.load(base.read_text(encoding="utf-8"), Loader=_LOADER) or {}
    bases = (_target_of(inner, base, folder) for inner in _based_on(base.read_text(encoding="utf-8")))
    return loaded.get("_target_") or next((target for target in bases if target), "")


def _keys(
    node: yaml.MappingNode, prefix: str, target: str, lines: list[str], start: int, comment: str = ""
) -> Iterator[Key]:
    """The leaves at and below a node; a list is a leaf.

    Args:
        node: A mapping.
        prefix: Its dotted key.
        target: The class that an enclosing node builds.
        lines: Of the file.
        start: The first line after the file's leading comment.
        comment: Of the node itself, for keys that have none.
    """
    for name, value in node.value:
        if name.value == "_target_":
            target = value.value
    for name, value in node.value:
        key = f"{prefix}.{name.value}" if prefix else name.value
        if name.value == "defaults" and not prefix.count("."):
            continue
        if isinstance(value, yaml.MappingNode) and value.value and not value.flow_style:
            # a mapping that builds nothing is an argument, whose own keys no docstring lists
            yield from _keys(value, key, "", lines, start, _comment(name, value, lines, start) or comment)
            continue
        said = _comment(name, value, lines, start) or comment
        argument, kind = argument_text(target, name.value), argument_kind(target, name.value)
        yield Key(key, _written(value, lines), said, target, argument, kind)


def _written(value: yaml.Node, lines: list[str]) -> str:
    if value.start_mark.line == value.end_mark.line:
        return lines[value.start_mark.line][value.start_mark.column : value.end_mark.column].strip()
    return yaml.safe_dump(
        yaml.load(_source(value, lines), Loader=_LOADER), default_flow_style=True, width=10**6
    ).strip()


def _source(value: yaml.Node, lines: list[str]) -> str:
    first, last = value.start_mark, value.end_mark
    rows = [" " * first.column + lines[first.line][first.column :], *lines[first.line + 1 : last.line]]
    return "\n".join([*rows, lines[last.line][: last.column] if last.line < len(lines) else ""])


def _comment(name: yaml.Node, value: yaml.Node, lines: list[str], start: int) -> str:
    """The comment at the end of a key's line, else the comment lines above it."""
    ends = value.end_mark if value.start_mark.line == value.end_mark.line == name.end_mark.line else name.end_mark
    if (match := re.match(r":?\s+#\s?(.*)", lines[ends.line][ends.column :])) is not None:
        return match[1].strip()
    above: list[str] = []
    for line in reversed(lines[start : name.start_mark.line]):
        if not re.match(rf" {{{name.start_mark.column}}}# ?", line):
            break
        above.insert(0, line.strip().removeprefix("#").strip())
    return " ".join(above)


def _plain(text: str) -> str:
    return str(ast.literal_eval(text)) if text[:1] in "'\"" else text


def merged(found: list[Option]) -> dict[str, list[tuple[Key, list[str]]]]:
    """Keys by name over the options of a group; a key's variants are those that differ in default or description.

    Returns:
        For each name its variants, each with the names of its options.
    """
    result: dict[str, list[tuple[Key, list[str]]]] = {}
    for option in found:
        for key in option.keys:
            variants = result.setdefault(key.name, [])
            same = next((names for other, names in variants if replace(other, target=key.target) == key), None)
            if same is None:
                variants.append((key, [option.name]))
            else:
                same.append(option.name)
    return result
