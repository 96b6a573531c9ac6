"""What the commands of this room share at their edge: arguments in, tables out."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import NoReturn

from rich import box
from rich.console import Console
from rich.table import Table

from vision_baselines.errors import ConfigError


class Parser(argparse.ArgumentParser):
    """An argument parser whose errors are told like all others, in a line, instead of after the whole usage."""

    def error(self, message: str) -> NoReturn:
        """Refuse the arguments."""
        raise ConfigError(f"{message} ({self.prog} --help lists what it takes)")


def checked_png(path: Path | None) -> Path | None:
    """The file to draw into, if any.

    Raises:
        ConfigError: Its name does not end in ``.png``.
    """
    if path and path.suffix != ".png":
        raise ConfigError(f"--out is {str(path)!r}; expected the name of a PNG file, such as picture.png")
    return path


def console() -> Console:
    """The terminal, or 100 columns where the output goes to a file or another program."""
    found = Console(highlight=False)
    return found if found.is_terminal else Console(highlight=False, width=100)


def number_table(*titles: str, words: int = 1) -> Table:
    """A plain table whose first `words` columns are text and whose others are numbers."""
    table = Table(box=box.SIMPLE_HEAD, pad_edge=False, padding=(0, 1, 0, 0))
    for index, title in enumerate(titles):
        table.add_column(title, justify="left" if index < words else "right", overflow="fold")
    return table
