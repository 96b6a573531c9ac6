"""Several experiments in one command: ``-m experiment=a,b`` or ``'experiment=glob(*)'`` runs the sweep of each.

Each is the command that it would be alone, with its own sweeper's parameters, folder and comparison; the other words
hold for all. They run one after the other, since each sweep takes all cores.
"""

from __future__ import annotations

import collections
import contextlib
import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from hydra.core.global_hydra import GlobalHydra
from hydra.core.override_parser.overrides_parser import OverridesParser
from hydra.core.override_parser.types import Glob, Override
from hydra.errors import HydraException
from omegaconf import OmegaConf

from vision_baselines.cli import messages
from vision_baselines.comparison.formatting import number, plural, printable
from vision_baselines.config.compose import composed, group_options, safe_name
from vision_baselines.errors import ConfigError, TrainingError, VisionBaselinesError
from vision_baselines.jobs.signals import interruption
from vision_baselines.runs.fingerprint import key_of
from vision_baselines.runs.record import RECORD_FILE, Status, read_record
from vision_baselines.terminal import print_prose

_GROUP = "experiment"
_NO_NAME = "${unique_name:}"


@dataclass
class Command:
    """What one experiment is run by, and how that went: `words` are the command line, `name` is its folder's."""

    experiment: str
    name: str
    words: Sequence[str]
    seconds: float | None = None
    error: VisionBaselinesError | None = None


def commands(words: Sequence[str]) -> list[Command]:
    """The command of each experiment, where a sweep names several; none for every other command line.

    Args:
        words: A command line in order (`command_line.ordered`).

    Raises:
        ConfigError: An experiment does not exist, or none is meant.
    """
    place = next((at for at, word in enumerate(words) if word.lstrip("+").startswith(f"{_GROUP}=")), None)
    if place is None or not {"-m", "--multirun"} & set(words):
        return []
    override = _parsed(words[place])
    if override is None or not override.is_sweep_override():
        return []
    chosen = _chosen(override)
    known = group_options(_GROUP)
    if not chosen:
        raise ConfigError(f"{words[place]!r} names no experiment; there are {', '.join(known)}")
    for experiment in chosen:
        if experiment not in known:
            raise ConfigError(
                f"there is no experiment {experiment!r}{messages.nearest(experiment, known)}; "
                f"there are {', '.join(known)}"
            )
    others = [word for at, word in enumerate(words) if at != place]
    typed = next((word.partition("=")[2] for word in reversed(others) if key_of(word) == "name"), None)
    names = _names(chosen, typed)
    return [
        Command(
            experiment,
            names[experiment],
            [
                *(word for word in others if key_of(word) != "name" or word.startswith("-")),
                f"{_GROUP}={experiment}",
                f"name={names[experiment]}",
            ],
        )
        for experiment in chosen
    ]


def run_each(found: Sequence[Command], run: Callable[[], None]) -> None:
    """Run the experiments one after the other, whatever becomes of each, and say at the end how they went.

    Args:
        found: Their commands.
        run: Runs what stands in ``sys.argv``.

    Raises:
        TrainingError: One failed; ConfigError, where none of them could be run at all.
        KeyboardInterrupt: Ctrl-C ends all of them, as does SIGTERM.
    """
    before, stops = sys.argv[1:], any(_is_true(word, "fail_fast") for word in found[0].words)
    lists = any(_is_true(word, "list") for word in found[0].words)  # standard output is then a shell script
    try:
        for place, command in enumerate(found, 1):
            heading = f"\nexperiment={command.experiment}, {place} of {len(found)}:"
            print(heading, file=sys.stderr if lists else sys.stdout, flush=True)
            sys.argv[1:] = command.words
            GlobalHydra.instance().clear()
            began = time.perf_counter()
            try:
                run()
            except Exception as error:
                if (signal := interruption(error)) is not None:
                    raise signal from None
                command.error = messages.understood(error)
                print_prose(f"error: {printable(str(command.error))}", sys.stderr)
            command.seconds = time.perf_counter() - began
            if command.error is not None and stops:
                break
    finally:
        sys.argv[1:] = before
        with contextlib.redirect_stdout(sys.stderr if lists else sys.stdout):
            _say(found)
    failed = [command.error for command in found if command.error is not None]
    if failed:
        text = f"{len(failed)} of {plural(len(found), 'experiment')} failed; the first: {failed[0]}"
        alike = len(failed) == len(found) and all(isinstance(error, ConfigError) for error in failed)
        raise ConfigError(text) if alike else TrainingError(text)


def _chosen(override: Override) -> list[str]:
    value: Any = override.value()
    if isinstance(value, Glob):
        return value.filter(group_options(_GROUP))
    return list(dict.fromkeys(str(element).strip("'\"") for element in override.sweep_string_iterator()))


def _names(chosen: Sequence[str], typed: str | None) -> dict[str, str]:
    """The name of each experiment's sweep: its own, or one that begins with what was typed; never one of another's."""
    own = {}
    for experiment in chosen:
        raw = OmegaConf.to_container(composed([f"{_GROUP}={experiment}"]), resolve=False)["name"]  # type: ignore[index,call-overload]
        own[experiment] = experiment if raw == _NO_NAME else str(raw)
    shared = collections.Counter(own.values())
    if typed is not None:
        return {experiment: f"{typed.strip(chr(39) + chr(34))}_{experiment}" for experiment in chosen}
    return {e: name if shared[name] == 1 and "$" not in name else e for e, name in own.items()}


def _say(found: Sequence[Command]) -> None:
    """A line on each experiment: how many of its jobs are finished, how long it took, and where it lies."""
    print(f"\n{plural(len(found), 'experiment')}:")
    width = max(len(command.experiment) for command in found)
    for command in found:
        if command.seconds is None:
            said = "not run"
        else:
            said = "failed" if command.error is not None else "done"
            said += f"  {number(command.seconds)} s{_jobs(command)}"
        print_prose(f"  {command.experiment.ljust(width)}  {said}")


def _jobs(command: Command) -> str:
    overrides = [word for word in command.words if key_of(word).startswith("paths.") and not word.startswith("-")]
    folder = Path(composed(overrides).paths.output_dir) / safe_name(command.name)
    if any(_is_true(word, "preview") for word in command.words) or not folder.is_dir():
        return ""
    finished = total = 0
    for path in folder.glob(f"*/{RECORD_FILE}"):
        try:
            finished, total = finished + (read_record(path.parent).status is Status.FINISHED), total + 1
        except (OSError, ValueError):
            total += 1
    return f"  {finished} of {plural(total, 'job')} finished  {folder}" if total else ""


def _is_true(word: str, key: str) -> bool:
    override = _parsed(word) if key_of(word) == key else None
    return override is not None and override.value() is True


def _parsed(word: str) -> Override | None:
    try:
        return OverridesParser.create().parse_override(word)
    except HydraException:
        return None  # Hydra will say so
