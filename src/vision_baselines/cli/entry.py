"""The frame around every command: Hydra in, one clear line and an exit code out.

Hydra prints its errors its own way and always exits with 1, so it is asked to raise them (``HYDRA_FULL_ERROR``), and
they are printed here. Nothing here imports torch, so that ``--help`` and a misspelt key answer at once.
"""

from __future__ import annotations

import contextlib
import io
import logging
import os
import sys
import threading
import traceback
from collections.abc import Callable, Iterator, Mapping
from contextvars import copy_context
from pathlib import Path
from typing import Any, NoReturn, TypeVar

import hydra
from hydra.core.hydra_config import HydraConfig
from hydra.types import RunMode
from omegaconf import DictConfig

from vision_baselines.cli import command_line, experiments, messages
from vision_baselines.cli.epoch_lines import printed_every_minute
from vision_baselines.cli.outputs import until_reader_leaves
from vision_baselines.comparison.formatting import printable
from vision_baselines.config import trust
from vision_baselines.config.compose import conf_dir, register_resolvers
from vision_baselines.config.of_sweeps import require_of_run
from vision_baselines.config.packages import OVERRIDE, told_by, trust_packages, trusted_on_command_line
from vision_baselines.config.plan import planned
from vision_baselines.config.start import note_start
from vision_baselines.errors import ConfigError, VisionBaselinesError
from vision_baselines.importing import without_collector
from vision_baselines.jobs.signals import Interrupted, StopSignals, interruption, told_after_signal
from vision_baselines.terminal import print_prose

log = logging.getLogger("vision_baselines")

T = TypeVar("T")


def main(verb: str = "train") -> NoReturn:
    """Run a verb under Hydra with the command line's arguments, and exit with its code."""
    register_resolvers()
    os.environ["HYDRA_FULL_ERROR"] = "1"
    threading.excepthook = _on_thread_error
    logging.raiseExceptions = False  # a disk too full for the log ends the run by itself, and says so once
    if "--version" in sys.argv[1:]:
        exit_with(lambda: print(f"vision-baselines {package_version()}"))
    exit_with(lambda: _under_hydra(verb))


def package_version() -> str:
    """The package's version; not imported, for the package also offers `api`, which stands above the commands."""
    return str(sys.modules["vision_baselines"].__version__)


def exit_with(run: Callable[[], None]) -> NoReturn:
    """Run, and exit with 0; or say what went wrong in a line or two, and exit with the code of its kind."""
    sys.exit(copy_context().run(_exit_code, run))  # what a command notes of itself ends with it


def train_task(cfg: DictConfig) -> float:
    """Train under Hydra; what a sweeper sees is the headline metric of the best epoch on the validation split."""

    def verb() -> float:
        with StopSignals() as stop:
            if cfg.get("list"):
                raise ConfigError(
                    "list=true lists the jobs of a sweep: it goes with -m and hydra/launcher=local or slurm"
                )
            stop.deferring = True  # OmegaConf's errors of a signal in its midst say nothing of it
            plan = planned(cfg)  # before torch is imported, which takes seconds
            is_alone = HydraConfig.get().mode is RunMode.RUN
            ignored = require_of_run(cfg) if is_alone else ""
            stop.raise_if_received()
            if ignored:
                log.info("%s", ignored)
            if cfg.get("print_config"):
                _show_config(plan.config)
            # an exception that a signal raises inside of torch's own initialisation aborts the process
            with without_collector():
                from vision_baselines.search.epochs import search_callbacks
                from vision_baselines.training.endings import FINISHED
                from vision_baselines.training.results import headline, probe_lines
                from vision_baselines.training.run import run

            stop.raise_if_received()
        if cfg.preview:
            from vision_baselines.jobs.job import packed
            from vision_baselines.sweep.preview import show
            from vision_baselines.sweep.untouched import remove_empty

            try:
                show([(plan, packed(plan.cfg))])
            finally:
                remove_empty(Path(cfg.paths.run_dir))
            return float("nan")
        with printed_every_minute() if is_alone else contextlib.nullcontext():
            record = run(plan, callbacks=search_callbacks(cfg, plan.folder.parent))
        with told_after_signal(FINISHED):
            log.info("%s", headline(record))
            if is_alone:
                for line in probe_lines(record):
                    log.info("%s", line)
                log.info("%s", cfg.paths.run_dir)
                _write_run_page(Path(cfg.paths.run_dir))
        return record.metrics.get(record.selection_metric, float("nan"))

    return _guarded(verb, float("nan"))


def _show_config(config: Mapping[str, Any]) -> None:
    """Print what a single run is made from; a job of a sweep has it in its log."""
    from rich.console import Console

    from vision_baselines.cli.config_tree import config_tree, tree_text

    if HydraConfig.get().mode is RunMode.RUN:
        Console(highlight=False, markup=False).print(config_tree(config))
    else:
        logging.getLogger("vision_baselines.progress").info("%s", tree_text(config))


def _write_run_page(folder: Path) -> None:
    """Leave the page of a single run in its folder, and say where; a run is as finished without it."""
    from vision_baselines.comparison.errors import NoRecordsError
    from vision_baselines.report.run_page import write_run_page

    try:
        page = write_run_page(folder)
    except (OSError, NoRecordsError) as error:
        log.warning("the page of the run could not be written: %s", error)
    else:
        log.info("Look at it: %s", page)


_TASKS: dict[str, Callable[[DictConfig], Any]] = {"train": train_task}
# A single run's failure, kept past Hydra, which would print it in its own words before we do.
_failure: list[Exception] = []


def _under_hydra(verb: str) -> None:
    """Run what stands in ``sys.argv``: a run, a sweep, or the sweeps of several experiments."""
    note_start(len(sys.argv) - 1)
    sys.argv[1:] = command_line.ordered(sys.argv[1:])
    told_by.set(OVERRIDE)
    trust_packages(trusted_on_command_line(sys.argv[1:]))
    with messages.config_dir_known(command_line.config_dir(sys.argv[1:])):
        several = experiments.commands(sys.argv[1:])
    if several:
        experiments.run_each(several, lambda: _one_under_hydra(verb))
    else:
        _one_under_hydra(verb)


def _one_under_hydra(verb: str) -> None:
    from vision_baselines.sweep.callback import SweepCallback

    SweepCallback.before = None
    try:
        with _help_in_lines(), messages.config_dir_known(command_line.config_dir(sys.argv[1:])), trust.checked():
            hydra.main(version_base="1.3", config_path=str(conf_dir()), config_name=verb)(_TASKS[verb])()
        if _failure:
            raise _failure.pop()
    except BaseException as error:
        understood = messages.understood(error) if isinstance(error, Exception) else None
        with contextlib.suppress(VisionBaselinesError):  # why the sweep ended says more than why it has no table
            SweepCallback.finish(understood)
        SweepCallback.restore(understood)
        raise
    SweepCallback.finish()


@contextlib.contextmanager
def _help_in_lines() -> Iterator[None]:
    """While active, Hydra's help is kept, and then printed in lines: Hydra's own lists are as long as they are."""
    if not {"-h", "--help"} & set(sys.argv[1:]):
        yield
        return
    kept = io.StringIO()
    try:
        with contextlib.redirect_stdout(kept):
            yield
    finally:
        if text := kept.getvalue():
            print_prose(text.removesuffix("\n"), hang=2)


def _on_thread_error(arguments: threading.ExceptHookArgs) -> None:
    """Say nothing of a thread that cannot write: TensorBoard's keeps the error for the run's next write to raise."""
    if not isinstance(arguments.exc_value, OSError):
        threading.__excepthook__(arguments)


def _guarded(run: Callable[[], T], otherwise: T) -> T:
    try:
        return run()
    except Exception as error:
        understood = messages.understood(error)
        if understood is not error:
            # the traceback goes to the run's log file alone
            logging.getLogger("vision_baselines.progress").error("%s", understood, exc_info=error)
        if HydraConfig.get().mode is not RunMode.RUN:
            raise understood from error
        _failure.append(error)
        return otherwise


def _exit_code(run: Callable[[], None]) -> int:
    try:
        with until_reader_leaves():
            run()
    except (Interrupted, KeyboardInterrupt) as error:
        return _say_interrupted(error)
    except Exception as error:
        if (signal := interruption(error)) is not None:
            return _say_interrupted(signal)
        understood = messages.understood(error)
        return _say(str(understood), understood.exit_code)
    return 0


def _say_interrupted(error: BaseException) -> int:
    if isinstance(error, Interrupted):
        return _say("; ".join(filter(None, (str(error), error.hint))), error.exit_code)
    return _say("ended by SIGINT", 130)


def _say(message: str, code: int) -> int:
    if os.environ.get(messages.TRACEBACK):
        print(traceback.format_exc(), file=sys.stderr)
    shown = printable(message)  # names of files, classes and runs are foreign text
    print_prose(f"error: {shown}" if code <= 128 else shown, sys.stderr)
    return code
