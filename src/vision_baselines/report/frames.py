"""The comparison as two pandas tables, every job and every group, and as CSV that a spreadsheet may open.

A cell of text that begins like a formula would be run by a spreadsheet; it gets a leading apostrophe, as
OWASP advises ("CSV injection").
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from pathlib import PurePath
from typing import Any

import pandas as pd

from vision_baselines.comparison.collection import Job
from vision_baselines.comparison.formatting import one_line
from vision_baselines.comparison.read_against import ClassRecall, class_recalls
from vision_baselines.comparison.table import ComparisonTable
from vision_baselines.report.ablation import effect_columns, interaction_columns
from vision_baselines.report.columns import Column, Item
from vision_baselines.report.tables import epoch_columns, epochs_of, group_columns, job_columns, job_rows
from vision_baselines.runs.fingerprint import relevant

_FORMULA = ("=", "+", "-", "@")


def jobs_frame(table: ComparisonTable) -> pd.DataFrame:
    """One row per record, failed and unreadable ones too, in the order of groups and seeds."""
    rows = _exact(job_columns(table), job_rows(table))
    rows += [
        {"job": PurePath(found.place).name, "status": "unreadable", "reason": found.reason, "folder": found.place}
        for found in table.unreadable
    ]
    return pd.DataFrame(rows)


def runs_frame(jobs: Sequence[Job]) -> pd.DataFrame:
    """One row per record: the settings that vary, metrics, costs, status."""
    settings = [{key: _plain(value) for key, value in relevant(job.record.config).items()} for job in jobs]
    keys = sorted({key for row in settings for key in row})
    varying = [key for key in keys if len({row.get(key) for row in settings}) > 1 and not key.endswith("seed")]
    rows = [
        {
            "sweep": job.record.sweep,
            "run": job.record.name,
            "status": job.record.status.value,
            "seed": job.record.seed,
            **{key: row.get(key) for key in varying},
            **job.record.metrics,
            "best_epoch": job.record.best_epoch,
            "parameters": job.record.parameters.total if job.record.parameters else None,
            "fit_s": job.record.timings.fit_s,
            "folder": str(job.folder),
        }
        for job, row in zip(jobs, settings, strict=True)
    ]
    return pd.DataFrame(rows)


def groups_frame(table: ComparisonTable) -> pd.DataFrame:
    """One row per group: counts, every metric's summary, the paired difference, and costs."""
    return pd.DataFrame(_exact(group_columns(table), [*table.rows, *table.fresh]))


def epochs_frame(table: ComparisonTable) -> pd.DataFrame:
    """One row per group that was validated: mean and standard deviation of the validation metric at some epochs."""
    found = epochs_of(table)
    return pd.DataFrame(_exact(epoch_columns(found), found.rows) if found else [], columns=None if found else ["group"])


def classes_frame(table: ComparisonTable) -> pd.DataFrame:
    """One row per group and class of its test split: images, mean recall over runs, and Wilson's 95% interval."""
    rows = [{"group": row.label, **vars(found)} for row in (*table.rows, *table.fresh) for found in class_recalls(row)]
    names = {"name": "class", "low": "recall ci_low", "high": "recall ci_high"}
    return pd.DataFrame(rows, columns=["group", *ClassRecall.__dataclass_fields__]).rename(columns=names)


def effects_frame(table: ComparisonTable) -> pd.DataFrame:
    """One row per part that was left out: what it is worth, with the interval that holds at once with all others."""
    return pd.DataFrame(_exact(effect_columns(table), table.effects))


def interactions_frame(table: ComparisonTable) -> pd.DataFrame:
    """One row per pair of parts: what the first is worth with and without the second, and the difference of these."""
    return pd.DataFrame(_exact(interaction_columns(table), table.interactions))


def csv(frame: pd.DataFrame) -> bytes:
    """`frame` as UTF-8 CSV; numbers in full precision, missing ones empty, text that no spreadsheet runs."""
    safe = frame.rename(columns=lambda name: _inert(str(name)))
    for column in safe.columns[[dtype.kind not in "biufM" for dtype in safe.dtypes]]:
        safe[column] = safe[column].map(lambda cell: _inert(cell) if isinstance(cell, str) else cell)
    text: str = safe.to_csv(index=False, lineterminator="\n")
    return text.encode()


def _exact(columns: Sequence[Column[Item]], items: Iterable[Item]) -> list[dict[str, Any]]:
    fields = {name: value for column in columns for name, value in column.fields.items()}
    return [{name: value(item) for name, value in fields.items()} for item in items]


def _plain(value: Any) -> Any:
    return str(value) if isinstance(value, list | Mapping) else value


def _inert(text: str) -> str:
    line = one_line(text)
    return f"'{line}" if line.startswith(_FORMULA) else line
