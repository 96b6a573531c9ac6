"""The columns of TensorBoard's HParams for a sweep that begins: a TensorBoard that watches keeps the first it finds."""

from __future__ import annotations

import logging
from collections.abc import Iterable
from pathlib import Path

from vision_baselines.comparison.collection import OUTPUT_FOLDER, collect
from vision_baselines.comparison.errors import NoRecordsError
from vision_baselines.report.hparam_rows import Row
from vision_baselines.sweep.job import Job

log = logging.getLogger(__name__)


def write_planned_columns(folder: Path, jobs: Iterable[Job]) -> None:
    """Write them into the sweep's comparison, from its jobs, done or to come, and from what earlier starts left.

    Args:
        folder: The sweep's.
        jobs: Its jobs; those without a row are left out.
    """
    from vision_baselines.report.tensorboard import write_columns

    jobs = list(jobs)
    own = {job.folder for job in jobs}
    try:
        earlier = [found for found in collect([folder]).jobs if found.folder.absolute() not in own]
    except NoRecordsError:
        earlier = []
    rows = [*(Row.of(found.record) for found in earlier), *(job.row for job in jobs if job.row is not None)]
    try:
        (folder / OUTPUT_FOLDER).mkdir(parents=True, exist_ok=True)
        write_columns(folder / OUTPUT_FOLDER, rows)
    except OSError as error:  # the comparison, which writes them again, says what is wrong
        log.debug("the columns of HParams: %s", error)
