"""Where a run writes: in its own folder, and a data source in the folder of data.

The command line may say otherwise, for it is typed by the person whose files they are; a file or a record may not.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import PurePosixPath
from typing import Any

from omegaconf import DictConfig, OmegaConf, open_dict

from vision_baselines.config.compose import group_options
from vision_baselines.errors import ConfigError
from vision_baselines.runs.dotted import walk
from vision_baselines.runs.fingerprint import key_of

_GROUPS = ("logger", "callbacks", "trainer", "probe")
# Arguments of Lightning's and this project's classes that name what is written.
_WRITTEN = frozenset({"dirpath", "save_dir", "log_dir", "default_root_dir", "root_dir", "output_dir", "dump_folder"})
_CACHES = frozenset({"cache_dir", "download_dir"})  # beside these, of data sources
_NAMES = frozenset({"filename", "sub_dir", "version", "log_name", "name"})  # may be one name, and no path


def check_written_paths(config: Mapping[str, Any], typed: Sequence[str] = ()) -> None:
    """Refuse a file or folder outside the run's folder that was not typed.

    Args:
        config: A plain config; references to `paths` are still references.
        typed: The overrides of the command line.

    Raises:
        ConfigError: The key and what it is.
    """
    for key, value in _escaping(config):
        if not str(value).strip():
            raise ConfigError(f"{key} is {value!r}; expected a folder, such as one below ${{paths.run_dir}}")
        if not is_typed(key, typed):
            place, below = ("folder of data", "data_dir") if key.startswith("data.") else ("run's folder", "run_dir")
            other = ", or data.source.download=false" if key == "data.source.root" else ""
            raise ConfigError(
                f"{key} is {value!r}, which is not in the {place} and was not typed on the command line; "
                f"expected a place below ${{paths.{below}}}{other}"
            )


def is_typed(key: str, typed: Sequence[str]) -> bool:
    """Whether the command line gives a key its value; one that chooses a file, which may then set it, does not.

    >>> is_typed("logger.csv.save_dir", ["logger.csv.save_dir=x"]), is_typed("logger.csv.save_dir", ["logger=csv"])
    (True, False)
    """
    names = {key_of(word) for word in typed if "/" not in word.split("=")[0] and not group_options(key_of(word))}
    return any(key == name or key.startswith(f"{name}.") for name in names)


def confine_written_paths(cfg: DictConfig) -> None:
    """Move every file and folder that a recorded config would write into the run's folder, in place."""
    plain: Any = OmegaConf.to_container(cfg, resolve=False)
    with open_dict(cfg):
        for key, value in _escaping(plain):
            name = PurePosixPath(str(value)).name.strip(".") or "output"
            if key == "data.source.root":  # data that lie there may be read
                OmegaConf.update(cfg, "data.source.download", False)
            elif key.startswith("data."):
                OmegaConf.update(cfg, key, "${paths.data_dir}/" + name)
            else:
                OmegaConf.update(cfg, key, name if key.rpartition(".")[2] in _NAMES else "${paths.run_dir}/" + name)


def _escaping(config: Mapping[str, Any]) -> list[tuple[str, Any]]:
    found = []
    for group in _GROUPS:
        for key, value in walk(config.get(group), group):
            name = key.rpartition(".")[2]
            is_place = name in _WRITTEN and not _is_inside(str(value))
            is_path = name in _NAMES and ("/" in str(value) or "\\" in str(value) or str(value) == "..")
            if not isinstance(value, Mapping | list | None) and (is_place or is_path):
                found.append((key, value))
    source = (config.get("data") or {}).get("source") if isinstance(config.get("data"), Mapping) else None
    for key, value in walk(source, "data.source"):
        name = key.rpartition(".")[2]
        written = name in _WRITTEN | _CACHES or (key == "data.source.root" and _downloads(source))
        if (
            written
            and not isinstance(value, Mapping | list | None)
            and not any(_is_inside(str(value), of) for of in ("run_dir", "data_dir"))
        ):
            found.append((key, value))
    return found


def _downloads(source: Any) -> bool:
    return (
        isinstance(source, Mapping)
        and ".torchvision_source." in str(source.get("_target_"))
        and source.get("download", True) is not False
    )


def _is_inside(text: str, of: str = "run_dir") -> bool:
    below_run = text == f"${{paths.{of}}}" or text.startswith(f"${{paths.{of}}}/")
    return below_run and "$" not in text[1:] and ".." not in PurePosixPath(text).parts and "\\" not in text
