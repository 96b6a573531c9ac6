"""Where every command starts: nothing is imported here that takes time, so that Ctrl-C is answered from the start."""

from __future__ import annotations

import contextlib
import importlib
import signal
import sys
from types import FrameType
from typing import Any, NoReturn

from vision_baselines.importing import without_collector

# Commands that answer at once, and words after which any command does.
_QUICK = {"status"}
_ANSWERED_AT_ONCE = {"-h", "--help", "--hydra-help", "--version", "-sc", "--shell-completion", "--cfg", "-c", "--info"}


def main(module: str = "vision_baselines.cli.console") -> NoReturn:
    """Run the `main` of a module; a signal ends what it imports, which takes seconds, in a line too."""
    is_done, before = False, _hear_signals()
    try:
        _say_loading(module.rpartition(".")[2])
        from vision_baselines.cli.closed_terminal import outlive_terminal

        outlive_terminal()
        with without_collector():
            verb = importlib.import_module(module)
        verb.main()
        is_done = True
    except SystemExit as ended:
        is_done = not ended.code
        raise
    except BaseException as error:
        from vision_baselines.jobs.signals import Interrupted, interruption

        heard = interruption(error)
        if heard is None:
            raise
        signalled = heard if isinstance(heard, Interrupted) else Interrupted(signal.SIGINT)
        print(signalled, file=sys.stderr)
        sys.exit(signalled.exit_code)
    finally:
        for signum, handler in before.items():
            signal.signal(signum, handler)
        if not is_done:
            _show_cursor()
    sys.exit(0)


def _hear_signals() -> dict[int, Any]:
    """Let SIGTERM, and a terminal that is closed, end a command as Ctrl-C does; a run replaces this while it trains.

    Returns:
        The handlers that were there before.
    """
    there = [getattr(signal, name) for name in ("SIGTERM", "SIGHUP") if hasattr(signal, name)]
    unheard = [signum for signum in there if signal.getsignal(signum) is signal.SIG_DFL]
    return {signum: signal.signal(signum, _end) for signum in unheard}


def _end(signum: int, frame: FrameType | None) -> NoReturn:
    from vision_baselines.jobs.signals import Interrupted

    raise Interrupted(signum, "")  # nothing is known here of what can be resumed


def _say_loading(command: str) -> None:
    """Say on stderr, before anything is imported, that the command has begun: torch alone takes seconds."""
    words = sys.argv[1:]
    if command == "console":
        command, words = (words[0] if words else "--help").replace("-", "_"), words[1:]
        from vision_baselines.cli import VERBS

        if command.replace("_", "-") not in VERBS:
            return
    if command in _QUICK or _ANSWERED_AT_ONCE & set(words):
        return
    with contextlib.suppress(OSError, ValueError):  # nobody reads it, or in an encoding without …
        print("loading …", file=sys.stderr, flush=True)


def _show_cursor() -> None:
    """Leave no terminal without its cursor, whatever ended the command while a live line was drawn.

    One that is done has stopped its live line itself, and a notebook would keep the signs.
    """
    if "rich.live" in sys.modules and sys.stdout is not None and sys.stdout.isatty():
        print("\x1b[?25h", end="", flush=True)
