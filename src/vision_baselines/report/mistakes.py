"""Misclassified images as tables for a terminal, as JSON and CSV, and as a section of the comparison's page."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING, Any

from rich.table import Table
from rich.text import Text

from vision_baselines.analysis.mistakes import ClassMistakes
from vision_baselines.comparison.formatting import ABSENT, one_line, shortened
from vision_baselines.comparison.mistake_lists import MistakeList
from vision_baselines.comparison.mistakes import Entry, GroupMistakes, short_name
from vision_baselines.fitted_table import FittedTable
from vision_baselines.text import told_apart

if TYPE_CHECKING:
    import pandas as pd

_NAME, _CLASS = 28, 17


def list_table(found: MistakeList, entries: Sequence[Entry]) -> Table:
    """A line for each image."""
    heads = ["image", "class", "answer", "probability", "wrong in"]
    if found.right is not None:
        heads.append("others right")
    table = _table(heads, right=("probability", "wrong in", "others right"))
    for entry in entries:
        table.add_row(*(Text(cell) for cell in _cells(entry)))
    return table


def _cells(entry: Entry) -> Iterable[str]:
    yield short_name(entry.image, _NAME)
    right, answer = one_line(entry.right), one_line(entry.answer)
    shown = told_apart([right, answer], _CLASS)
    yield shown[right]
    yield shown[answer]
    yield ABSENT if entry.probability is None else f"{entry.probability:.2f}"
    yield f"{entry.wrong} of {entry.runs}"
    if entry.others is not None:
        yield "{} of {}".format(*entry.others)


def class_table(group: GroupMistakes, most: int) -> Table:
    """A line for each of the classes with the largest shares of mistakes."""
    table = _table(["class", "misclassified", "share", "mostly as"], right=("misclassified", "share"))
    for one in group.by_class[:most]:
        table.add_row(*(Text(cell) for cell in class_cells(group, one)))
    return table


def class_cells(group: GroupMistakes, one: ClassMistakes) -> tuple[str, ...]:
    """Class, how many of its images a run misclassifies on average, their share, and what they are mostly taken for."""
    mean = f"{one.wrong:,.0f}" if group.found.runs == 1 else f"{one.wrong:,.1f}"
    taken = shortened(one_line(group.name(one.taken_for)), _CLASS)
    mostly = f"{taken} ({one.taken_for_share:.0%})" if one.wrong else ABSENT
    return shortened(one_line(group.name(one.label)), _CLASS), f"{mean} of {one.images:,}", f"{one.share:.1%}", mostly


def mistakes_frame(lists: Sequence[MistakeList], top: int | None = None) -> pd.DataFrame:
    """One row for each image of each list."""
    import pandas as pd  # which the page of a run does without

    columns = (
        "list", "group", "image", "class", "answer", "probability", "wrong_runs", "runs", "right_group", "right_runs",
        "right_group_runs",
    )  # fmt: skip
    rows = [{**_facts(found, entry), "list": found.kind} for found in lists for entry in found.entries(top)]
    return pd.DataFrame(rows, columns=columns)


def facts(groups: Sequence[GroupMistakes], lists: Sequence[MistakeList], top: int | None = None) -> dict[str, Any]:
    """The same and each group's classes as plain data."""
    return {
        "groups": [
            {
                "group": group.label,
                "runs": [str(job.folder) for job in group.jobs],
                "runs_left_out": group.left_out,
                "images": len(group.targets),
                "misclassified_by_any_run": int((group.found.wrong > 0).sum()),
                "misclassified_by_every_run": int(group.found.always.sum()),
                "classes": [
                    {
                        "class": group.name(one.label),
                        "images": one.images,
                        "misclassified_mean": one.wrong,
                        "mostly_as": group.name(one.taken_for) or None,
                        "mostly_as_share": one.taken_for_share,
                    }
                    for one in group.by_class
                ],
            }
            for group in groups
        ],
        "lists": [
            {"list": found.kind, "images": [_facts(found, entry) for entry in found.entries(top)]} for found in lists
        ],
    }


def _facts(found: MistakeList, entry: Entry) -> dict[str, Any]:
    row: dict[str, Any] = {
        "group": found.group.label,
        "image": entry.image,
        "class": entry.right,
        "answer": entry.answer,
        "probability": entry.probability,
        "wrong_runs": entry.wrong,
        "runs": entry.runs,
    }
    if found.right is not None and entry.others is not None:
        row |= {"right_group": found.right.label, "right_runs": entry.others[0], "right_group_runs": entry.others[1]}
    return row


def _table(heads: Sequence[str], right: Sequence[str]) -> Table:
    table = FittedTable()
    for head in heads:
        table.add_column(head, justify="right" if head in right else "left", no_wrap=head in right)
    return table
