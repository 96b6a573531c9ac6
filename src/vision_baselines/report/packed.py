"""What the page of a large comparison holds packed: rows beyond the first, and all of its jobs, drawn on demand.

A group or a job has some 3 KB of markup, of which nearly all is that of its neighbours. Packed (gzip, in base64) ten
thousand jobs take less than a megabyte, and a browser draws those that are looked at. Small comparisons have none of
it: their page is complete without a script.
"""

from __future__ import annotations

import base64
import json
import os
from collections.abc import Iterable, Mapping, Sequence
from itertools import chain, repeat
from pathlib import Path
from typing import Any
from urllib.parse import quote

from markupsafe import Markup

from vision_baselines.comparison.collection import Job
from vision_baselines.comparison.formatting import printable
from vision_baselines.comparison.kept import kept_of_group
from vision_baselines.report.cells import Cells
from vision_baselines.report.columns import Column
from vision_baselines.report.job_details import SettingsOfJobs, curve_of, facts_of, is_picture, results_of
from vision_baselines.report.tables import JobRow, JobsOfGroup, failure_of, rows_of
from vision_baselines.report.zipped import zipped
from vision_baselines.runs.record import RECORD_FILE, RunRecord

ROWS_INLINE = 200
"""Rows of a table that are there without a script; of more, the first `ROWS_FIRST`."""
ROWS_FIRST = 20
JOBS_INLINE = 300
"""Jobs of a page that is complete without a script."""
_POINTS = 16
_SAID = ("names", "facts", "reasons", "across", "down", "says")  # in a job's panel
_EXACT = ("peak_memory_bytes",)  # columns whose texts are not in the order of their values


def packed(texts: Iterable[str]) -> Markup:
    """Texts that follow each other as base64 of their gzip, the same bytes for the same texts."""
    return Markup(base64.b64encode(zipped(text.encode() for text in texts)).decode("ascii"))


def packed_rows(rows: Iterable[str]) -> Markup:
    """The rows of a table that follow those that are there without a script."""
    return packed(f"{row}\n" for row in rows)


def packed_jobs(
    columns: Sequence[Column[JobRow]],
    groups: Sequence[JobsOfGroup],
    settings: SettingsOfJobs,
    cells: Cells,
    narrow: Sequence[str],
    out: Path | None,
) -> Markup:
    """All that the page shows of jobs, group by group: the cells of its table, and what their panels say.

    A group's part is kept for as long as its jobs and what is said of them are the same.

    Args:
        columns: Of the table, "job" first.
        groups: Of all jobs.
        settings: Of these jobs.
        cells: Writes the signs of groups.
        narrow: Columns of a narrow window.
        out: Folder of the page; None for no links.
    """
    fields = settings.by_appearance()
    parts = [
        _part(label, tuple(columns), jobs, counted, own, str(out or ""))
        for (label, jobs, counted), own in zip(groups, settings.rows(fields), strict=True)
    ]
    of_all = {
        "columns": [[column.name, column.is_number, column.name not in narrow] for column in columns],
        "settings": [printable(key) for _, key in fields],
        "groups": [
            [cells.places.get(label), str(cells.group(label, "")), str(cells.group(label))] for label, *_ in groups
        ],
    }
    heads = chain(['{"parts":[\n'], repeat(",\n"))
    return packed(chain(map("".join, zip(heads, parts, strict=False)), [f'],\n"of_all":{_json(of_all)}}}']))


@kept_of_group
def _part(
    label: str,
    columns: tuple[Column[JobRow], ...],
    jobs: tuple[Job, ...],
    counted: tuple[Job, ...],
    own: tuple[tuple[str | None, ...], ...],
    out: str,
) -> str:
    """What is said of a group's jobs, as JSON.

    Args:
        label: Of the group.
        columns: Of the table of jobs.
        jobs: The group's.
        counted: Those that stand in its numbers.
        own: Of each the settings that not all jobs share.
        out: Folder of the page; empty for no links.
    """
    rows, records = rows_of(label, jobs, counted), [job.record for job in jobs]
    said = map(_coded, zip(*map(_said, records), strict=True))
    exact = [column for column in columns if column.name in _EXACT]
    return _json(
        {
            "n": len(rows),
            "text": [_coded([printable(column.write(row)) for row in rows]) for column in columns],
            "tone": [_coded([column.tone(row) for row in rows]) for column in columns],
            "value": {column.name: _coded([_value(column, row) for row in rows]) for column in exact},
            **dict(zip(_SAID, said, strict=True)),
            "own": [_coded(values) for values in zip(*own, strict=True)],
            "results": _table([results_of(record) for record in records]),
            "folder": _coded([_href(str(job.folder), out) if out else "" for job in jobs]),
            "files": _coded([_files(record) for record in records]),
        }
    )


def _said(record: RunRecord) -> tuple[str, ...]:
    """What `_SAID` names: of a curve's points apart how far they are to the right, which is alike in many runs."""
    told = (printable(record.name), printable(facts_of(record)), printable(failure_of(record)))
    curve = curve_of(record, _POINTS)
    if curve is None:
        return (*told, "", "", "")
    across, down = zip(*(point.split(",") for point in curve.points.split()), strict=True)
    return (*told, " ".join(across), " ".join(down), curve.says)


def _files(record: RunRecord) -> tuple[str, ...]:
    """The files that a panel links to."""
    return tuple(quote(name, safe="/") for name in (RECORD_FILE, *filter(is_picture, record.files)))


def _value(column: Column[JobRow], row: JobRow) -> str | None:
    value = column.sort_value(row)
    return None if value is None else f"{float(value):.4g}"


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


def _href(folder: str, out: str) -> str:
    """Where a folder lies seen from that of the page."""
    try:
        way = os.path.relpath(folder, out)
    except ValueError:  # on another drive
        return ""
    return quote(os.fsencode(way.replace(os.sep, "/")), safe="/")


def _json(content: object) -> str:
    return json.dumps(content, separators=(",", ":"))
