"""``status FOLDER [--json] [--watch]``: how far the runs of a sweep are, and why those ended that ended badly.

Exit codes: 0 where every run is finished, 1 where some are running, queued or interrupted, 4 where one failed
or what the sweep has noted of its runs cannot be read.
"""

from __future__ import annotations

import sys
import time
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, NoReturn

from vision_baselines.cli.arguments import Parser, file_path
from vision_baselines.cli.entry import exit_with
from vision_baselines.cli.outputs import deliver, is_printed, until_reader_leaves

if TYPE_CHECKING:
    from rich.console import Console
    from rich.text import Text

    from vision_baselines.sweep.status import SweepStatus

_EVERY_S = 2.0


def main(arguments: Sequence[str] | None = None) -> NoReturn:
    """Say how far the runs are; exits with a code that scripts can use."""
    given = sys.argv[1:] if arguments is None else list(arguments)
    exit_with(lambda: _status(given))


def _status(arguments: list[str]) -> None:
    parser = Parser(prog="status.py", description=__doc__)
    parser.add_argument("folder", type=file_path, help="the folder of a sweep, such as outputs/demo, or of a run")
    parser.add_data_options("it")
    parser.add_argument("--watch", action="store_true", help="show it again every two seconds until nothing runs")
    options = parser.parse_args(arguments)

    from vision_baselines.sweep.status import status_of

    found = _watched(options.folder, is_shown=not is_printed(options)) if options.watch else status_of(options.folder)
    deliver(options.json, None if options.json is None else _plain(found))
    if not is_printed(options):
        with until_reader_leaves():
            _print(found)
            sys.stdout.flush()
    if found.exit_code:
        sys.exit(found.exit_code)


def _watched(folder: Path, *, is_shown: bool) -> SweepStatus:
    """The status once nothing runs any more; a terminal shows it meanwhile, and of a pipe each change is a line."""
    from rich.console import Console, Group
    from rich.live import Live
    from rich.text import Text

    from vision_baselines.sweep.status import status_of

    console = Console(highlight=False, markup=False)
    found, said = status_of(folder), ""
    if not is_shown:
        while found.is_live:
            time.sleep(_EVERY_S)
            found = status_of(folder)
        return found
    with Live(console=console, auto_refresh=False, transient=True) as live:
        while found.is_live:
            if console.is_terminal:
                lines = _lines(found, console)
                room = max(1, console.height - 2)
                hidden = [Text(f"and {len(lines) - room} more")] if len(lines) > room else []
                live.update(Group(*lines[:room], *hidden), refresh=True)
            elif found.headline != said:
                print(said := found.headline, flush=True)
            time.sleep(_EVERY_S)
            found = status_of(folder)
    return found


def _print(found: SweepStatus) -> None:
    from rich.console import Console

    console = Console(highlight=False, markup=False)
    for line in _lines(found, console):
        console.print(line, soft_wrap=True)


def _lines(found: SweepStatus, console: Console) -> list[Text]:
    """A line for all runs, and one for each, as wide as the terminal; a file has the whole of each."""
    from rich.text import Text

    from vision_baselines.comparison.formatting import one_line
    from vision_baselines.jobs.progress import cut, name_room, progress_line
    from vision_baselines.sweep.status import BAD, State
    from vision_baselines.text import told_apart

    width = console.width if console.is_terminal else 10_000
    names = told_apart((one_line(run.name) for run in found.runs), name_room(width - 15))
    longest = max(map(len, names.values()), default=0)
    lines = [Text(one_line(f"{found.folder}: {found.headline}"))]
    lines += [Text(one_line(fault), "red") for fault in found.faults]
    for run in found.runs:
        said = cut(
            progress_line(names[one_line(run.name)], run.said, width - 15, name_width=longest).rstrip(), width - 15
        )
        style = "green" if run.state is State.FINISHED else "red" if run.state in BAD else ""
        lines.append(Text.assemble("  ", (f"{run.state:11}", style), f"  {said}"))
    return lines


def _plain(found: SweepStatus) -> dict[str, object]:
    return {
        "folder": str(found.folder),
        "sweep_process": found.pid,
        "counts": {str(state): n for state, n in found.counts.items()},
        "faults": found.faults,
        "runs": [
            {"folder": run.place, "state": str(run.state), "said": run.said, "process": run.pid} for run in found.runs
        ],
    }
