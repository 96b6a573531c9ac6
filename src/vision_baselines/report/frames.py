"""The comparison as two pandas tables, every job and every group, and as CSV that a spreadsheet may open.

A cell of text that begins like a formula would be run by a spreadsheet; it gets a leading apostrophe, as
OWASP advises ("CSV injection").
"""

from __future__ import annotations

from pathlib import PurePath

import pandas as pd

from vision_baselines.comparison.collection import Job
from vision_baselines.comparison.formatting import one_line
from vision_baselines.comparison.table import ComparisonTable, GroupRow

_FORMULA = ("=", "+", "-", "@")


def jobs_frame(table: ComparisonTable) -> pd.DataFrame:
    """One row per record, failed and unreadable ones too, in the order of groups and seeds."""
    counted = {job.folder for row in table.rows for job in row.counted}
    rows = [_job_cells(row.label, job, job.folder in counted) for row in table.rows for job in row.jobs]
    rows += [
        {
            "job": PurePath(found.place).name,
            "status": "unreadable",
            "reason": found.reason,
            "folder": found.place,
        }
        for found in table.unreadable
    ]
    return pd.DataFrame(rows)


def groups_frame(table: ComparisonTable) -> pd.DataFrame:
    """One row per group: counts, every metric's summary, the paired difference, and costs."""
    return pd.DataFrame([_group_cells(table, row) for row in table.rows])


def csv(frame: pd.DataFrame) -> bytes:
    """`frame` as UTF-8 CSV; numbers in full precision, missing ones empty, text that no spreadsheet runs."""
    safe = frame.rename(columns=lambda name: _inert(str(name)))
    for column in safe.columns[[dtype.kind not in "biufM" for dtype in safe.dtypes]]:
        safe[column] = safe[column].map(lambda cell: _inert(cell) if isinstance(cell, str) else cell)
    text: str = safe.to_csv(index=False, lineterminator="\n")
    return text.encode()


def _inert(text: str) -> str:
    line = one_line(text)
    return f"'{line}" if line.startswith(_FORMULA) else line


def _job_cells(group: str, job: Job, counted: bool) -> dict[str, object]:
    record = job.record
    return {
        "group": group,
        "job": record.name,
        "sweep": record.sweep,
        "seed": record.seed,
        "status": record.status.value,
        "counted": counted,
        "reason": f"{record.failure.kind}: {record.failure.message}" if record.failure else "",
        **{name: record.metrics[name] for name in sorted(record.metrics)},
        "best_epoch": record.best_epoch,
        "epochs": len(record.history),
        "parameters": record.parameters.total if record.parameters else None,
        "flops_per_image": record.parameters.flops_per_image if record.parameters else None,
        "setup_s": record.timings.setup_s,
        "fit_s": record.timings.fit_s,
        "test_s": record.timings.test_s,
        "images_per_s": record.timings.images_per_s,
        "peak_memory_bytes": record.peak_memory_bytes,
        "attempts": record.attempts,
        "device": record.environment.device,
        "git_commit": record.environment.git_commit,
        "started_at": record.started_at.isoformat(),
        "ended_at": record.ended_at.isoformat() if record.ended_at else None,
        "overrides": " ".join(record.overrides),
        "fingerprint": record.fingerprint,
        "weights_sha256": record.weights_sha256,
        "folder": job.place,
    }


def _group_cells(table: ComparisonTable, row: GroupRow) -> dict[str, object]:
    cells: dict[str, object] = {
        "group": row.label,
        "n_finished": row.n_finished,
        "n_failed": len(row.failed),
        "n_pending": len(row.pending),
        "n_repeated": len(row.repeated),
    }
    for name in table.metrics:
        summary = row.metrics.get(name)
        for statistic in ("n", "mean", "std", "ci_low", "ci_high", "median", "min", "max"):
            cells[f"{name} {statistic}"] = getattr(summary, statistic, None)
        cells[f"{name} best"] = row.best.get(name)
    if table.baseline is not None:
        cells["baseline"] = table.baseline
        for statistic in ("n", "mean", "ci_low", "ci_high", "p_value", "conclusion"):
            cells[f"{table.metric.name} difference {statistic}"] = getattr(row.difference, statistic, None)
    return cells | row.costs.__dict__
