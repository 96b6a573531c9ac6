"""What the commands share: an argument parser whose errors are one line, and the terminal."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NoReturn

from vision_baselines.cli.outputs import DATA, PRINTED, Output, is_printed, require_own_files, with_data_files
from vision_baselines.config.packages import OPTION, as_options, told_by, trust_packages
from vision_baselines.errors import ConfigError


class Parser(argparse.ArgumentParser):
    """An argument parser whose errors are one line, like all others, and that guards what a command writes.

    Whatever names a file or folder to write is added by `add_output`, and checked once everything is parsed.
    """

    def __init__(self, *args: Any, **options: Any) -> None:
        super().__init__(*args, **options)
        self.outputs: list[Output] = []
        self.is_told_whom_to_trust = False
        self.overrides_with: str | None = None

    def add_config_options(self, *, overrides_with: str | None = None) -> None:
        """Add what every command has that reads a config: ``--config-dir`` and ``--trust``, as `add_trust` adds it."""
        self.add_argument("--config-dir", type=file_path, metavar="DIR", help="a folder with config files of your own")
        self.add_trust(overrides_with=overrides_with)

    def add_trust(self, *, overrides_with: str | None = None) -> None:
        """Add ``--trust``, which a recorded config needs anew; ``trusted_packages=[…]``, as for training, is the same.

        Args:
            overrides_with: An option beside which overrides are of a training, and stay as they are.
        """
        self.add_argument(
            "--trust",
            action="append",
            default=[],
            metavar="PACKAGE",
            help="a package of your own whose classes may be built, found also in the folder you start in",
        )
        self.is_told_whom_to_trust, self.overrides_with = True, overrides_with

    def add_output(
        self, name: str, suffix: str | None, *, makes_folders: bool = False, own: str = "", **options: Any
    ) -> None:
        """Add an argument that names a file to write, which ends in `suffix`, or of None a folder; see `Output`."""
        action = self.add_argument(name, type=file_path, **options)
        self.outputs.append(Output(action.dest, name, suffix, makes_folders, own))

    def add_data_options(self, what: str, *names: str) -> None:
        """Add ``--json [FILE]``, or other names of `outputs.DATA`: `what` is printed alone, or written to a file."""
        for name in names or ("--json",):
            self.add_output(
                name,
                name.replace("--", "."),
                nargs="?",
                const=PRINTED,
                metavar="FILE",
                help=f"print {what} as {DATA[name]} and nothing else, or write it to a file that ends in "
                f"{name.replace('--', '.')}",
            )

    def parse_args(self, args: Any = None, namespace: Any = None) -> Any:
        """Parse, and refuse what must not be written."""
        return self._checked(super().parse_args(self._words(args), namespace))

    def parse_intermixed_args(self, args: Any = None, namespace: Any = None) -> Any:
        """Parse, and refuse what must not be written."""
        return self._checked(super().parse_intermixed_args(self._words(args), namespace))

    def _words(self, args: Sequence[str] | None) -> list[str]:
        words = sys.argv[1:] if args is None else list(args)
        if self.is_told_whom_to_trust and self.overrides_with not in words:
            words = as_options(words)
        return with_data_files(words, [output.name for output in self.outputs if output.name in DATA])

    def _checked(self, found: argparse.Namespace) -> argparse.Namespace:
        is_printed(found)
        if self.is_told_whom_to_trust:
            told_by.set(OPTION)
            trust_packages(found.trust)
        for output in self.outputs:
            output.check(getattr(found, output.dest))
        require_own_files({output.name: getattr(found, output.dest) for output in self.outputs})
        return found

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


def some_text(text: str) -> str:
    """A word that is not empty, for a parser's argument.

    Raises:
        argparse.ArgumentTypeError: It is empty.
    """
    file_path(text)
    return text


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


def not_the_input(out: Path | None, given: Path | None, option: str) -> None:
    """Refuse to write over the file that is read.

    Raises:
        ConfigError: Both are one file.
    """
    if out and given and out.exists() and given.exists() and out.samefile(given):
        raise ConfigError(
            f"{option} is {str(out)!r}, the picture of --image, which would be overwritten; choose another"
        )
