"""The comparison as pandas tables: every job, every group, and what parts are worth; and tables as CSV."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from pathlib import PurePath
from typing import Any

import pandas as pd

from vision_baselines.comparison.collection import Job
from vision_baselines.comparison.table import ComparisonTable
from vision_baselines.report.ablation import effect_columns, interaction_columns
from vision_baselines.report.columns import Column, Item, exact_fields
from vision_baselines.report.csv_files import csv_text, unrun
from vision_baselines.report.tables import group_columns, job_columns, job_rows
from vision_baselines.runs.fingerprint import relevant


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


def effects_frame(table: ComparisonTable) -> pd.DataFrame:
    """One row per part that was left out: what it is worth, with the interval that holds at once with all others."""
    return pd.DataFrame(_exact(effect_columns(table), table.effects))


def interactions_frame(table: ComparisonTable) -> pd.DataFrame:
    """One row per pair of parts: what the first is worth with and without the second, and the difference of these."""
    return pd.DataFrame(_exact(interaction_columns(table), table.interactions))


def csv(frame: pd.DataFrame) -> bytes:
    """`frame` as UTF-8 CSV, as the files of a comparison are; but text, such as a file's name, is kept as it is.

    What it holds of line breaks and quotes is quoted, so that a reader of CSV has the name again.
    """
    heads = [str(name) for name in frame.columns]
    columns = (frame.iloc[:, place].to_numpy() for place in range(len(heads)))  # whose float32 have fewer digits
    return csv_text([heads, *zip(*columns, strict=True)], unrun).encode()


def _exact(columns: Sequence[Column[Item]], items: Iterable[Item]) -> list[dict[str, Any]]:
    fields = exact_fields(columns)
    return [{name: read(item) for name, read in fields.items()} for item in items]


def _plain(value: Any) -> Any:
    return str(value) if isinstance(value, list | Mapping) else value
