"""The pictures that ``probe=features`` left of each group's first seed, as files, for the comparison's page."""

from __future__ import annotations

from collections.abc import Iterable

from vision_baselines.comparison.collection import Job
from vision_baselines.comparison.rows import GroupRow
from vision_baselines.storage.reading import read_regular

HIERARCHY_FILE = "features/hierarchy.png"
_GROUPS = 4
_MOST_BYTES = 400_000  # of one; a page of four stays below two megabytes and a half, in base64
_PNG = b"\x89PNG\r\n\x1a\n"


def read_hierarchies(rows: Iterable[GroupRow]) -> list[tuple[str, Job, bytes]]:
    """Label, job and PNG of the lowest counted seed whose record lists the picture, for at most four groups."""
    found = []
    for row in rows:
        for job in row.counted:
            if HIERARCHY_FILE not in job.record.files:
                continue
            try:
                content = read_regular(job.folder / HIERARCHY_FILE, most_bytes=_MOST_BYTES)
            except (OSError, ValueError):
                continue
            if content.startswith(_PNG):
                found.append((row.label, job, content))
                break
    return found[:_GROUPS]
