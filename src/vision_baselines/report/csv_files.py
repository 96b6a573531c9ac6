"""The CSV files of a comparison: complete, exact, and harmless in a spreadsheet.

A cell of text that begins like a formula would be run by a spreadsheet; it gets a leading apostrophe, as
OWASP advises ("CSV injection"). The lines of a group's jobs are kept for as long as these are the same.
"""

from __future__ import annotations

import csv
import io
from collections.abc import Iterable, Sequence
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
        "jobs.csv": _jobs(table),
        "groups.csv": _items(group_columns(table), (*table.rows, *table.fresh)),
        "epochs.csv": _items(epoch_columns(epochs), epochs.rows) if epochs else _lines([["group"]]),
    }
    if classes := [(row.label, found) for row in (*table.rows, *table.fresh) for found in class_recalls(row)]:
        names = ClassRecall.__dataclass_fields__
        heads = ["group", *(_OF_CLASSES.get(name, name) for name in names)]
        rows = ([label, *(getattr(found, name) for name in names)] for label, found in classes)
        files["classes.csv"] = _lines([heads, *rows])
    if table.effects:
        files["effects.csv"] = _items(effect_columns(table), table.effects)
    if table.interactions:
        files["interactions.csv"] = _items(interaction_columns(table), table.interactions)
    return {name: text.encode() for name, text in files.items()}


def _jobs(table: ComparisonTable) -> str:
    columns = job_columns(table)
    names = list(exact_fields(columns))
    unreadable = [
        {"job": PurePath(found.place).name, "status": "unreadable", "reason": found.reason, "folder": found.place}
        for found in table.unreadable
    ]
    parts = [_of_group(label, columns, jobs, counted) for label, jobs, counted in job_groups(table)]
    return "".join([_lines([names]), *parts, _lines([found.get(name) for name in names] for found in unreadable)])


@kept_of_group
def _of_group(label: str, columns: tuple[Column[JobRow], ...], jobs: tuple[Job, ...], counted: tuple[Job, ...]) -> str:
    return _lines(_values(columns, rows_of(label, jobs, counted)))


def _items(columns: Sequence[Column[Item]], items: Sequence[Item]) -> str:
    return _lines([list(exact_fields(columns)), *_values(columns, items)])


def _values(columns: Sequence[Column[Item]], items: Iterable[Item]) -> Iterable[Sequence[Any]]:
    fields = list(exact_fields(columns).values())
    return ([read(item) for read in fields] for item in items)


def _lines(rows: Iterable[Iterable[Any]]) -> str:
    file = io.StringIO()
    csv.writer(file, lineterminator="\n").writerows(map(_cell, row) for row in rows)
    return file.getvalue()


def _cell(value: Any) -> Any:
    if not isinstance(value, str):
        return None if value != value else value  # NaN is not itself
    return inert(value)


def inert(text: str) -> str:
    """Text on one line that no spreadsheet runs."""
    line = one_line(text)
    return f"'{line}" if line.startswith(_FORMULA) else line
