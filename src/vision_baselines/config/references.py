"""A config as plain data, in which what belongs to one machine stays a reference.

The folders of `paths` differ between machines, and what a config takes from the environment may be a secret: neither
is written down, and a recorded config finds both where it is read.
"""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from enum import Enum
from pathlib import PurePath
from typing import Any

from omegaconf import DictConfig, ListConfig, OmegaConf
from omegaconf.errors import OmegaConfBaseException
from omegaconf.resolvers import oc

from vision_baselines.errors import ConfigError

_REFERENCE = re.compile(r"<(paths\.\w+|oc\.env:[^<>]+)>")


def plain_config(cfg: DictConfig) -> dict[str, Any]:
    """The resolved config as plain data, with references to `paths` left as references.

    So it says the same on every machine, and a recorded one runs wherever it is read.
    """
    resolved = OmegaConf.to_container(_without_paths(cfg), resolve=True, throw_on_missing=True)
    assert isinstance(resolved, dict)
    resolved.pop("paths", None)
    plain: dict[str, Any] = _with_references(resolved)
    return plain


def recorded_config(cfg: DictConfig, plain: Mapping[str, Any]) -> dict[str, Any]:
    """`plain`, which is `plain_config` of `cfg`, as it is written down: text from the environment is a reference too.

    A number or a switch that ``oc.decode`` makes of such text is kept: it is a setting, and a record says what was run.
    """
    raw: Any = OmegaConf.to_container(cfg, resolve=False)
    if "oc.env" not in str({key: value for key, value in raw.items() if key not in ("hydra", "paths")}):
        return dict(plain)
    copy = _without_paths(cfg)
    return {key: _leaf(copy, key, value) for key, value in plain.items()}


def override_texts(overrides: Any) -> list[str]:
    """Overrides as they were typed; in a config, one that holds an interpolation would be read resolved."""
    raw = OmegaConf.to_container(overrides, resolve=False) if OmegaConf.is_config(overrides) else overrides
    return [str(override) for override in raw or ()]


def _without_paths(cfg: DictConfig) -> DictConfig:
    """A copy in which each of `paths` is a mark, so that what refers to it can be found."""
    raw = OmegaConf.to_container(cfg, resolve=False)
    assert isinstance(raw, dict)
    raw.pop("hydra", None)  # the larger half of a job's config
    copy = OmegaConf.create(raw)
    OmegaConf.copy_cache(from_config=cfg, to_config=copy)
    for key in list(copy.get("paths") or {}):
        copy.paths[key] = f"<paths.{key}>"
    return copy


@contextmanager
def _environment_read_by(resolver: Callable[..., Any]) -> Iterator[None]:
    OmegaConf.register_new_resolver("oc.env", resolver, replace=True)
    try:
        yield
    finally:
        OmegaConf.register_new_resolver("oc.env", oc.env, replace=True)


def _unresolved(node: DictConfig | ListConfig, plain: Any) -> Any:
    """`plain`, which `node` resolves to, with references in place of texts that were taken from the environment."""
    if isinstance(node, DictConfig):
        return {str(key): _leaf(node, key, plain[str(key)]) for key in node}
    return [_leaf(node, index, plain[index]) for index in range(len(node))]


def _leaf(node: DictConfig | ListConfig, key: Any, plain: Any) -> Any:
    if isinstance(plain, dict | list):
        return _unresolved(node[key], plain)
    if not isinstance(plain, str) or not OmegaConf.is_interpolation(node, key):
        return plain
    names: list[str] = []

    def reference(name: str, *default: Any) -> str:
        if name not in os.environ:
            return str(oc.env(name, *default))
        names.append(name)
        return f"<oc.env:{name}>"

    with _environment_read_by(reference):
        try:
            text = node[key]
            if not names:
                return plain
        except OmegaConfBaseException:  # of a resolver that can make nothing of the reference
            text = None
    if isinstance(text, str) and all(f"<oc.env:{name}>" in text for name in names):
        return _with_references(text)
    return OmegaConf.to_container(node, resolve=False)[key]  # type: ignore[index]


def _with_references(node: Any) -> Any:
    """The same as plain types: what OmegaConf also holds (paths, enums) could not be loaded from a checkpoint."""
    if isinstance(node, Mapping):
        return {str(_with_references(key)): _with_references(value) for key, value in node.items()}
    if isinstance(node, list):
        return [_with_references(value) for value in node]
    if isinstance(node, Enum):
        return node.name
    if isinstance(node, PurePath):
        return _with_references(str(node))
    if isinstance(node, bytes):
        raise ConfigError(f"the config holds bytes, {node!r}; expected text")
    return _REFERENCE.sub(r"${\1}", node) if isinstance(node, str) else node
