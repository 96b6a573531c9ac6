"""What the commands share: an argument parser whose errors are one line, and the terminal."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import NoReturn

from rich.console import Console

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
