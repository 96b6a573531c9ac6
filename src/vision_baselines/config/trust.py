"""What Hydra reads, checked before it acts on it.

YAML may grow without bound, or name Python objects; files are checked where Hydra loads them, whatever the command.
What Hydra would do with the composed config is left to `hydra_part`, what a task instantiates to `checks`.
"""

from __future__ import annotations

import functools
import itertools
import pickle
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import yaml
from hydra._internal.config_loader_impl import ConfigLoaderImpl
from hydra._internal.config_repository import ConfigRepository
from hydra.core.object_type import ObjectType
from omegaconf import DictConfig
from omegaconf.errors import OmegaConfBaseException

from vision_baselines.config.composed_once import ComposedOnce
from vision_baselines.config.hydra_part import check_hydra
from vision_baselines.config.packages import trusted_on_command_line
from vision_baselines.errors import ConfigError

_MOST_BYTES = 200_000
_MOST_VALUES = 20_000
_MOST_LEVELS = 100


@contextmanager
def checked() -> Iterator[None]:
    """While active, every file and every config that Hydra loads is checked before it is used."""
    load_file, load_config = ConfigRepository.load_config, ConfigLoaderImpl.load_configuration
    known: dict[tuple[str, str, str, int, int], bytes] = {}  # a sweep composes the same files for many jobs

    @functools.wraps(load_file)
    def checked_file(self: ConfigRepository, config_path: str) -> Any:
        source = self._find_object_source(config_path=config_path, object_type=ObjectType.CONFIG)
        if source is None or source.scheme() != "file":
            return load_file(self, config_path)
        path = Path(source.path) / source._normalize_file_name(config_path)
        key = (source.provider, config_path, str(path), *_version(path))
        if key not in known:
            check_file(path)
            with _yaml_errors(path):
                loaded = load_file(self, config_path)
            _check_keys(loaded, path)
            known[key] = pickle.dumps(loaded)
        return pickle.loads(known[key])  # Hydra changes what it is given

    def composed(self: ConfigLoaderImpl, *arguments: Any, **options: Any) -> DictConfig:
        try:
            return load_config(self, *arguments, **options)
        except (ValueError, TypeError, AttributeError) as error:
            if isinstance(error, OmegaConfBaseException):
                raise
            raise ConfigError(f"the config cannot be composed: {' '.join(str(error).split())}") from error

    once = ComposedOnce(composed, sys.argv[1:])

    @functools.wraps(load_config)
    def checked_config(self: ConfigLoaderImpl, *arguments: Any, **options: Any) -> DictConfig:
        cfg = once(self, *arguments, **options)
        if once.is_only_for_the_mode(options):
            return cfg  # nothing is done with the rest of it before it is asked for again
        typed = list(options.get("overrides") or (arguments[1] if len(arguments) > 1 else ()))
        check_hydra(cfg, typed, trusted_on_command_line(sys.argv[1:]))
        return cfg

    for place, name, function in (
        (ConfigRepository, "load_config", checked_file),
        (ConfigLoaderImpl, "load_configuration", checked_config),
    ):
        setattr(place, name, function)
    try:
        yield
    finally:
        ConfigRepository.load_config = load_file  # type: ignore[method-assign]
        ConfigLoaderImpl.load_configuration = load_config  # type: ignore[method-assign]


def _version(path: Path) -> tuple[int, int]:
    """What changes when a file is written; zeros where it cannot be seen, as whoever reads it will say."""
    try:
        status = path.stat()
    except OSError:
        return 0, 0
    return status.st_mtime_ns, status.st_size


def check_file(path: Path) -> None:
    """Refuse a config file that is no plain YAML, or that would grow beyond reason when it is read.

    Raises:
        ConfigError: The file and the line, or how large it is.
    """
    try:
        content = path.read_bytes()
    except OSError as error:
        raise ConfigError(f"cannot read {path}: {error.strerror}") from error
    if len(content) > _MOST_BYTES:
        raise ConfigError(f"{path} has {len(content):,} bytes; expected a config file of at most {_MOST_BYTES:,}")
    depth = itertools.accumulate(1 if byte in b"[{" else -1 for byte in content if byte in b"[]{}")
    if max(depth, default=0) > _MOST_LEVELS:
        raise ConfigError(f"{path} nests deeper than {_MOST_LEVELS} brackets; expected a config of ten levels or so")
    if b":" not in content and any(
        line.strip()[:1] not in (b"", b"#", b"{", b"-", b"%", b"!", b"&") for line in content.splitlines()
    ):
        raise ConfigError(f"{path} holds no key; expected keys with values, such as seed: 1")
    if b"&" not in content and b"!" not in content:
        return  # neither aliases nor tags; reading it costs what its size says
    with _yaml_errors(path):
        root = yaml.compose(content.decode(), Loader=yaml.SafeLoader)
        values = _values(root, {}) if root is not None else 0
        foreign = next(_foreign(root, set()), None) if root is not None else None
    if values > _MOST_VALUES:
        raise ConfigError(
            f"{path} grows beyond {_MOST_VALUES:,} values when its aliases are filled in; expected a config of its size"
        )
    if foreign is not None:
        raise ConfigError(
            f"{path}, line {foreign.start_mark.line + 1} has the tag {foreign.tag}; expected plain values, without tags"
        )


def _check_keys(loaded: Any, path: Path) -> None:
    """Refuse a config file that holds a list, or keys that are not text, which Hydra cannot merge or passes over."""
    config = loaded.config
    if not isinstance(config, DictConfig):
        raise ConfigError(f"{path} holds a list; expected keys with values, such as seed: 1")
    for key in config:
        if not isinstance(key, str):
            raise ConfigError(f"{path} has the key {key!r}; expected text, such as seed: 1")


@contextmanager
def _yaml_errors(path: Path) -> Iterator[None]:
    try:
        yield
    except UnicodeDecodeError as error:
        raise ConfigError(f"{path} is not UTF-8 text: byte {error.object[error.start]:#x} at {error.start}") from error
    except yaml.MarkedYAMLError as error:
        line = f", line {error.problem_mark.line + 1}" if error.problem_mark else ""
        raise ConfigError(f"{path}{line} is not valid YAML: {error.problem}") from error
    except yaml.YAMLError as error:
        raise ConfigError(f"{path} is not valid YAML: {' '.join(str(error).split())}") from error
    except OSError as error:
        if error.filename is not None:
            raise
        raise ConfigError(f"{path} holds a single value; expected keys with values, such as seed: 1") from error
    except RecursionError as error:
        raise ConfigError(f"{path} nests deeper than a config can; expected ten levels or so") from error


def _values(node: yaml.Node, known: dict[int, int]) -> int:
    """Values below a node when every alias is filled in; more than the limit for one that contains itself."""
    key = id(node)
    if key not in known:
        known[key] = _MOST_VALUES + 1  # met again on the way down: it contains itself
        known[key] = 1 + sum(_values(child, known) for child in _children(node))
    return known[key]


def _foreign(node: yaml.Node, seen: set[int]) -> Iterator[yaml.Node]:
    if id(node) not in seen:
        seen.add(id(node))
        if not node.tag.startswith("tag:yaml.org,2002:") or node.tag.startswith("tag:yaml.org,2002:python"):
            yield node
        for child in _children(node):
            yield from _foreign(child, seen)


def _children(node: yaml.Node) -> list[yaml.Node]:
    if isinstance(node, yaml.MappingNode):
        return [part for pair in node.value for part in pair]
    return list(node.value) if isinstance(node, yaml.SequenceNode) else []
