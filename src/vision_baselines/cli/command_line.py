"""What was typed for ``train``, put in order and checked before Hydra reads it.

Hydra answers some of this with argparse's usage, a traceback, or a sweep that is not the one that was meant.
"""

from __future__ import annotations

import argparse
import os
import re
from collections import deque
from collections.abc import Sequence
from pathlib import Path
from typing import NoReturn

from hydra._internal.utils import get_args_parser

from vision_baselines.cli import messages
from vision_baselines.config.ablation import ABLATE
from vision_baselines.config.compose import group_options, option_as_text
from vision_baselines.config.repeated_names import require_each_name_once
from vision_baselines.errors import ConfigError

_MODES = {"run": "--run", "multirun": "--multirun", "cfg": "--cfg", "info": "--info", "shell_completion": "-sc"}
# The key of an override and its sign; a removal needs none.
_OVERRIDE = re.compile(r"\+{0,2}[A-Za-z_][\w./@-]*=|~[A-Za-z_]")
_QUOTED = re.compile(r""""(?:\\.|[^"\\])*"|'(?:\\.|[^'\\])*'""")
_QUOTED_KEYS = ("comparison.baseline", "init_from")
# A preview makes no file: neither Hydra's copy of the config nor a log.
_WITHOUT_FILES = (
    "hydra.output_subdir=null",
    "~hydra.job_logging.handlers.file",
    "~hydra.job_logging.loggers",
    "hydra.job_logging.root.handlers=[console]",
)
# A list of jobs has standard output for itself.
_NOTHING_ELSE = "hydra.hydra_logging.handlers.console.stream=ext://sys.stderr"


def ordered(words: Sequence[str]) -> list[str]:
    """The same words, options before overrides, wherever they were typed.

    Raises:
        ConfigError: An option does not exist, lacks its value, or does not go with another; a word is not an override,
            or its dictionary has a name twice.
    """
    parser = get_args_parser()
    actions = {name: action for action in parser._actions for name in action.option_strings}
    options: list[str] = []
    overrides: list[str] = []
    waiting = deque(words)
    while waiting:
        word = waiting.popleft()
        if not word.startswith("-"):
            check_override(word)
            overrides.append(_quoted(word))
            require_each_name_once(overrides[-1])
            continue
        options.append(word)
        action = actions.get(word)
        if action is None:
            _check_option(word, list(actions))
        elif waiting and (action.nargs is None or (action.nargs == "?" and waiting[0] in (action.choices or ()))):
            options.append(waiting.popleft())
    if not {"-m", "--multirun"} & set(options) and "preview=true" in (word.lower() for word in overrides):
        overrides += _WITHOUT_FILES
    if "list=true" in (word.lower() for word in overrides):
        overrides.append(_NOTHING_ELSE)
    parser.error = _refuse  # type: ignore[method-assign]
    _check_modes(parser.parse_args([*options, *overrides]))
    if not {"-m", "--multirun"} & set(options) and any(_is_ablation(word) for word in overrides):
        raise ConfigError("ablate makes the runs of a sweep, the full one and those without a part: it goes with -m")
    return [*options, *overrides]


def _check_option(word: str, known: Sequence[str]) -> None:
    if not word.startswith("--") and len(word) > 3:
        return  # several letters in one, or a letter with its value
    if word.split("=")[0] not in known:
        raise ConfigError(f"there is no option {word}{messages.nearest(word, known)}; --hydra-help lists all")


def check_override(word: str) -> None:
    """Refuse a word that is not an override, or that chooses nothing.

    Raises:
        ConfigError: What was typed, and what was expected.
    """
    if any("\ud800" <= character <= "\udfff" for character in word):
        raise ConfigError(f"{word!r} holds bytes that are not valid UTF-8; expected text")
    if word.startswith(("=", "+=", "++=")):
        raise ConfigError(f"{word!r} has no key; expected key=value, such as seed=1")
    key, found, value = word.lstrip("+").partition("=")
    is_none = value.strip() in ("null", "", "true", "false") or re.fullmatch(r"[-+]?\d+(\.\d*)?", value.strip())
    if found and is_none and (options := group_options(key.partition("@")[0])):
        raise ConfigError(f"{word!r} chooses nothing; leave it out, or choose one of {', '.join(options)}")
    if found and value.strip() == "null" and key in ("classifier", "comparison"):
        raise ConfigError(f"{word!r} removes what every run needs; change the keys below it")


def _is_ablation(word: str) -> bool:
    key, _, value = word.lstrip("+").partition("=")
    return key.partition(".")[0] == ABLATE and value != "null"


def config_dir(words: Sequence[str]) -> Path | None:
    """The folder that ``--config-dir`` names in a command line that `ordered` has checked."""
    found = get_args_parser().parse_args(list(words)).config_dir
    return Path(found) if found else None


def unquoted(text: str) -> str:
    """A text without the quotes around it, if there are any.

    >>> unquoted('"model=fc"'), unquoted("model=fc")
    ('model=fc', 'model=fc')
    """
    return text[1:-1] if len(text) > 1 and text[0] == text[-1] and text[0] in "\"'" else text


def _quoted(word: str) -> str:
    """The word with the quotes that Hydra needs, where it can only be meant so.

    That is a group or a job's folder, such as ``comparison.baseline=model=fc``, and the overrides in
    ``hydra.sweeper.groups=[[model=cnn,"seed=0,1"]]``.
    """
    word = option_as_text(word)
    key, _, value = word.partition("=")
    if key in _QUOTED_KEYS and "=" in value and value[0] not in "\"'":
        escaped = value.replace("\\", "\\\\").replace('"', '\\"')
        return f'{key}="{escaped}"'
    if key.lstrip("+").partition(".")[0] == ABLATE:
        return f"{key}={_with_quoted_overrides(value)}"
    if key == "hydra.sweeper.groups":
        pieces = r""""[^"]*"|'[^']*'|[^\s"'\[\],][^"'\[\],]*"""
        return f"{key}=" + re.sub(pieces, lambda piece: piece[0] if piece[0][0] in "\"'" else f'"{piece[0]}"', value)
    return word


def _with_quoted_overrides(value: str) -> str:
    """Overrides inside lists and names with quotes around each, whose own brackets and commas are left as they are.

    >>> _with_quoted_overrides("{block: model.channels=[32], norm: [model.norm=none, ~model.bias], pairs: true}")
    '{block: "model.channels=[32]", norm: ["model.norm=none", "~model.bias"], pairs: true}'
    """
    quoted, place = "", 0
    while place < len(value):
        if text := _QUOTED.match(value, place):
            quoted, place = quoted + text[0], text.end()
            continue
        found = _OVERRIDE.match(value, place)
        if found is None or (quoted and quoted.rstrip()[-1:] not in "[{,:"):
            place, quoted = place + 1, quoted + value[place]
            continue
        end, depth = found.end(), 0
        while end < len(value) and not (depth == 0 and value[end] in ",]}"):
            depth += (value[end] in "[{(") - (value[end] in "]})")
            end += 1
        plain = value[place:end].rstrip().replace("\\", "\\\\").replace('"', '\\"')
        quoted, place = f'{quoted}"{plain}"', end
    return quoted


def _check_modes(args: argparse.Namespace) -> None:
    if args.experimental_rerun is not None:
        raise ConfigError(
            "--experimental-rerun is not supported: the same command resumes a run, rerun=true trains it again, and "
            "reproduce.py RUN repeats it bit for bit"
        )
    chosen = [option for name, option in _MODES.items() if getattr(args, name)]
    if len(chosen) > 1:
        instead = "; preview=true lists the jobs of a sweep" if "--cfg" in chosen else ""
        raise ConfigError(f"{' and '.join(chosen)} cannot be combined{instead}")
    if args.resolve and not (args.cfg or args.help):
        raise ConfigError("--resolve goes with --cfg: --cfg job --resolve")
    if args.shell_completion and not any(word.startswith(("install=", "uninstall=")) for word in args.overrides):
        if not any(word.startswith("query=") for word in args.overrides):
            raise ConfigError("--shell-completion needs install=SHELL or uninstall=SHELL, with bash, zsh or fish")
        if "COMP_LINE" not in os.environ:
            raise ConfigError("--shell-completion query=… is asked by a shell, which sets COMP_LINE")


def _refuse(message: str) -> NoReturn:
    raise ConfigError(f"{message}; --hydra-help lists the options")
