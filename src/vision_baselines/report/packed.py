"""What the page of a large comparison holds packed: rows beyond the first, and all of its jobs, drawn on demand.

A group or a job has some 3 KB of markup, of which nearly all is that of its neighbours. Packed (gzip, in base64) ten
thousand jobs take less than a megabyte, and a browser draws those that are looked at. Small comparisons have none of
it: their page is complete without a script.
"""

from __future__ import annotations

import base64
import gzip
import json
import os
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any
from urllib.parse import quote

from markupsafe import Markup

from vision_baselines.comparison.formatting import printable
from vision_baselines.report.cells import Cells
from vision_baselines.report.columns import Column
from vision_baselines.report.job_details import curve_of, facts_of, is_picture, own_settings, results_of
from vision_baselines.report.tables import JobRow, failure_reason
from vision_baselines.runs.record import RECORD_FILE

ROWS_INLINE = 200
"""Rows of a table that are there without a script; of more, the first `ROWS_FIRST`."""
ROWS_FIRST = 20
JOBS_INLINE = 300
"""Jobs of a page that is complete without a script."""
_POINTS = 16
_EXACT = ("peak_memory_bytes",)  # columns whose texts are not in the order of their values


def packed(text: str) -> Markup:
    """Text as base64 of its gzip, the same bytes for the same text."""
    return Markup(base64.b64encode(gzip.compress(text.encode(), 9, mtime=0)).decode("ascii"))


def packed_rows(rows: Iterable[str]) -> Markup:
    """The rows of a table that follow those that are there without a script."""
    return packed("\n".join(rows))


def packed_jobs(
    columns: Sequence[Column[JobRow]],
    rows: Sequence[JobRow],
    cells: Cells,
    narrow: Sequence[str],
    out: Path | None,
) -> Markup:
    """All that the page shows of jobs: the cells of its table, column by column, and what their panels say.

    Args:
        columns: Of the table, "job" first.
        rows: A job each.
        cells: Writes the signs of groups.
        narrow: Columns of a narrow window.
        out: Folder of the page; None for no links.
    """
    records = [row.job.record for row in rows]
    groups = list(dict.fromkeys(row.group for row in rows))
    curves = [curve_of(record, _POINTS) for record in records]
    content = {
        "columns": [_column(column, rows, narrow) for column in columns],
        "groups": [[cells.places.get(label), str(cells.group(label, "")), str(cells.group(label))] for label in groups],
        "group": _indices(groups, rows),
        "names": _coded([printable(record.name) for record in records]),
        "facts": _coded([printable(facts_of(record)) for record in records]),
        "reason": _coded([printable(failure_reason(row.job)) for row in rows]),
        "settings": _table([{printable(k): printable(v) for k, v in own.items()} for own in own_settings(records)]),
        "results": _table([results_of(record) for record in records]),
        "curve": _coded([curve.points if curve else "" for curve in curves]),
        "says": _coded([curve.says if curve else "" for curve in curves]),
        "folder": _coded([_href(row.job.folder, out) for row in rows]),
        "files": _coded(
            [[quote(name, safe="/") for name in (RECORD_FILE, *filter(is_picture, r.files))] for r in records]
        ),
    }
    return packed(json.dumps(content, separators=(",", ":")))


def _indices(groups: Sequence[str], rows: Sequence[JobRow]) -> list[int]:
    at = {label: place for place, label in enumerate(groups)}
    return [at[row.group] for row in rows]


def _column(column: Column[JobRow], rows: Sequence[JobRow], narrow: Sequence[str]) -> dict[str, Any]:
    found: dict[str, Any] = {
        "name": column.name,
        "number": column.is_number,
        "minor": column.name not in narrow,
        "text": _coded([printable(column.write(row)) for row in rows]),
        "tone": _coded([column.tone(row) for row in rows]),
    }
    if column.name in _EXACT:
        found["value"] = [None if (value := column.sort_value(row)) is None else f"{float(value):.4g}" for row in rows]
    return found


def _table(rows: Sequence[Mapping[str, str]]) -> list[list[Any]]:
    """Name and values, None where a row has none, of each key in order."""
    keys = dict.fromkeys(key for row in rows for key in row)
    return [[key, _coded([row.get(key) for row in rows])] for key in keys]


def _coded(values: Sequence[Any]) -> list[Any]:
    """Values as the distinct ones and which of them each is; where most are distinct, as they are.

    >>> _coded(["a", "b", "a", "a", "a"]), _coded(["a", "b"])
    ([['a', 'b'], [0, 1, 0, 0, 0]], [['a', 'b']])
    """
    key: Callable[[Any], Any] = json.dumps if values and isinstance(values[0], list) else lambda value: value
    distinct: dict[Any, int] = {}
    kept = []
    for value in values:
        if (name := key(value)) not in distinct:
            distinct[name] = len(distinct)
            kept.append(value)
    if len(kept) * 2 > len(values):
        return [list(values)]
    return [kept, [distinct[key(value)] for value in values]]


def _href(folder: Path, out: Path | None) -> str:
    if out is None:
        return ""
    try:
        way = os.path.relpath(folder.absolute(), out.absolute())
    except ValueError:  # on another drive
        return ""
    return quote(os.fsencode(Path(way).as_posix()), safe="/")
