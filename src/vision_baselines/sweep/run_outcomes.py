"""How a job of a sweep went, by its run's record: as an outcome, and in a line."""

from __future__ import annotations

import logging
from pathlib import Path

from vision_baselines.comparison.metric import headline_value
from vision_baselines.jobs.outcome import Outcome, without_a_word
from vision_baselines.runs.record import RECORD_FILE, Failure, RunRecord, Status, now, read_record
from vision_baselines.sweep.job import Job

log = logging.getLogger(__name__)


def outcome_of(record: RunRecord) -> Outcome:
    """The outcome of a job whose run is finished."""
    return Outcome(0, value=record.metrics.get(record.selection_metric))


def has_begun(job: Job) -> bool:
    """Whether a job that came to no end has a record of that, without which `status` says that it was not started.

    Jobs that share a process begin in it one after another, and one that waits may have begun in an earlier sweep.
    """
    if job.is_started:
        return (job.folder / RECORD_FILE).is_file()
    return job.previous is not None and job.previous.status in (Status.RUNNING, Status.INTERRUPTED)


def outcome_after_signal(job: Job, outcome: Outcome) -> Outcome:
    """How a job went that a signal has ended: finished where its result was written before."""
    try:
        record = read_record(job.folder)
    except (OSError, ValueError):
        return outcome
    return outcome_of(record) if record.finished and record != job.previous else outcome


def outcome_of_dead(job: Job, exit_code: int | str | None) -> Outcome:
    """How a job went whose process could not say so: its record is believed, and closed where it is open still.

    Args:
        job: The job.
        exit_code: See `jobs.outcome.without_a_word`.
    """
    message = without_a_word(exit_code)
    try:
        record = read_record(job.folder)
    except (OSError, ValueError):
        return Outcome(4, kind="ProcessDied", message=message)
    if record.finished and record != job.previous:
        return outcome_of(record)
    if record.status is Status.INTERRUPTED and record != job.previous and record.failure is not None:
        return Outcome(143, kind=record.failure.kind, message=record.failure.message)
    if record.status is Status.RUNNING:
        record.status, record.ended_at = Status.FAILED, now()
        record.failure = Failure(kind="ProcessDied", message=message)
        from vision_baselines.report.hparams import write_row  # it imports TensorBoard's messages

        try:
            write_row(record, job.folder)
            record.write(job.folder)
        except OSError as error:  # no reason to end the other jobs
            log.error("could not note in %s how it ended: %s", job.folder, error.strerror)
    return Outcome(4, kind="ProcessDied", message=message)


def record_result(folder: Path) -> str:
    """The headline number of a finished run, and what speaks against it; empty where there is none."""
    try:
        record = read_record(folder)
    except (OSError, ValueError):
        return ""
    if record.status is Status.PRUNED and record.failure is not None:
        return record.failure.message
    if record.status is not Status.FINISHED:
        return ""
    return "; ".join([headline_value(record), *record.caveats])
