"""What is printed for people: lines of their terminal, broken between words, and in a pipe or a file not at all."""

from __future__ import annotations

import logging
import os
import sys
import time
from typing import TYPE_CHECKING, Any, TextIO

from vision_baselines.text import printable, wrapped

if TYPE_CHECKING:
    from rich.console import Console

_ANY_WIDTH = 10_000
# Set where a notebook runs commands (``!…``): in a terminal of 80 columns that nobody sees, and the page wraps lines.
_NOTEBOOK = "JPY_PARENT_PID"


def console(**options: Any) -> Console:
    """Rich's console, for which ``[x]`` in a text is text, not markup.

    What is no terminal has room for tables of any width, unless ``COLUMNS`` says how many are wanted.
    """
    from rich.console import Console

    found = Console(highlight=False, markup=False, **options)
    if not found.is_terminal and not os.environ.get("COLUMNS", "").isdecimal():
        found.width = _ANY_WIDTH
    return found


def say(out: Console, text: str, *, mark: str = "", style: str = "") -> None:
    """Print prose to a console, after a `mark` in a `style` of its own.

    Rich's own wrapping puts a line break into a word that is longer than a line, such as a path, and then nobody can
    copy it.
    """
    from rich.text import Text

    shown = Text(wrapped(mark + text, out.width if out.is_terminal and _NOTEBOOK not in os.environ else 0))
    shown.stylize(style, 0, len(mark))
    out.print(shown, soft_wrap=True)


def print_prose(text: str, file: TextIO | None = None, *, hang: int = 0) -> None:
    """Print prose to a stream, standard output if none is named; the rest of a line begins `hang` columns further."""
    stream = sys.stdout if file is None else file
    print(for_stream(text, stream, hang=hang), file=stream, flush=True)


def for_stream(text: str, stream: TextIO | None, *, hang: int = 0) -> str:
    """Prose as a stream is to have it: a terminal in lines, anything else as it is."""
    try:
        if stream is None or not stream.isatty() or _NOTEBOOK in os.environ:
            return text
        asked = os.environ.get("COLUMNS", "")
        columns = int(asked) if asked.isdecimal() else os.get_terminal_size(stream.fileno()).columns
        return wrapped(text, columns, hang=hang)
    except (OSError, ValueError):  # it is closed, or a terminal without a size
        return text


class Waiting:
    """Says on stderr how far something is that may take long: after a while, and then now and then.

    Args:
        doing: What is done.
        noun: What is counted, if it is not said there.
        first_s: Seconds before the first line.
        each_s: Seconds between two.
    """

    def __init__(self, doing: str, noun: str = "", *, first_s: float = 1.0, each_s: float = 10.0) -> None:
        self.doing, self.noun, self.each_s = doing, noun, each_s
        self._next = time.monotonic() + first_s

    def told(self, done: int) -> None:
        """So many are done."""
        if time.monotonic() >= self._next:
            counted = f"{done:,} {self.noun}".rstrip()
            print_prose(printable(f"{self.doing}: {counted} so far"), sys.stderr)
            self._next = time.monotonic() + self.each_s


class TerminalFormatter(logging.Formatter):
    """Messages as the terminal that standard output is has room for them."""

    def format(self, record: logging.LogRecord) -> str:
        """The message, and its traceback as it is."""
        return super().format(record) if record.exc_info else for_stream(super().format(record), sys.stdout)
