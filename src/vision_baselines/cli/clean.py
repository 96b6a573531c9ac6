"""``clean FOLDER [--resume-states] [--failed] [--interrupted] [--leftovers] [--comparisons] [--dry-run] [--json]``.

Shows what could be removed at or below a folder, and how large each is. Only the kinds that are named are removed;
with ``--dry-run``, or without a kind, nothing is. A run that is being trained is left alone, and so is every file that
this project did not write.
"""

from __future__ import annotations

import sys
from collections.abc import Sequence
from typing import TYPE_CHECKING, NoReturn

from vision_baselines.cli.arguments import Parser, file_path
from vision_baselines.cli.entry import exit_with
from vision_baselines.cli.outputs import deliver, is_printed
from vision_baselines.errors import DataError, StorageError, single_line
from vision_baselines.runs.places import SOME, not_a_folder, without_a_run
from vision_baselines.terminal import print_prose

if TYPE_CHECKING:
    from vision_baselines.sweep.disk import Disk, Kind, Removable

_SHOWN = 10


def main(arguments: Sequence[str] | None = None) -> NoReturn:
    """Show or remove; exits."""
    given = sys.argv[1:] if arguments is None else list(arguments)
    exit_with(lambda: _clean(given))


def _clean(arguments: list[str]) -> None:
    from vision_baselines.sweep.disk import MEANING, Kind, look

    parser = Parser(prog="clean.py", description=__doc__)
    parser.add_argument("folder", type=file_path, help="a folder of runs, such as outputs or outputs/demo")
    for kind in Kind:
        parser.add_argument(f"--{kind}", action="store_true", help=f"remove {MEANING[kind]}")
    parser.add_argument(
        "--dry-run", action="store_true", help="remove nothing, and show every folder of the kinds named"
    )
    parser.add_data_options("what was found, and what was removed,")
    options = parser.parse_args(arguments)
    if said := not_a_folder(options.folder, SOME):
        raise DataError(said)
    chosen = [kind for kind in Kind if getattr(options, kind.replace("-", "_"))]
    disk = look(options.folder)
    if not disk.n_runs and not disk.removable and not disk.left_alone:
        raise DataError(without_a_run([options.folder], SOME))
    in_order = sorted(chosen, key=lambda kind: kind is not Kind.LEFTOVERS)  # they lie in folders that may go as a whole
    going = [] if options.dry_run else [one for kind in in_order for one in disk.of(kind)]
    freed, problems = _removed(going)
    deliver(options.json, _plain(disk, freed, problems))
    if not is_printed(options):
        _show(disk, chosen, freed, is_dry=options.dry_run or not chosen)
    if problems:
        raise StorageError("; ".join(problems[:3]) + (f" and {len(problems) - 3} more" if len(problems) > 3 else ""))


def _removed(found: Sequence[Removable]) -> tuple[dict[Removable, int], list[str]]:
    """The bytes that each has freed, and what could not be removed."""
    from vision_baselines.sweep.disk import remove

    freed: dict[Removable, int] = {}
    problems = []
    for one in found:
        try:
            freed[one] = remove(one)
        except StorageError as error:
            problems.append(str(error))
    return freed, problems


def _show(disk: Disk, chosen: Sequence[Kind], freed: dict[Removable, int], *, is_dry: bool) -> None:
    from vision_baselines.comparison.formatting import plural, printable, size
    from vision_baselines.sweep.disk import MEANING, Kind

    def say(text: str) -> None:
        print_prose(printable(single_line(text)))

    say(f"{disk.top}: {plural(disk.n_runs, 'run')}, {size(disk.size_bytes)} in all")
    empty = []
    for kind in chosen or Kind:
        found = [one for one in disk.of(kind) if is_dry or one in freed]
        if not found:
            empty.append(f"--{kind}")
            continue
        total = size(sum(one.size_bytes for one in found))
        say(f"  {total:>9}  --{kind:14} {plural(len(found), 'folder')}: {MEANING[kind]}")
        shown = found if chosen else found[:_SHOWN]
        for one in shown:
            place = one.folder.relative_to(disk.top).as_posix()
            say(f"  {size(one.size_bytes):>11}  {place}  ({plural(len(one.files), 'file')})")
        if len(found) > len(shown):
            say(f"               and {plural(len(found) - len(shown), 'more folder')}")
    if empty:
        say(f"  {'nothing':>9}  {', '.join(empty)}")
    for folder, reason in disk.left_alone[:_SHOWN]:
        say(f"left alone: {folder}: {reason}")
    if len(disk.left_alone) > _SHOWN:
        say(f"left alone: {plural(len(disk.left_alone) - _SHOWN, 'more folder')}")
    if not is_dry:
        say(f"removed: {size(sum(freed.values()))} from {plural(len(freed), 'folder')}")
    elif chosen:
        say("nothing was removed (--dry-run)")
    elif disk.removable:
        say(f"nothing was removed; name the kinds that may go, such as --{disk.removable[0].kind}")


def _plain(disk: Disk, freed: dict[Removable, int], problems: Sequence[str]) -> dict[str, object]:
    return {
        "folder": str(disk.top),
        "runs": disk.n_runs,
        "size_bytes": disk.size_bytes,
        "removable": [
            {
                "kind": str(one.kind),
                "folder": str(one.folder),
                "files": list(one.files),
                "size_bytes": one.size_bytes,
                "removed": one in freed,
            }
            for one in disk.removable
        ],
        "left_alone": [{"folder": str(folder), "reason": reason} for folder, reason in disk.left_alone],
        "problems": list(problems),
    }
