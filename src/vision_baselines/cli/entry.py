"""The frame around every door: Hydra in, one clear line and an exit code out.

Hydra prints its errors its own way and always exits with 1, so it is told to raise them (``HYDRA_FULL_ERROR``), and
they are told here. Nothing here imports torch, so that ``--help`` and a misspelt key answer at once.
"""

from __future__ import annotations

import contextlib
import logging
import os
import sys
import threading
import traceback
from collections.abc import Callable, Sequence
from typing import Any, NoReturn, TypeVar

import hydra
from hydra._internal.utils import get_args_parser
from hydra.core.hydra_config import HydraConfig
from hydra.errors import HydraException
from hydra.types import RunMode
from omegaconf import DictConfig
from omegaconf.errors import OmegaConfBaseException

from vision_baselines.cli import messages
from vision_baselines.config import trust
from vision_baselines.config.checks import checked_config
from vision_baselines.config.compose import conf_dir, register_resolvers
from vision_baselines.errors import ConfigError, StorageError, VisionBaselinesError
from vision_baselines.training.signals import Interrupted

log = logging.getLogger("vision_baselines")

T = TypeVar("T")

_VERBOSE = "VISION_BASELINES_TRACEBACK"


def main(verb: str = "train") -> NoReturn:
    """Run a verb under Hydra with the command line's arguments, and exit with its code."""
    register_resolvers()
    os.environ["HYDRA_FULL_ERROR"] = "1"
    threading.excepthook = _on_thread_error
    logging.raiseExceptions = False  # a disk too full for the log ends the run by itself, and is told once
    sys.argv[1:] = sorted(sys.argv[1:], key=lambda word: word not in ("-m", "--multirun"))  # wherever it was typed
    exit_with(lambda: _under_hydra(verb))


def exit_with(run: Callable[[], None]) -> NoReturn:
    """Run, and exit with 0; or tell what went wrong in a line or two, and exit with the code of its kind."""
    sys.exit(_exit_code(run))


def train_task(cfg: DictConfig) -> float:
    """Train under Hydra; what a sweeper sees is the headline metric of the best epoch on the validation split."""

    def verb() -> float:
        checked_config(cfg)  # before torch is imported, which takes seconds
        from vision_baselines.training.run import headline, train

        if cfg.preview:
            from vision_baselines.sweep.preview import show

            show([cfg])
            _remove_unused(cfg.paths.run_dir)
            return float("nan")
        record = train(cfg)
        log.info("%s", headline(record))
        if HydraConfig.get().mode is RunMode.RUN:
            log.info("%s", cfg.paths.run_dir)
        return record.metrics.get(record.selection_metric, float("nan"))

    return _guarded(verb, float("nan"))


_TASKS: dict[str, Callable[[DictConfig], Any]] = {"train": train_task}
# A single run's failure, kept past Hydra, which would tell it in its own words before we do.
_failure: list[Exception] = []


def _under_hydra(verb: str) -> None:
    from vision_baselines.sweep.callback import SweepCallback

    _check_words(sys.argv[1:])
    try:
        with trust.checked():
            hydra.main(version_base="1.3", config_path=str(conf_dir()), config_name=verb)(_TASKS[verb])()
        if _failure:
            raise _failure.pop()
    except BaseException:
        with contextlib.suppress(VisionBaselinesError):  # why the sweep ended says more than why it has no table
            SweepCallback.finish()
        raise
    SweepCallback.finish()


def _on_thread_error(arguments: threading.ExceptHookArgs) -> None:
    """Say nothing of a thread that cannot write: TensorBoard's keeps the error for the run's next write to raise."""
    if not isinstance(arguments.exc_value, OSError):
        threading.__excepthook__(arguments)


def _check_words(words: Sequence[str]) -> None:
    """Refuse what Hydra takes for a mistake of its own, or takes and a record cannot hold."""
    parser = get_args_parser()
    known = [option for action in parser._actions for option in action.option_strings]
    for word in words:
        if word.startswith("-") and not word.startswith("--") and len(word) > 3:
            continue  # several letters in one
        if word.startswith("-") and word.split("=")[0] not in known:
            raise ConfigError(f"there is no option {word}{messages.nearest(word, known)}; --hydra-help lists all")
        if word.startswith(("=", "+=", "++=")):
            raise ConfigError(f"{word!r} has no key; expected key=value, such as seed=1")
        if any("\ud800" <= character <= "\udfff" for character in word):
            raise ConfigError(f"{word!r} holds bytes that are no UTF-8; expected text")


def _remove_unused(folder: str) -> None:
    """Take away the folder that Hydra made for a run that was only looked at, if nothing else is in it."""
    import shutil
    from pathlib import Path

    if {path.name for path in Path(folder).iterdir()} <= {".hydra", "train.log"}:
        shutil.rmtree(folder)
        with contextlib.suppress(OSError):  # other runs of that name
            Path(folder).parent.rmdir()


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
        told = messages.one_line(error, conf_dir())
        return _tell(str(told), told.exit_code)
    except BrokenPipeError:
        # whoever read our output has seen enough; without this, Python complains once more while it ends
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
    except OSError as error:
        told = StorageError(f"{error.strerror or error} at {error.filename}; is paths.output_dir the right folder?")
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
