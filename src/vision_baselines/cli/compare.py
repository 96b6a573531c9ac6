"""``compare FOLDER… [group_by=key,key] [metric=name] [select=name] [baseline=group] [over=key] [out=folder]``.

Compares records. Groups are ranked by the headline metric on the validation split, or by ``select=val/loss``.
``equivalence=0.1`` asks which groups are equal within ± 0.1 points, or units of a metric that is no share.
``chance_level=uniform``, or a share such as 0.1, makes it a control, on data whose labels have no signal.
``format=latex`` prints a booktabs table and macros instead, each figure with its receipt in a comment (comparison.tex).
``compare [FOLDER…] --check paper.tex`` makes every figure with a receipt again from the records, which lie in the
folders or below outputs/, and ends in exit code 1 where one is no longer what they say.
"""

from __future__ import annotations

import argparse
import re
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import NoReturn

from vision_baselines.cli.arguments import Parser
from vision_baselines.cli.command_line import unquoted
from vision_baselines.cli.entry import exit_with
from vision_baselines.cli.messages import nearest
from vision_baselines.cli.outputs import deliver, is_printed, require_foreign_folder, text_apart
from vision_baselines.errors import ConfigError, DataError, VisionBaselinesError
from vision_baselines.runs.places import SOME, not_a_folder
from vision_baselines.terminal import print_prose

_OPTIONS = ("group_by", "metric", "select", "baseline", "over", "chance_level", "equivalence", "out", "format")
_USAGE = f"compare.py FOLDER… [{'=…] ['.join(_OPTIONS)}=…]"


def main(arguments: Sequence[str] | None = None) -> NoReturn:
    """Compare folders of records; exits."""
    given = sys.argv[1:] if arguments is None else list(arguments)
    exit_with(lambda: _compare(given))


def _compare(arguments: list[str]) -> None:
    parser = Parser(prog="compare.py", usage=_USAGE, description=__doc__)
    parser.formatter_class = argparse.RawDescriptionHelpFormatter
    parser.add_argument("words", nargs="*", metavar="FOLDER|KEY=VALUE", help="folders of runs, and options as above")
    parser.add_argument("--check", action="store_true", help="hold the figures of a LaTeX file to the records")
    parser.add_data_options("the groups and jobs")
    chosen = parser.parse_intermixed_args(arguments)
    arguments = chosen.words
    if chosen.check:
        _check(arguments, chosen)
        return
    # quotes inside quotes, as train.py needs them
    options = {key: unquoted(value) for key, _, value in (a.partition("=") for a in arguments) if key in _OPTIONS}
    folders = [argument for argument in arguments if argument.partition("=")[0] not in _OPTIONS]
    if empty := [key for key, value in options.items() if not value]:
        raise ConfigError(f"{empty[0]}= has no value; leave it out, or write {empty[0]}=…")
    if not all(folders):
        raise ConfigError(f"one of the folders is ''; expected a sweep's folder, such as outputs/demo; usage: {_USAGE}")
    if unknown := [folder for folder in folders if re.fullmatch(r"\w+=.*", folder) and not Path(folder).exists()]:
        raise ConfigError(f"there is no option {unknown[0]!r}{nearest(unknown[0].partition('=')[0], _OPTIONS)}")
    if options.get("format", "latex") != "latex":
        raise ConfigError(
            f"format is {options['format']!r}; expected latex, or none at all for the table of a terminal"
        )
    if not folders:
        raise ConfigError(f"expected folders of runs, such as outputs/demo; usage: {_USAGE}")

    out = Path(options["out"]) if "out" in options else None
    if out is not None:
        require_foreign_folder(out, "out", compared=[Path(folder) for folder in folders])

    from vision_baselines.comparison.collection import require_readable
    from vision_baselines.report.result import comparison_facts
    from vision_baselines.report.write import LATEX_FILE, compare

    with text_apart(chosen):
        comparison = compare(
            [Path(folder) for folder in folders],
            out,
            group_by=options["group_by"].split(",") if "group_by" in options else None,
            metric=options.get("metric"),
            select=options.get("select"),
            baseline=options.get("baseline"),
            over=options.get("over"),
            chance_level=_chance_level(options.get("chance_level")),
            equivalence=_equivalence(options.get("equivalence")),
        )
    require_readable(comparison.table.jobs, comparison.table.unreadable)
    if chosen.json:
        deliver(chosen.json, comparison_facts(comparison))
    if is_printed(chosen):
        return
    if "format" in options:
        print((comparison.out / LATEX_FILE).read_text(encoding="utf-8"), end="")
    else:
        comparison.show()


def _check(arguments: Sequence[str], chosen: argparse.Namespace) -> None:
    papers = [argument for argument in arguments if argument.endswith(".tex")]
    folders = [Path(argument) for argument in arguments if argument not in papers]
    if said := next(filter(None, (not_a_folder(folder, SOME) for folder in folders)), ""):
        raise DataError(f"{said}, and one LaTeX file")
    if len(papers) != 1:
        raise ConfigError("expected one LaTeX file and folders of runs; usage: compare.py [FOLDER…] --check paper.tex")

    from vision_baselines.comparison.formatting import plural, printable
    from vision_baselines.report.paper import check_paper

    found = check_paper(Path(papers[0]), folders, Path("outputs"))
    wrong = [figure for figure in found if figure.reason]
    deliver(
        chosen.json,
        {
            "figures": len(found),
            "wrong": [{"place": one.place, "what": one.what, "reason": one.reason} for one in wrong],
        },
    )
    for figure in wrong if not is_printed(chosen) else ():
        print_prose(printable(f"{figure.place}: {figure.what}: {figure.reason}"))
    if wrong:
        n_unknown, of = sum(not figure.has_records for figure in wrong), f"of {plural(len(found), 'figure')}"
        parts = {
            f"{len(wrong) - n_unknown} {of} are not what the records say": n_unknown < len(wrong),
            f"{n_unknown} {of} cannot be checked without their records; type their folders as well": n_unknown > 0,
        }
        raise VisionBaselinesError("; ".join(text for text, is_so in parts.items() if is_so))
    if not is_printed(chosen):
        print_prose(f"{plural(len(found), 'figure')}: all are what the records say")


def _equivalence(text: str | None) -> float | None:
    from vision_baselines.config.comparison_options import check_comparison_number

    margin = _number(text)
    check_comparison_number("equivalence", margin, "equivalence")
    return margin if isinstance(margin, float) else None


def _chance_level(text: str | None) -> float | str | None:
    from vision_baselines.config.comparison_options import check_chance_level

    level = _number(text)
    check_chance_level(level, "chance_level")
    return level


def _number(text: str | None) -> float | str | None:
    try:
        return float(text) if text else None
    except ValueError:
        return text
