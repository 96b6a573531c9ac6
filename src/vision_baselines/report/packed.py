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
from collections.abc import Iterable, Mapping, Sequence
from functools import lru_cache
from itertools import chain
from pathlib import Path
from typing import Any
from urllib.parse import quote

from markupsafe import Markup

from vision_baselines.comparison.formatting import printable
from vision_baselines.comparison.kept import kept_with_record
from vision_baselines.report.cells import Cells
from vision_baselines.report.columns import Column
from vision_baselines.report.job_details import SettingsOfJobs, curve_of, facts_of, is_picture, results_of
from vision_baselines.report.tables import JobRow, failure_of
from vision_baselines.runs.record import RECORD_FILE, RunRecord

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
    settings: SettingsOfJobs,
    cells: Cells,
    narrow: Sequence[str],
    out: Path | None,
) -> Markup:
    """All that the page shows of jobs: the cells of its table, column by column, and what their panels say.

    Args:
        columns: Of the table, "job" first.
        rows: A job each.
        settings: Of these jobs.
        cells: Writes the signs of groups.
        narrow: Columns of a narrow window.
        out: Folder of the page; None for no links.
    """
    records = [row.job.record for row in rows]
    groups = list(dict.fromkeys(row.group for row in rows))
    names, facts, reasons, points, says = map(_coded, zip(*map(_said, records), strict=True))
    content = {
        "columns": [_column(column, rows, narrow) for column in columns],
        "groups": [[cells.places.get(label), str(cells.group(label, "")), str(cells.group(label))] for label in groups],
        "group": _indices(groups, rows),
        "names": names,
        "facts": facts,
        "reason": reasons,
        "settings": [[printable(key), _coded(settings.own[key])] for key in sorted(settings.own, key=settings.first)],
        "results": _table([_results(record) for record in records]),
        "curve": points,
        "says": says,
        "folder": _coded([_href(str(row.job.folder), str(out)) if out else "" for row in rows]),
        "files": _coded(_files(records)),
    }
    return packed(json.dumps(content, separators=(",", ":")))


@kept_with_record
def _said(record: RunRecord) -> tuple[str, ...]:
    """A run's name, how it went, why it failed, and its curve, as points and in words."""
    curve = curve_of(record, _POINTS)
    told = (printable(record.name), printable(facts_of(record)), printable(failure_of(record)))
    return (*told, curve.points if curve else "", curve.says if curve else "")


_results = kept_with_record(results_of)


def _files(records: Sequence[RunRecord]) -> list[tuple[str, ...]]:
    """The files that each panel links to; records of a cache share what is alike."""
    distinct = {id(record.files): record.files for record in records}
    links = {
        identity: tuple(quote(name, safe="/") for name in (RECORD_FILE, *filter(is_picture, files)))
        for identity, files in distinct.items()
    }
    return [links[id(record.files)] for record in records]


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
    return [[key, _coded([row.get(key) for row in rows])] for key in dict.fromkeys(chain.from_iterable(rows))]


def _coded(values: Sequence[Any]) -> list[Any]:
    """Values as the distinct ones and which of them each is; where most are distinct, as they are.

    >>> _coded(["a", "b", "a", "a", "a"]), _coded(["a", "b"])
    ([['a', 'b'], [0, 1, 0, 0, 0]], [['a', 'b']])
    """
    distinct = list(dict.fromkeys(values))
    if len(distinct) * 2 > len(values):
        return [list(values)]
    places = {value: place for place, value in enumerate(distinct)}
    return [distinct, [places[value] for value in values]]


@lru_cache(maxsize=2**14)
def _href(folder: str, out: str) -> str:
    """Where a folder lies seen from that of the page."""
    try:
        way = os.path.relpath(folder, out)
    except ValueError:  # on another drive
        return ""
    return quote(os.fsencode(way.replace(os.sep, "/")), safe="/")
