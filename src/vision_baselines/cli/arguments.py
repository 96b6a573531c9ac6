"""What the commands share: an argument parser whose errors are one line, and the terminal."""

from __future__ import annotations

import argparse
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import NoReturn

from rich.console import Console

from vision_baselines.errors import ConfigError, StorageError

PRINTED = Path("-")


class Parser(argparse.ArgumentParser):
    """An argument parser whose errors are one line, like all others, instead of following the whole usage."""

    def add_config_options(self) -> None:
        """Add what every command has that reads a config: ``--config-dir`` and ``--trust``."""
        self.add_argument("--config-dir", type=file_path, metavar="DIR", help="a folder with config files of your own")
        self.add_argument("--trust", action="append", default=[], metavar="PACKAGE", help="a package of your own")

    def format_help(self) -> str:
        """The help, in which docstrings' marks for code mean nothing."""
        return super().format_help().replace("`", "")

    def error(self, message: str) -> NoReturn:
        """Refuse the arguments."""
        raise ConfigError(f"{message} ({self.prog} --help lists what it takes)")


def file_path(text: str) -> Path:
    """A file or a folder, for a parser's argument; nothing is not the current folder.

    Raises:
        argparse.ArgumentTypeError: It is empty.
    """
    if not text.strip():
        raise argparse.ArgumentTypeError(f"expected the name of a file or a folder, not {text!r}")
    return Path(text)


def positive(text: str) -> int:
    """A whole number of at least 1, for a parser's argument.

    Raises:
        argparse.ArgumentTypeError: It is none.
    """
    return _whole(text, 1)


def whole(text: str) -> int:
    """A whole number of at least 0, for a parser's argument.

    Raises:
        argparse.ArgumentTypeError: It is none.
    """
    return _whole(text, 0)


def _whole(text: str, minimum: int) -> int:
    if not text.isascii() or not text.isdigit() or len(text) > 15 or int(text) < minimum:
        most = f" and at most {10**15 - 1:,}" if text.isdigit() and len(text) > 15 else ""
        raise argparse.ArgumentTypeError(f"expected a whole number of at least {minimum}{most}, not {text!r}")
    return int(text)


def checked_png(path: Path | None, option: str = "--out") -> Path | None:
    """The file to draw into, if any.

    Raises:
        ConfigError: Its name does not end in ``.png``.
    """
    return _checked(path, option, "a PNG file", "picture.png")


def checked_html(path: Path | None) -> Path | None:
    """The page to write, if any.

    Raises:
        ConfigError: Its name does not end in ``.html``.
    """
    return _checked(path, "--html", "an HTML file", "page.html")


def checked_table(path: Path | None, option: str) -> Path | None:
    """The file of numbers to write, if any: what ``--json`` or ``--csv`` names; `PRINTED` stands for standard output.

    Raises:
        ConfigError: Its name does not end as the option is called.
    """
    if path == PRINTED:
        return path
    kind = option.removeprefix("--")
    return _checked(path, option, f"a {kind.upper()} file", f"table.{kind}")


def require_writable(path: Path | None, option: str) -> None:
    """Refuse a file that cannot be written, before anything is spent; what happens later, `writing` says.

    Raises:
        StorageError: It is a folder, or its folder is missing or may not be written into.
    """
    if path is None:
        return
    not_of_a_run(path, option)
    reason = ""
    if path.is_dir():
        reason = "it is a folder"
    elif not path.parent.is_dir():
        reason = f"there is no folder {str(path.parent)!r}"
    elif not os.access(path.parent, os.W_OK):
        reason = f"no permission to write into {str(path.parent)!r}"
    if reason:
        raise StorageError(f"{option} {str(path)!r} cannot be written: {reason}")


def not_the_input(out: Path | None, given: Path | None, option: str) -> None:
    """Refuse to write over the file that is read.

    Raises:
        ConfigError: Both are one file.
    """
    if out and given and out.exists() and given.exists() and out.samefile(given):
        raise ConfigError(
            f"{option} is {str(out)!r}, the picture of --image, which would be overwritten; choose another"
        )


def not_of_a_run(path: Path | None, option: str) -> None:
    """Refuse to write over a file that a run wrote, such as its record.

    Raises:
        ConfigError: It lies in a run's folder, or one below it, under a name that a run writes.
    """
    from vision_baselines.runs.files import is_written
    from vision_baselines.runs.record import RECORD_FILE

    if path is None:
        return
    path = path.resolve()
    for folder in (path.parent, path.parent.parent):
        if (folder / RECORD_FILE).is_file() and is_written(path.relative_to(folder).as_posix()):
            raise ConfigError(f"{option} is {str(path)!r}, a file of a run, which would be lost; choose another")


def _checked(path: Path | None, option: str, kind: str, example: str) -> Path | None:
    if path and path.suffix != Path(example).suffix:
        raise ConfigError(f"{option} is {str(path)!r}; expected the name of {kind}, such as {example}")
    not_of_a_run(path, option)
    return path


@contextmanager
def writing(path: Path) -> Iterator[None]:
    """While a file is written that an option names.

    Raises:
        StorageError: It cannot be, and why.
    """
    try:
        yield
    except OSError as error:
        raise StorageError(f"{str(path)!r} cannot be written: {error.strerror or error}") from error


def console() -> Console:
    """The terminal, or 100 columns where the output goes to a file; ``[x]`` in a text is text, not markup."""
    found = Console(highlight=False, markup=False)
    return found if found.is_terminal else Console(highlight=False, markup=False, width=100)
