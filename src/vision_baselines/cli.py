"""The frame around every door: Hydra in, one clear line and an exit code out.

Hydra prints its errors its own way and always exits with 1, so it is told to raise them (``HYDRA_FULL_ERROR``), and
they are told here. Nothing here imports torch, so that ``--help`` and a misspelt key answer at once.
"""

from __future__ import annotations

import logging
import os
import secrets
import sys
import traceback
from collections.abc import Callable
from datetime import datetime
from pathlib import Path
from typing import Any, TypeVar

import hydra
from hydra.core.hydra_config import HydraConfig
from hydra.errors import HydraException
from hydra.types import RunMode
from omegaconf import DictConfig, OmegaConf
from omegaconf.errors import OmegaConfBaseException

from vision_baselines import config_errors
from vision_baselines.errors import ConfigError, StorageError, VisionBaselinesError
from vision_baselines.runs.fingerprint import job_name
from vision_baselines.runs.interruption import Interrupted

log = logging.getLogger("vision_baselines")

T = TypeVar("T")

_VERBOSE = "VISION_BASELINES_TRACEBACK"


def main(verb: str = "train") -> None:
    """Run a verb under Hydra with the command line's arguments, and exit with its code."""
    register_resolvers()
    os.environ["HYDRA_FULL_ERROR"] = "1"
    sys.exit(_exit_code(lambda: _under_hydra(verb)))


def conf_dir() -> Path:
    """Where the configs lie: in the package when it is installed, beside ``src`` in a checkout."""
    package = Path(__file__).resolve().parent
    installed = package / "conf"
    return installed if installed.is_dir() else package.parents[1] / "conf"


def project_root() -> str:
    """The checkout this package runs from; for an installed package, the folder the command was started in."""
    root = Path(__file__).resolve().parents[2]
    return str(root if (root / "pyproject.toml").is_file() else Path.cwd())


def unique_name() -> str:
    """A name for a run that was given none: the time, and what keeps two of the same second apart."""
    return f"{datetime.now():%Y-%m-%d_%H-%M-%S}_{secrets.token_hex(3)}"


def safe_name(name: Any) -> str:
    """The name itself, if it can be the name of one folder.

    Raises:
        ConfigError: It is empty, hidden, or leads elsewhere.
    """
    text = str(name)
    bad = not text or text.startswith(".") or text != text.strip() or any(c in "/\\\0\n" or ord(c) < 32 for c in text)
    if bad or len(text.encode("utf-8", "surrogateescape")) > 200:
        raise ConfigError(f"name is {text!r}; expected the name of one folder, without / and not starting with a dot")
    return text


def register_resolvers() -> None:
    """Make the resolvers that the configs use known to OmegaConf."""
    OmegaConf.register_new_resolver("project_root", project_root, replace=True)
    OmegaConf.register_new_resolver("unique_name", unique_name, use_cache=True, replace=True)
    OmegaConf.register_new_resolver("safe_name", safe_name, replace=True)
    OmegaConf.register_new_resolver("job_name", lambda overrides: job_name([str(o) for o in overrides]), replace=True)


def train_task(cfg: DictConfig) -> float:
    """Train under Hydra; what a sweeper sees is the best validation accuracy."""
    from vision_baselines.train import headline, train

    def verb() -> float:
        record = train(cfg)
        log.info("%s", headline(record))
        if HydraConfig.get().mode is RunMode.RUN:
            log.info("%s", cfg.paths.run_dir)
        return record.metrics.get("val/acc", float("nan"))

    return _guarded(verb, float("nan"))


_TASKS: dict[str, Callable[[DictConfig], Any]] = {"train": train_task}
# A single run's failure, kept past Hydra, which would tell it in its own words before we do.
_failure: list[Exception] = []


def _under_hydra(verb: str) -> None:
    try:
        hydra.main(version_base="1.3", config_path=str(conf_dir()), config_name=verb)(_TASKS[verb])()
        if _failure:
            raise _failure.pop()
    finally:
        from vision_baselines.sweep.callback import SweepCallback

        SweepCallback.finish()


def _guarded(run: Callable[[], T], otherwise: T) -> T:
    try:
        return run()
    except Exception as error:
        if HydraConfig.get().mode is not RunMode.RUN:
            raise
        _failure.append(error)
        return otherwise


def _exit_code(run: Callable[[], None]) -> int:
    try:
        run()
    except VisionBaselinesError as error:
        return _tell(str(error), error.exit_code)
    except Interrupted as error:
        return _tell(f"{error}; the same command with the same name goes on from here", error.exit_code)
    except KeyboardInterrupt:
        return _tell("ended by SIGINT", 130)
    except (HydraException, OmegaConfBaseException) as error:
        told = config_errors.one_line(error, conf_dir())
        return _tell(str(told), told.exit_code)
    except OSError as error:
        told = StorageError(f"{error.strerror or error} at {error.filename}")
        return _tell(str(told), told.exit_code)
    except Exception as error:
        print(traceback.format_exc(), file=sys.stderr)
        return _tell(f"{type(error).__name__}: {error}", 4)
    return 0


def _tell(message: str, code: int) -> int:
    if os.environ.get(_VERBOSE):
        print(traceback.format_exc(), file=sys.stderr)
    print(f"error: {message}" if code not in (130, 143) else message, file=sys.stderr)
    return code
