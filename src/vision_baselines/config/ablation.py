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
MOST_IN_A_BATCH = "hydra.sweeper.max_batch_size"
_SWITCHES = ("pairs", "all")
_NAME, _MOST = re.compile(r"[\w+-][\w .+-]*"), 40
_OVERRIDE = re.compile(r"(?:\+{0,2}[\w./@:-]+=.*|~[\w./@:-]+(?:=.*)?)", re.DOTALL)
_EXAMPLE = "'ablate={dropout: model.dropout=0, norm: model.norm=none}'"
# What Hydra's grammar has no words for, a file may have.
TYPED_NAMES = (
    f"{_EXAMPLE}; a name that is typed has letters from a to z, digits, blanks, _, -, . and +, and no quotes around "
    "it; one with other letters goes into an experiment's file"
)


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

    @property
    def claims(self) -> list[frozenset[str]]:
        """What each kind of run lacks whose difference to the full run is a claim; that of two parts is none."""
        found = [frozenset({name}) for name in self.parts]
        return [*found, frozenset(self.parts)] if self.all else found


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
        named = {_name(name): content for name, content in value.items() if name not in _SWITCHES}
        switches = {name: _switch(name, value[name]) for name in _SWITCHES if value.get(name) is not None}
    else:
        words = [value] if isinstance(value, str) else value
        if not isinstance(words, Sequence) or (isinstance(value, str) and value.lstrip().startswith(("{", "["))):
            raise ConfigError(f"ablate is {value!r}; expected parts and what leaves each out, such as {TYPED_NAMES}")
        switches = {word: True for word in words if word in _SWITCHES}
        words = [_override(word, ABLATE) for word in words if word not in _SWITCHES]
        named = _named_after_keys(words)
    parts = {name: _overrides(name, content) for name, content in named.items() if content is not None}
    if not parts:
        raise ConfigError(f"ablate names no part to leave out; expected some, such as {_EXAMPLE}")
    _require_own_keys(parts)
    for name in _SWITCHES:
        if switches.get(name) and len(parts) < 2:
            raise ConfigError(
                f"ablate.{name} needs two parts at least, and there is one: {next(iter(parts))}; leave {name} out"
            )
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


def _name(name: Any) -> str:
    if isinstance(name, bool | float) or name is None:  # of a file, or as Hydra reads it: on, true, 1.0, null
        raise ConfigError(f"ablate has a part whose name is read as {name!r}, which is no text; choose another name")
    return str(name)


def _overrides(name: str, content: Any) -> tuple[str, ...]:
    if not _NAME.fullmatch(name):
        raise ConfigError(
            f"ablate has a part called {name!r}; expected a short name of letters, digits, blanks, _, -, . and +"
        )
    if len(name) > _MOST:
        raise ConfigError(
            f"ablate has a part whose name has {len(name)} characters, {name!r}; expected at most {_MOST}"
        )
    words = [content] if isinstance(content, str) else content
    if not isinstance(words, Sequence) or not words:
        raise ConfigError(
            f"ablate.{name} is {content!r}; expected what leaves it out: model.dropout=0, or a list of overrides"
        )
    return tuple(_override(word, f"{ABLATE}.{name}") for word in words)


def _override(word: Any, key: str) -> str:
    """One override that leaves something out, of a list or of a part."""
    if not isinstance(word, str) or not _OVERRIDE.fullmatch(word.strip()):
        expected = f"the override that leaves {'it' if key != ABLATE else 'a part'} out, such as model.dropout=0"
        raise ConfigError(f"{key} {'is' if key != ABLATE else 'has'} {word!r}; expected {expected}")
    its = key_of(word.strip())
    if its in AXES_OF_CHANCE:
        raise ConfigError(f"{key} sets {its}, which is chance and no part; sweep over it: {its}=0,1,2")
    if is_irrelevant(its):
        raise ConfigError(f"{key} sets {its}, which cannot change a result")
    return word.strip()


def _require_own_keys(parts: Mapping[str, Sequence[str]]) -> None:
    owner: dict[str, str] = {}
    for name, words in parts.items():
        for key in map(key_of, words):
            if owner.get(key) == name:
                raise ConfigError(f"ablate.{name} sets {key} twice; give it one value")
            if key in owner:
                raise ConfigError(f"ablate.{owner[key]} and ablate.{name} both set {key}; a key belongs to one part")
            owner[key] = name
