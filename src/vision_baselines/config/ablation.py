"""``ablate``: the parts of something that are left out one at a time, as a config or a command line names them.

``{dropout: model.dropout=0, norm: [model.norm=none, model.bias=true], pairs: true}``: a name, and the override or the
overrides that leave the part out; ``pairs`` also leaves out two at a time, ``all`` everything at once. A list of
overrides, ``[model.dropout=0, augment=none]``, names each part after its key. What is made of it: `sweep.ablation`.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import combinations
from typing import Any

from vision_baselines.errors import ConfigError
from vision_baselines.runs.fingerprint import AXES_OF_CHANCE, is_irrelevant, key_of

ABLATE = "ablate"
_SWITCHES = ("pairs", "all")
_NAME = re.compile(r"[\w+-][\w .+-]{0,39}")
_OVERRIDE = re.compile(r"(?:\+{0,2}[\w./@:-]+=.*|~[\w./@:-]+(?:=.*)?)", re.DOTALL)
_EXAMPLE = "'ablate={dropout: model.dropout=0, norm: model.norm=none}'"


@dataclass(frozen=True)
class Ablate:
    """What is left out.

    Attributes:
        parts: Of each part its name, and the overrides that leave it out.
        pairs: Whether two parts at a time are left out too.
        all: Whether all parts at once are left out too.
    """

    parts: Mapping[str, tuple[str, ...]]
    pairs: bool = False
    all: bool = False

    @property
    def variants(self) -> list[tuple[str, ...]]:
        """What each kind of run lacks: nothing, one part, two, all; names of parts in their order.

        >>> Ablate({"a": ("x=0",), "b": ("y=0",)}, pairs=True, all=True).variants
        [(), ('a',), ('b',), ('a', 'b')]
        """
        names = tuple(self.parts)
        found = [(), *((name,) for name in names)]
        found += list(combinations(names, 2)) if self.pairs else []
        return list(dict.fromkeys([*found, names] if self.all else found))


def parsed_ablate(value: Any) -> Ablate | None:
    """What ``ablate`` says, as plain data; None where it says nothing.

    Raises:
        ConfigError: It is neither names with overrides nor a list of overrides, or the parts cannot be told apart.

    >>> parsed_ablate(["model.dropout=0", "augment=none"]).parts
    {'dropout': ('model.dropout=0',), 'augment': ('augment=none',)}
    """
    if value is None:
        return None
    switches: dict[str, bool] = {}
    named: dict[str, Any]
    if isinstance(value, Mapping):
        named = {str(name): content for name, content in value.items() if name not in _SWITCHES}
        switches = {name: _switch(name, value[name]) for name in _SWITCHES if value.get(name) is not None}
    else:
        words = [value] if isinstance(value, str) else value
        if not isinstance(words, Sequence):
            raise ConfigError(f"ablate is {value!r}; expected parts and what leaves each out, such as {_EXAMPLE}")
        switches = {word: True for word in words if word in _SWITCHES}
        named = _named_after_keys([word for word in words if word not in _SWITCHES])
    parts = {name: _overrides(name, content) for name, content in named.items() if content is not None}
    if not parts:
        raise ConfigError(f"ablate names no part to leave out; expected some, such as {_EXAMPLE}")
    _require_own_keys(parts)
    for name in _SWITCHES:
        if switches.get(name) and len(parts) < 2:
            raise ConfigError(f"ablate.{name} is true, and {next(iter(parts))} is the only part; it needs another one")
    return Ablate(parts, **switches)


def check_ablate(config: Mapping[str, Any]) -> None:
    """Refuse an ``ablate`` that says nothing that can be understood.

    Raises:
        ConfigError: What it says and what was expected.
    """
    parsed_ablate(config.get(ABLATE))


def _switch(name: str, value: Any) -> bool:
    if not isinstance(value, bool):
        raise ConfigError(f"ablate.{name} is {value!r}; expected true or false: no part can have that name")
    return value


def _named_after_keys(words: Sequence[Any]) -> dict[str, Any]:
    """Overrides by the last word of their key, or by all of it where that would be another's too."""
    keys = [key_of(str(word)) for word in words]
    last = [key.rpartition(".")[2] for key in keys]
    names = [
        short if last.count(short) == 1 and short not in _SWITCHES else key
        for short, key in zip(last, keys, strict=True)
    ]
    if len(set(names)) < len(names):
        twice = next(name for name in names if names.count(name) > 1)
        raise ConfigError(f"ablate sets {twice} in two parts; expected one")
    return dict(zip(names, words, strict=True))


def _overrides(name: str, content: Any) -> tuple[str, ...]:
    if not _NAME.fullmatch(name):
        raise ConfigError(
            f"ablate has a part called {name!r}; expected a short name of letters, digits, blanks, _, -, . and +"
        )
    words = [content] if isinstance(content, str) else content
    if not isinstance(words, Sequence) or not words:
        raise ConfigError(
            f"ablate.{name} is {content!r}; expected what leaves it out: model.dropout=0, or a list of overrides"
        )
    for word in words:
        if not isinstance(word, str) or not _OVERRIDE.fullmatch(word.strip()):
            raise ConfigError(
                f"ablate.{name} is {word!r}; expected the override that leaves it out, such as model.dropout=0"
            )
        key = key_of(word.strip())
        if key in AXES_OF_CHANCE:
            raise ConfigError(f"ablate.{name} sets {key}, which is chance and no part; sweep over it: {key}=0,1,2")
        if is_irrelevant(key):
            raise ConfigError(f"ablate.{name} sets {key}, which cannot change a result")
    return tuple(word.strip() for word in words)


def _require_own_keys(parts: Mapping[str, Sequence[str]]) -> None:
    owner: dict[str, str] = {}
    for name, words in parts.items():
        for key in map(key_of, words):
            if key in owner:
                both = f"ablate.{name}" if owner[key] == name else f"ablate.{owner[key]} and ablate.{name}"
                raise ConfigError(f"{both} set {key}; a key belongs to one part, and has one value in it")
            owner[key] = name
