"""Hydra's own part of a config, checked as Hydra will see it: after every interpolation is resolved.

Hydra instantiates callbacks, launcher and sweeper, makes logging handlers and writes files before any task of ours
runs. So what it will do is computed here first: the part is resolved, and then every class, handler, file and folder in
it is compared with what is known to be harmless. What cannot be resolved yet is refused, since it could become
anything. Whom to trust is read from the command line alone.
"""

from __future__ import annotations

import functools
import os
import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from hydra.core.plugins import Plugins
from hydra.experimental import callbacks as hydra_callbacks
from hydra.experimental.callback import Callback
from hydra.plugins.plugin import Plugin
from omegaconf import DictConfig, OmegaConf, open_dict
from omegaconf.errors import OmegaConfBaseException

from vision_baselines.config.ablation import ABLATE
from vision_baselines.config.compose import project_root
from vision_baselines.config.packages import how_to_trust, require_of_hydra
from vision_baselines.config.seeds_per_pass import can_share_steps
from vision_baselines.config.written_paths import is_typed
from vision_baselines.errors import ConfigError
from vision_baselines.runs.targets import targets

# Made where a plugin is instantiated; the samplers of a search are classes of their own.
_INSIDE_PLUGINS = re.compile(r"optuna\.(samplers|pruners)\.[A-Z]\w*")
_OURS = frozenset(
    {
        "vision_baselines.sweep.callback.SweepCallback",
        "vision_baselines.sweep.hooks.RunHooks",
        "vision_baselines.sweep.around.AroundRuns",
    }
)
_LEAVES_OUT = "hydra_plugins.vision_baselines_local.PairedSweeper"
_ADDS_SEEDS = "hydra_plugins.vision_baselines_local.UntilDecidedSweeper"
_LOG_CLASSES = frozenset(
    {
        "logging.StreamHandler",
        "logging.FileHandler",
        "logging.NullHandler",
        "logging.Formatter",
        "vision_baselines.terminal.TerminalFormatter",
        "logging.handlers.RotatingFileHandler",
        "rich.logging.RichHandler",
        "colorlog.ColoredFormatter",
    }
)
_LOG_STREAMS = ("ext://sys.stdout", "ext://sys.stderr")
# Stands for a run's folder, which is not known before Hydra has made it.
_RUN_FOLDER = "/<run folder>"
_RUN_DIR = "${hydra:runtime.output_dir}"
_ACTED_ON = ("callbacks", "launcher", "sweeper", "job_logging", "hydra_logging", "sweep", "run", "output_subdir")


def check_hydra(cfg: DictConfig, typed: Sequence[str], trusted: Sequence[str]) -> None:
    """Refuse what Hydra would run, log to or write, where it is not known to be harmless.

    Args:
        cfg: A config as Hydra composed it.
        typed: The overrides of the command line, or of a job.
        trusted: Packages that the command line trusts.

    Raises:
        ConfigError: The key, what it is and what was expected.
    """
    if OmegaConf.select(cfg, "hydra") is None:
        return
    _check_trust(cfg, trusted)
    _check_overrides(cfg, typed)
    _check_environment(cfg, typed)
    _check_places(cfg)
    node = _resolved(cfg)
    if "trusted_packages" in repr(node.get("sweeper")) and not any("trusted_packages" in word for word in typed):
        raise ConfigError("hydra.sweeper sets trusted_packages; only the command line can say whom to trust")
    for key, target in targets(node, "hydra"):
        is_trusted = target.split(".")[0] in trusted
        if is_trusted:
            require_of_hydra(key, target)
        if not _is_harmless(target) and not is_trusted:
            raise ConfigError(
                f"{key}._target_ is {target!r}; Hydra would run it. Expected one of its own launchers, sweepers or "
                f"callbacks; {how_to_trust([target.split('.')[0]], trusted)}"
            )
    for name in ("hydra_logging", "job_logging"):
        _check_logging(node.get(name), f"hydra.{name}", [_RUN_FOLDER, str((node.get("sweep") or {}).get("dir"))])
    _check_outputs(cfg, typed)
    most = (node.get("sweeper") or {}).get("max_batch_size")
    if most is not None and (not isinstance(most, int) or isinstance(most, bool) or most < 1):
        raise ConfigError(f"hydra.sweeper.max_batch_size is {most!r}; expected a whole number of at least 1, or null")
    _check_shell(node.get("launcher") or {}, typed)
    launcher = str((node.get("launcher") or {}).get("_target_"))
    for key in ("n_jobs", "fail_fast"):
        value = OmegaConf.select(cfg, key)
        if value and launcher.startswith(("hydra.", "hydra_plugins.hydra_")):
            raise ConfigError(
                f"{key} is {value!r}; hydra/launcher=local heeds it, and {launcher.split('.')[-1]} does not"
            )
    can_share_steps(OmegaConf.select(cfg, "seeds_per_pass", default=1), launcher)
    sweeper = str((node.get("sweeper") or {}).get("_target_"))
    most_seeds = OmegaConf.select(cfg, "comparison.max_seeds")
    if most_seeds is not None and sweeper != _ADDS_SEEDS:
        raise ConfigError(
            f"comparison.max_seeds is {most_seeds!r}; hydra/sweeper=until_decided heeds it, and "
            f"{sweeper.split('.')[-1]} does not"
        )
    if OmegaConf.select(cfg, ABLATE) is not None and sweeper not in (_LEAVES_OUT, _ADDS_SEEDS):
        raise ConfigError(
            f"ablate is set; hydra/sweeper=paired and until_decided heed it, and {sweeper.split('.')[-1]} does not"
        )
    groups = (node.get("sweeper") or {}).get("groups")
    if groups is not None and not (isinstance(groups, list) and all(isinstance(group, list) for group in groups)):
        raise ConfigError(
            f'hydra.sweeper.groups is {groups!r}; expected lists of overrides, such as [["model=cnn","seed=0,1"]]'
        )
    for key in ("run.dir", "sweep.dir"):
        _check_below_outputs(cfg, f"hydra.{key}", OmegaConf.select(OmegaConf.create(node), key))
    subdir = str((node.get("sweep") or {}).get("subdir") or "")
    if ".." in Path(subdir).parts or Path(subdir).is_absolute():
        raise ConfigError(f"hydra.sweep.subdir is {subdir!r}; expected the name of one folder")
    inside = node.get("output_subdir")
    if inside is not None and (len(Path(str(inside)).parts) != 1 or str(inside) in ("..", ".") or "/" in str(inside)):
        raise ConfigError(f"hydra.output_subdir is {inside!r}; expected the name of one folder, or null")


def _resolved(cfg: DictConfig) -> dict[str, Any]:
    """The parts that Hydra acts on, resolved as it will resolve them, with a stand-in for the run's folder."""
    copy = OmegaConf.create(OmegaConf.to_container(cfg, resolve=False))
    assert isinstance(copy, DictConfig)
    OmegaConf.copy_cache(from_config=cfg, to_config=copy)
    with open_dict(copy):
        for key, value in {"runtime.output_dir": _RUN_FOLDER, "job.num": 0, "job.id": "0"}.items():
            if OmegaConf.is_missing(OmegaConf.select(copy, "hydra." + key.rpartition(".")[0]), key.rpartition(".")[2]):
                OmegaConf.update(copy, f"hydra.{key}", value)
    found: dict[str, Any] = {}
    for name in _ACTED_ON:
        try:
            part = copy.hydra.get(name)
            found[name] = OmegaConf.to_container(part, resolve=True) if OmegaConf.is_config(part) else part
        except (OmegaConfBaseException, ValueError) as error:
            cause: BaseException | None = error
            while cause is not None and not isinstance(cause, ConfigError):
                cause = cause.__cause__ or cause.__context__
            if cause is not None:  # of a resolver of ours, which says it better
                raise cause from None
            reason = str(error).splitlines()[0]
            raise ConfigError(f"hydra.{name} cannot be resolved before Hydra acts on it: {reason}") from error
    return found


def _check_trust(cfg: DictConfig, trusted: Sequence[str]) -> None:
    try:
        named = OmegaConf.select(cfg, "trusted_packages")
    except OmegaConfBaseException:
        named = "?"
    if named is not None and named != "?" and not OmegaConf.is_list(named):
        raise ConfigError(f"trusted_packages is {named!r}; expected a list, such as trusted_packages=[my_package]")
    listed = [str(name) for name in named or ()]
    if listed and list(trusted) != listed:
        raise ConfigError(
            "trusted_packages is set in a file; only the command line can say whom to trust: trusted_packages=[…]"
        )


def _check_overrides(cfg: DictConfig, typed: Sequence[str]) -> None:
    """Hydra adds what was typed to ``hydra.overrides``; a file that sets it speaks for the command line."""
    for part in ("task", "hydra"):
        recorded = OmegaConf.to_container(OmegaConf.select(cfg, f"hydra.overrides.{part}") or OmegaConf.create([]))
        for word in recorded if isinstance(recorded, list) else [recorded]:
            if str(word) not in typed:
                raise ConfigError(f"hydra.overrides.{part} holds {word!r}, which was not typed; a file cannot set it")


def _check_environment(cfg: DictConfig, typed: Sequence[str]) -> None:
    names = OmegaConf.select(cfg, "hydra.job.env_set") or ()
    changes = [name for name in names if not is_typed(f"hydra.job.env_set.{name}", typed)]
    if changes:
        raise ConfigError(f"hydra.job.env_set changes {', '.join(map(str, changes))}; only the command line can set it")


def _is_harmless(target: str) -> bool:
    return target in _OURS or target in _plugin_classes() or bool(_INSIDE_PLUGINS.fullmatch(target))


@functools.cache
def _plugin_classes() -> frozenset[str]:
    """Every plugin that Hydra itself has found, and its own callbacks, by full name."""
    plugins = {f"{kind.__module__}.{kind.__qualname__}" for kind in Plugins.instance().discover(Plugin)}
    own = {
        f"{kind.__module__}.{name}"
        for name, kind in vars(hydra_callbacks).items()
        if isinstance(kind, type) and issubclass(kind, Callback) and kind is not Callback
    }
    return frozenset(plugins | own)


def _check_shell(launcher: Mapping[str, Any], typed: Sequence[str]) -> None:
    """Refuse what a cluster's jobs would run in a shell, or hand to its scheduler, where a file says so."""
    parameters = launcher.get("parameters")
    named = [f"parameters.{name}" for name in parameters] if isinstance(parameters, Mapping) else []
    for key in [*(["setup"] if launcher.get("setup") else []), *named]:
        if not is_typed(f"hydra.launcher.{key}", typed):
            raise ConfigError(
                f"hydra.launcher.{key} is set in a file; a job would run it, so only the command line can"
            )


def _check_logging(node: Any, key: str, folders: Sequence[str]) -> None:
    if isinstance(node, Mapping):
        for name, value in node.items():
            text = str(value)
            bad = name in ("()", "class") and text not in _LOG_CLASSES
            bad |= name == "."  # sets any attribute of the object that is made
            bad |= name == "stream" and text not in _LOG_STREAMS
            bad |= name in ("filename", "baseFilename") and not _is_file_in(text, folders)
            bad |= text.startswith(("ext://", "cfg://")) and text not in _LOG_STREAMS
            if bad:
                raise ConfigError(
                    f"{key}.{name} is {value!r}; expected a class of Python's logging, sys.stdout or sys.stderr, or a "
                    "file in ${hydra.runtime.output_dir}"
                )
            _check_logging(value, f"{key}.{name}", folders)
    elif isinstance(node, list):
        for index, value in enumerate(node):
            if str(value).startswith(("ext://", "cfg://")):
                raise ConfigError(f"{key}[{index}] is {value!r}; expected a plain value")
            _check_logging(value, f"{key}[{index}]", folders)


def _is_file_in(text: str, folders: Sequence[str]) -> bool:
    path = Path(text)
    return ".." not in path.parts and any(path.parent == Path(folder) for folder in folders)


def _check_places(cfg: DictConfig) -> None:
    for key in OmegaConf.select(cfg, "paths") or ():
        try:
            place = OmegaConf.select(cfg, f"paths.{key}")
        except OmegaConfBaseException:
            continue  # the run's folder, which is not known before Hydra has made it
        if not (isinstance(place, str) and place.strip()):
            raise ConfigError(f"paths.{key} is {place!r}; expected a folder")


def _check_outputs(cfg: DictConfig, typed: Sequence[str]) -> None:
    """A file may move outputs and data within the project or the current folder; elsewhere only the typed word may."""
    root = [OmegaConf.select(cfg, "paths.root_dir")] if is_typed("paths.root_dir", typed) else []
    roots = [Path(str(folder)).resolve() for folder in (project_root(), Path.cwd(), *root)]
    from_environment = os.environ.get("VISION_BASELINES_DATA_DIR")
    for key in ("root_dir", "output_dir", "data_dir"):
        place = OmegaConf.select(cfg, f"paths.{key}")
        if place is None or is_typed(f"paths.{key}", typed) or (key == "data_dir" and place == from_environment):
            continue
        if not any(Path(str(place)).resolve().is_relative_to(folder) for folder in roots):
            raise ConfigError(
                f"paths.{key} is {str(place)!r}, set in a file; expected a folder in this project, or typed"
            )
    raw = OmegaConf.to_container(cfg.paths, resolve=False) if "paths" in cfg else {}
    run_dir = raw.get("run_dir") if isinstance(raw, dict) else None
    if run_dir not in (None, _RUN_DIR) and not is_typed("paths.run_dir", typed):
        raise ConfigError(f"paths.run_dir is {run_dir!r}, set in a file; expected {_RUN_DIR}, which Hydra makes")


def _check_below_outputs(cfg: DictConfig, key: str, folder: Any) -> None:
    outputs = OmegaConf.select(cfg, "paths.output_dir")
    if outputs is None or folder is None:
        return
    place = Path(str(folder))
    if not place.resolve().is_relative_to(Path(str(outputs)).resolve()):
        for link in [path for path in (place, *place.parents) if path.is_symlink()]:
            raise ConfigError(
                f"{link} is a link to {link.resolve()}, outside paths.output_dir; "
                "set paths.output_dir to where the runs are to lie"
            )
        raise ConfigError(f"{key} is {str(folder)!r}; expected a folder below paths.output_dir, which is {outputs}")
