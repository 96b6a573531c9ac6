"""``collect SWEEP``: the comparison of whatever lies in a sweep's folder, as the sweep itself would have written it.

For a sweep whose process is gone: `comparison/` in its folder is made again from the records, with the sweep's own
options. `compare` does the same with other options, or for several folders.
"""

from __future__ import annotations

import sys
from collections.abc import Sequence
from pathlib import Path
from typing import NoReturn

from vision_baselines.cli.arguments import Parser, file_path
from vision_baselines.cli.entry import exit_with
from vision_baselines.cli.outputs import deliver, is_printed, say, text_apart
from vision_baselines.errors import DataError
from vision_baselines.runs.record import read_record
from vision_baselines.terminal import print_prose


def main(arguments: Sequence[str] | None = None) -> NoReturn:
    """Write the comparison; exits."""
    given = sys.argv[1:] if arguments is None else list(arguments)
    exit_with(lambda: _collect(given))


def _collect(arguments: list[str]) -> None:
    parser = Parser(prog="collect.py", description=__doc__)
    parser.add_argument("sweep", type=file_path, help="the folder of a sweep, such as outputs/demo")
    parser.add_data_options("its groups and jobs")
    options = parser.parse_args(arguments)

    from vision_baselines.comparison.collection import require_readable
    from vision_baselines.comparison.formatting import one_line
    from vision_baselines.report.result import comparison_facts
    from vision_baselines.report.write import compare
    from vision_baselines.sweep.status import State, status_of

    _require_sweep(options.sweep)
    with text_apart(options):
        comparison = compare([options.sweep])
        require_readable(comparison.table.jobs, comparison.table.unreadable)
        found = status_of(options.sweep)
    if options.json:
        deliver(options.json, comparison_facts(comparison))
    if is_printed(options):
        for fault in found.faults:
            say(fault, to_stderr=True)
        return
    comparison.show()
    print_prose(one_line(found.headline))
    for fault in found.faults:
        say(fault)
    for run in found.runs:
        if run.state is not State.FINISHED:
            print_prose(one_line(f"{run.place}: {run.state}" + (f": {run.said}" if run.said else "")))


def _require_sweep(folder: Path) -> None:
    """Refuse the folder of a run, in which a comparison has no place.

    Raises:
        DataError: It has a record of its own.
    """
    try:
        read_record(folder)
    except (OSError, ValueError):  # there is none, or what is wrong with it is said by the comparison
        return
    raise DataError(f"{folder} is the folder of one run; expected that of its sweep, {folder.parent}")
