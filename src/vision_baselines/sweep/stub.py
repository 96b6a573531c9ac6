"""A planned run as a comparison sees it, before there is a record: what it would be grouped by."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from vision_baselines.comparison.collection import Job, collect
from vision_baselines.comparison.errors import NoRecordsError, UnknownNameError
from vision_baselines.comparison.grouping import find_group, group_jobs
from vision_baselines.config.plan import Plan
from vision_baselines.runs.record import RunRecord, Status, now


def stub(plan: Plan) -> Job:
    """The job of a run that is only planned."""
    record = RunRecord.model_construct(
        name=plan.folder.name,
        sweep=plan.folder.parent.name,
        status=Status.RUNNING,
        overrides=list(plan.overrides),
        config=dict(plan.config),
        fingerprint=plan.fingerprint,
        seed=0,
        started_at=now(),
        code={},
    )
    return Job(plan.folder, plan.folder.name, record)


def require_known_baseline(
    wanted: str, jobs: Sequence[Job], folder: Path, group_by: Sequence[str] | str | None
) -> None:
    """Refuse a baseline that is no group of a sweep: neither of its planned jobs nor of what its folder has already.

    Raises:
        UnknownNameError: Which groups there are.
    """
    try:
        find_group(group_jobs(jobs, group_by), wanted)
        return
    except UnknownNameError as error:
        unknown = error
    try:
        before = collect([folder]).jobs
    except NoRecordsError:
        raise unknown from None
    planned = {job.folder.name for job in jobs}
    others = [job for job in before if job.folder.name not in planned]
    for known in (before, [*jobs, *others]):  # labels leave out what all jobs share
        try:
            find_group(group_jobs(known, group_by), wanted)
            return
        except UnknownNameError:
            continue
    raise unknown
