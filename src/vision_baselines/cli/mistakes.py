"""``mistakes RUN|SWEEP… [GROUP…]``: which test images are misclassified, how surely, and where two groups disagree."""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, NoReturn

from vision_baselines.cli.arguments import Parser, positive, some_text
from vision_baselines.cli.entry import exit_with
from vision_baselines.cli.messages import config_dir_known
from vision_baselines.cli.outputs import deliver, is_printed, say, writing
from vision_baselines.config.compose import register_resolvers
from vision_baselines.errors import ConfigError, DataError
from vision_baselines.runs.places import SOME, not_a_folder
from vision_baselines.terminal import console, print_prose

if TYPE_CHECKING:
    from vision_baselines.comparison.mistake_lists import MistakeList
    from vision_baselines.comparison.mistakes import GroupMistakes
    from vision_baselines.comparison.rows import GroupRow

_DESCRIPTION = """The test images that runs misclassify, the most surely wrong first: the probability of the wrong class
times the share of the runs that name it. Of two groups, also the images that one gets right and the other wrong, and
those that every run gets wrong, which are often labelled wrongly."""
_TOP = 10
_TOP_DRAWN = 24
_CLASSES = 5
_PLACES = ("paths.data_dir=", "data.source.")


def main(arguments: Sequence[str] | None = None) -> NoReturn:
    """Print, and perhaps draw, what runs misclassify; exits."""
    given = sys.argv[1:] if arguments is None else list(arguments)
    exit_with(lambda: _run(given))


def _run(arguments: list[str]) -> None:
    parser = Parser(prog="mistakes.py", description=_DESCRIPTION)
    parser.add_argument(
        "runs",
        nargs="+",
        type=some_text,
        metavar="RUN",
        help="folders of finished runs or sweeps, then groups of them, such as model=cnn",
    )
    parser.add_argument(
        "--top",
        type=positive,
        metavar="N",
        help=f"images of each list; else {_TOP} in tables, {_TOP_DRAWN} in the picture, all in JSON and CSV",
    )
    parser.add_argument("--class", dest="only_class", metavar="NAME", help="only images of this class")
    parser.add_data_options("all lists", "--json", "--csv")
    parser.add_output("--png", ".png", metavar="FILE.png", help="draw the images")
    parser.add_argument("--data-dir", metavar="DIR", help="where the data lies now, for images that no run kept")
    parser.add_config_options()
    options = parser.parse_intermixed_args(arguments)
    png, is_data = options.png, is_printed(options)
    folders = [Path(word) for word in options.runs if Path(word).is_dir()]
    places = [word for word in options.runs if word.startswith(_PLACES) and not Path(word).is_dir()]
    wanted = [word for word in options.runs if Path(word) not in folders and word not in places]
    if not folders:
        raise DataError(not_a_folder(Path(options.runs[0]), SOME))
    places += [f"paths.data_dir={options.data_dir}"] * bool(options.data_dir)

    from vision_baselines.comparison.mistake_lists import mistake_lists

    groups = _groups(folders, wanted)
    only = None if options.only_class is None else _class_of(groups, options.only_class)
    lists = mistake_lists(groups, [(groups[0], groups[1])] if len(groups) == 2 else [], only_class=only)
    _deliver(groups, lists, options)
    if not is_data:
        _print(groups, lists, options.top or _TOP, only)
    if png:
        register_resolvers()
        with config_dir_known(options.config_dir):
            content = _drawn(lists, options.top or _TOP_DRAWN, places, options.trust)
        from vision_baselines.inspection.picture_files import write_file

        with writing(png):
            write_file(png, content)
        if not is_data:
            say(png)


def _groups(folders: Sequence[Path], wanted: Sequence[str]) -> list[GroupMistakes]:
    """What each group that was asked for misclassifies, in the order of the comparison, or of the request."""
    from vision_baselines.comparison.formatting import one_line
    from vision_baselines.comparison.mistakes import group_mistakes
    from vision_baselines.comparison.of_folders import table_of

    table = table_of(folders)
    rows = [row for row in table.rows if row.jobs]
    if wanted:
        rows = list({row.label: row for row in (_named(rows, name) for name in wanted)}.values())
    found, without = [], []
    for row in rows:
        finished = row.counted or row.partial
        mistakes = group_mistakes(row.label, finished) if finished else None
        if mistakes is not None:
            found.append(mistakes)
        else:
            without.append((row, bool(finished)))
    for row, is_finished in without if wanted or not found else ():
        what = (
            "kept no predictions (keep_predictions=none, or a task without classes)"
            if is_finished
            else "has no finished run"
        )
        raise DataError(f"{one_line(row.label)} {what}")
    if not found:
        raise DataError(f"{folders[0]} has no finished run")
    return found


def _named(rows: Sequence[GroupRow], wanted: str) -> GroupRow:
    from vision_baselines.comparison.errors import UnknownNameError

    for row in rows:
        if row.label == wanted:
            return row
    parts = {part.strip() for part in wanted.split(",")}
    matching = [row for row in rows if parts <= {part.strip() for part in row.label.split(",")}]
    if not matching and os.sep in wanted:
        raise DataError(not_a_folder(Path(wanted), SOME))
    if len(matching) != 1:
        raise UnknownNameError.of("GROUP", wanted, (row.label for row in matching or rows))
    return matching[0]


def _class_of(groups: Sequence[GroupMistakes], wanted: str) -> int:
    """The number of a class, which is the same in all groups."""
    from vision_baselines.comparison.mistake_lists import class_index

    if any(list(group.class_names) != list(groups[0].class_names) for group in groups):
        raise ConfigError(f"--class is {wanted!r}, and the groups have different classes; name one of them")
    return class_index(groups[0], wanted)


def _print(groups: Sequence[GroupMistakes], lists: Sequence[MistakeList], top: int, only: int | None) -> None:
    from vision_baselines.comparison.formatting import listed, one_line
    from vision_baselines.comparison.mistake_lists import EVERY_RUN, LABEL_ERRORS, WRONG, summary
    from vision_baselines.comparison.mistakes import on_same_images
    from vision_baselines.report.mistakes import class_table, list_table

    out = console()
    many = len(groups) > 2
    for group in groups:
        print_prose(f"{one_line(group.label)}: {summary(group)}")
    others = [group.label for group in groups[1:] if not on_same_images(groups[0], group)]
    if others:
        named = listed([one_line(label) for label in others], 3, between="; ")
        print_prose(
            f"{one_line(groups[0].label)} and {named} were tested on other images, so nothing is said of where they "
            "disagree"
        )
    for found in lists:
        if many and found.kind == WRONG:
            continue
        entries = found.entries(top)
        print_prose(f"\n{found.heading}: {found.counted(top)}")
        if entries:
            out.print(list_table(found, entries))
        if found.kind == EVERY_RUN and entries:
            print_prose(LABEL_ERRORS)
    if many:
        print_prose("\nName one group, or two to compare, to see their images: mistakes.py FOLDER GROUP GROUP")
    elif only is None:
        for group in groups:
            if group.found.wrong.any() and len(group.by_class) > 1:
                cut = f": the first {_CLASSES} of {len(group.by_class)}" if len(group.by_class) > _CLASSES else ""
                print_prose((f"\nBy class, {one_line(group.label)}" if len(groups) > 1 else "\nBy class") + cut)
                out.print(class_table(group, _CLASSES))


def _deliver(groups: Sequence[GroupMistakes], lists: Sequence[MistakeList], options: argparse.Namespace) -> None:
    from vision_baselines.report.frames import csv
    from vision_baselines.report.mistakes import facts, mistakes_frame

    if options.json:
        deliver(options.json, facts(groups, lists, options.top))
    if options.csv:
        deliver(options.csv, csv(mistakes_frame(lists, options.top)))


def _drawn(lists: Sequence[MistakeList], top: int, places: Sequence[str], trusted: Sequence[str]) -> bytes:
    """The sheet; with the pictures that the runs kept where those are all, else with those of the data."""
    from vision_baselines.plots.mistakes import mistakes_sheet, part_of

    parts = []
    for found in lists:
        needed = found.places[:top].tolist()
        pictures = dict(found.pictures)
        if missing := [place for place in needed if place not in pictures]:
            from vision_baselines.evaluation.mistakes import pictures_from_data

            job = found.group.jobs[0]
            pictures |= pictures_from_data(job, missing, overrides=places, trusted_packages=trusted)
        parts.append(part_of(found, top, pictures))
    return mistakes_sheet("Misclassified test images", parts)
