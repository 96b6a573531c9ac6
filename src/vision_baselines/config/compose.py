"""Where the configs lie, what they may compute (the resolvers that conf/ uses), and one composed without a run.

Nothing here imports torch, so that composing a config stays quick.
"""

from __future__ import annotations

import copy
import re
import secrets
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from contextvars import ContextVar
from datetime import datetime
from pathlib import Path
from typing import Any

from hydra import compose, initialize_config_dir
from hydra.core.global_hydra import GlobalHydra
from hydra.core.hydra_config import HydraConfig
from omegaconf import DictConfig, OmegaConf, open_dict

from vision_baselines.config.references import override_texts
from vision_baselines.errors import ConfigError
from vision_baselines.runs.fingerprint import job_name

# A folder with config files of the user's own, beside `conf_dir`.
extra_dir: ContextVar[Path | None] = ContextVar("extra_dir", default=None)


def conf_dir() -> Path:
    """Where the configs lie: in the package when it is installed, beside ``src`` in a checkout."""
    package = Path(__file__).resolve().parents[1]
    installed = package / "conf"
    return installed if installed.is_dir() else package.parents[1] / "conf"


def group_options(group: str) -> list[str]:
    """The options of a config group, such as ``model``; empty if there is no such group."""
    if not re.fullmatch(r"\w+(/\w+)*", group):
        return []
    folders = [folder for folder in (conf_dir(), extra_dir.get()) if folder is not None]
    return sorted({path.stem for folder in folders for path in (folder / group).glob("[!_]*.yaml")})


def option_as_text(override: str) -> str:
    """The same override, with quotes where Hydra would read an option's name as a number: ``debug=nan``.

    >>> option_as_text("debug=nan"), option_as_text("debug=quick"), option_as_text("optimizer.lr=nan")
    ("debug='nan'", 'debug=quick', 'optimizer.lr=nan')
    """
    key, _, value = override.partition("=")
    is_number = value.lower() in ("nan", "inf", "infinity")
    return f"{key}='{value}'" if is_number and value in group_options(key.lstrip("+")) else override


def project_root() -> str:
    """The checkout this package runs from; for an installed package, the folder the command was started in."""
    root = Path(__file__).resolve().parents[3]
    return str(root if (root / "pyproject.toml").is_file() else Path.cwd())


_MOST_NAME_BYTES = 200  # what a job's folder and its files add has room beside it


def unique_name() -> str:
    """A name for a run that was given none: the time, and what keeps two of the same second apart."""
    return f"{datetime.now():%Y-%m-%d_%H-%M-%S}_{secrets.token_hex(3)}"


def safe_name(name: Any) -> str:
    """The name itself, if it can be the name of one folder.

    Raises:
        ConfigError: It is empty, hidden, or leads elsewhere.
    """
    if isinstance(name, bool) or not isinstance(name, str | int | float | None):
        raise ConfigError(f"name is {name!r}; expected text, such as name=demo")
    text = "" if name is None else str(name)
    bad = not text or text.startswith(".") or text != text.strip() or any(c in "/\\\0\n" or ord(c) < 32 for c in text)
    if (size := len(text.encode("utf-8", "surrogateescape"))) > _MOST_NAME_BYTES:
        raise ConfigError(f"name has {size} bytes; expected the name of one folder, of at most {_MOST_NAME_BYTES}")
    if bad:
        raise ConfigError(f"name is {text!r}; expected the name of one folder, without / and not starting with a dot")
    return text


def register_resolvers() -> None:
    """Make the resolvers that the configs use known to OmegaConf."""
    OmegaConf.register_new_resolver("project_root", project_root, replace=True)
    OmegaConf.register_new_resolver("unique_name", unique_name, use_cache=True, replace=True)
    OmegaConf.register_new_resolver("safe_name", safe_name, replace=True)
    OmegaConf.register_new_resolver("job_name", lambda overrides: job_name(override_texts(overrides)), replace=True)


@contextmanager
def _own_hydra() -> Iterator[None]:
    """Leave the Hydra that this process may have initialised, an application's own, as it is."""
    before = GlobalHydra.instance()
    ours = copy.copy(before)
    ours.clear()
    GlobalHydra.set_instance(ours)
    try:
        yield
    finally:
        GlobalHydra.set_instance(before)


def composed(overrides: Sequence[str], *, with_hydra: bool = False) -> DictConfig:
    """The config that ``train.py`` would run with these overrides, without a run's folder.

    Args:
        overrides: As on the command line.
        with_hydra: Keep Hydra's own part, which knows what was chosen from each group.
    """
    register_resolvers()
    found = extra_dir.get()
    searched = [f'hydra.searchpath=["file://{found}"]'] if found is not None else []
    with _own_hydra(), initialize_config_dir(str(conf_dir()), version_base="1.3"):
        return compose("train", [*map(option_as_text, overrides), *searched], return_hydra_config=with_hydra)


@contextmanager
def extra_config_dir(folder: Path | None) -> Iterator[None]:
    """While active, `composed` also finds config files in `folder`, as ``--config-dir`` does for train.py.

    Raises:
        ConfigError: It is not a folder.
    """
    if folder is not None and not folder.is_dir():
        raise ConfigError(f"--config-dir is {str(folder)!r}; folder not found")
    before = extra_dir.set(folder.absolute() if folder is not None else None)
    try:
        yield
    finally:
        extra_dir.reset(before)


def composed_run(overrides: Sequence[str], run_dir: Path | None = None, *, name: str | None = None) -> DictConfig:
    """The config that ``train.py`` would run with these overrides, in `run_dir`; Hydra's own is set as it would be.

    Args:
        overrides: As on the command line.
        run_dir: The run's folder; None takes the one that the command line would.
        name: What the sweep is called; None takes the name of the folder that `run_dir` lies in.
    """
    named = [] if run_dir is None else [f"name={name or run_dir.parent.name}"]
    cfg = composed([*overrides, *named], with_hydra=True)
    if run_dir is None:
        run_dir = Path(cfg.paths.output_dir).absolute() / safe_name(cfg.name) / job_name(list(overrides))
    with open_dict(cfg):
        cfg.hydra.runtime.output_dir = str(run_dir)
        cfg.hydra.runtime.cwd = str(run_dir.parent)
        cfg.hydra.job.num, cfg.hydra.job.id = 0, "0"
    HydraConfig.instance().set_config(cfg)
    with open_dict(cfg):
        del cfg["hydra"]
        cfg.paths.run_dir, cfg.paths.output_dir = str(run_dir), str(run_dir.parent)
    return cfg
