"""The CSV files of a comparison: complete, exact, and harmless in a spreadsheet.

A cell of text that begins like a formula would be run by a spreadsheet; it gets a leading apostrophe, as
OWASP advises ("CSV injection"). The lines of a group's jobs are kept for as long as these are the same.
"""

from __future__ import annotations

import csv
import io
from collections.abc import Callable, Iterable, Sequence
from functools import lru_cache
from pathlib import PurePath
from typing import Any

from vision_baselines.comparison.collection import Job
from vision_baselines.comparison.formatting import one_line
from vision_baselines.comparison.kept import kept_of_group
from vision_baselines.comparison.read_against import ClassRecall, class_recalls
from vision_baselines.comparison.table import ComparisonTable
from vision_baselines.report.ablation import effect_columns, interaction_columns
from vision_baselines.report.columns import Column, Item, exact_fields
from vision_baselines.report.tables import (
    JobRow,
    epoch_columns,
    epochs_of,
    group_columns,
    job_columns,
    job_groups,
    rows_of,
)

_FORMULA = ("=", "+", "-", "@")
_OF_CLASSES = {"name": "class", "low": "recall ci_low", "high": "recall ci_high"}


def csv_files(table: ComparisonTable) -> dict[str, bytes]:
    """The files by name: UTF-8, numbers in full precision, missing ones empty; those of what there is none of left out.

    jobs.csv has a line for each record, failed and unreadable ones too, in the order of groups and seeds; classes.csv
    one for each group and class of its test split: images, mean recall over runs, and Wilson's 95% interval.
    """
    epochs = epochs_of(table)
    files = {
        "groups.csv": _items(group_columns(table), (*table.rows, *table.fresh)),
        "epochs.csv": _items(epoch_columns(epochs), epochs.rows) if epochs else csv_text([["group"]]),
    }
    if classes := [(row.label, found) for row in (*table.rows, *table.fresh) for found in class_recalls(row)]:
        names = ClassRecall.__dataclass_fields__
        heads = ["group", *(_OF_CLASSES.get(name, name) for name in names)]
        rows = ([label, *(getattr(found, name) for name in names)] for label, found in classes)
        files["classes.csv"] = csv_text([heads, *rows])
    if table.effects:
        files["effects.csv"] = _items(effect_columns(table), table.effects)
    if table.interactions:
        files["interactions.csv"] = _items(interaction_columns(table), table.interactions)
    return {"jobs.csv": _jobs(table), **{name: text.encode() for name, text in files.items()}}


def _jobs(table: ComparisonTable) -> bytes:
    columns = job_columns(table)
    names = list(exact_fields(columns))
    unreadable = [
        {"job": PurePath(found.place).name, "status": "unreadable", "reason": found.reason, "folder": found.place}
        for found in table.unreadable
    ]
    parts = [_of_group(label, columns, jobs, counted) for label, jobs, counted in job_groups(table)]
    last = csv_text([found.get(name) for name in names] for found in unreadable)
    return b"".join([csv_text([names]).encode(), *parts, last.encode()])


@kept_of_group
def _of_group(
    label: str, columns: tuple[Column[JobRow], ...], jobs: tuple[Job, ...], counted: tuple[Job, ...]
) -> bytes:
    return csv_text(_values(columns, rows_of(label, jobs, counted))).encode()


def _items(columns: Sequence[Column[Item]], items: Sequence[Item]) -> str:
    return csv_text([list(exact_fields(columns)), *_values(columns, items)])


def _values(columns: Sequence[Column[Item]], items: Iterable[Item]) -> Iterable[Sequence[Any]]:
    fields = list(exact_fields(columns).values())
    return ([read(item) for read in fields] for item in items)


@lru_cache(maxsize=2**12)  # labels and names of what is shown stand in many rows
def inert(text: str) -> str:
    """Text on one line that no spreadsheet runs."""
    return unrun(one_line(text))


def unrun(text: str) -> str:
    r"""Text as it is, but for an apostrophe before what a spreadsheet would run, and bytes that are not UTF-8.

    >>> unrun("=1+1"), unrun("a  b\n.png")
    ("'=1+1", 'a  b\n.png')
    """
    line = text.encode("utf-8", "backslashreplace").decode()
    return f"'{line}" if line.startswith(_FORMULA) else line


def csv_text(rows: Iterable[Iterable[Any]], text: Callable[[str], str] = inert) -> str:
    """Rows as CSV: numbers in full precision, missing ones and NaN empty, each text as `text` makes it."""
    cells = [[text(cell) if isinstance(cell, str) else None if cell != cell else cell for cell in row] for row in rows]
    has_returns = any("\r" in cell for row in cells for cell in row if isinstance(cell, str))
    file = io.StringIO()
    # the writer quotes a cell with the end of its own lines, \n alone; readers take \r for one too
    options: dict[str, Any] = {"quoting": csv.QUOTE_NONNUMERIC} if has_returns else {}
    csv.writer(file, lineterminator="\n", **options).writerows(cells)
    return file.getvalue()
