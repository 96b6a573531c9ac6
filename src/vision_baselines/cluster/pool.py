"""Runs a sweep's jobs on a cluster as `jobs.pool.Pool` runs them on this machine, and may be killed at any moment.

What is queued or running already, by an earlier start of the same command, is followed and not submitted again. When
the submitter ends, its jobs stay with the scheduler.
"""

from __future__ import annotations

import os
import sys
import time
from collections.abc import Iterable
from contextlib import suppress
from dataclasses import replace
from typing import Any, Generic, TypeVar

from vision_baselines.cluster.job import ClusterJob
from vision_baselines.cluster.note import Submitted, read_outcome, submitted_jobs
from vision_baselines.cluster.queue import CannotAskError, Seen, State, cancel, seen
from vision_baselines.cluster.submit import Submitter
from vision_baselines.errors import ConfigError
from vision_baselines.jobs.job import Job
from vision_baselines.jobs.outcome import Outcome
from vision_baselines.jobs.pool import Jobs
from vision_baselines.jobs.signals import Interrupted
from vision_baselines.storage.lock import exclusive

J = TypeVar("J", bound=Job)

_REFRESH_S = 0.25
# How long a job that the scheduler no longer knows may be silent before it is believed to be gone: a shared file
# system may show a file a minute after it was written.
_SILENT_S = 60.0


class ClusterPool(Generic[J]):
    """The jobs that wait here, and those that the scheduler has.

    Args:
        jobs: What the pool calls.
        submitter: Submits them.
        slots: Jobs at a time that this process hands out; None: all, and the scheduler decides.
        poll_s: Seconds between two questions to the scheduler.
    """

    def __init__(self, jobs: Jobs[J], submitter: Submitter, *, slots: int | None, poll_s: float = 5.0) -> None:
        self.jobs, self.submitter, self.slots, self.poll_s = jobs, submitter, slots, poll_s
        self.sweep = submitter.sweep.absolute()
        self.waiting: list[J] = []
        self.with_scheduler: dict[J, Submitted] = {}
        self._started: set[J] = set()
        self._silent_since: dict[J, float] = {}

    def run(self, jobs: Iterable[J]) -> None:
        """Until every job has ended."""
        self.waiting = list(jobs)
        try:
            asked_at = float("-inf")
            while self.waiting or self.with_scheduler:
                self.jobs.refresh()
                if time.monotonic() - asked_at < self.poll_s:
                    time.sleep(_REFRESH_S)
                    continue
                self._hand_out()
                ended = self._look()
                asked_at = time.monotonic()
                if ended:
                    self.jobs.some_ended()
        except Interrupted as error:
            self._leave(f"left with the scheduler: {error}")
            raise
        except BaseException:
            with suppress(CannotAskError):
                cancel(self.with_scheduler.values())
            self._leave("cancelled with the sweep")
            raise

    def _leave(self, why: str) -> None:
        """End without the jobs that are still with the scheduler."""
        for job, one in self.with_scheduler.items():
            self.jobs.stopped(job, Outcome(143, kind="Interrupted", message=f"job {one.id} {why}"))
        self.with_scheduler.clear()

    def _hand_out(self) -> None:
        """Give the scheduler what may start, or what has only to wait for jobs that it has."""
        if not self.waiting:
            return
        with exclusive(self.sweep, name=".submit.lock", wait=True):
            self._find_again()
            while self.waiting and (self.slots is None or len(self.with_scheduler) < self.slots):
                batch, after = self._next_batch()
                if not batch:
                    return
                self._submit(batch, after)

    def _find_again(self) -> None:
        """Follow the jobs that an earlier start of the same command has submitted, and that have not ended."""
        before = submitted_jobs(self.sweep)
        mine = {job: before[name] for job in self.waiting if (name := self._name(job)) in before}
        try:
            known = seen(mine.values())
        except CannotAskError as error:
            raise ConfigError(f"jobs of this sweep are with the scheduler, which does not answer: {error}") from error
        for job, one in mine.items():
            found = known.get(one)
            if found is not None and found.state is not State.ENDED:
                self.waiting.remove(job)
                self.with_scheduler[job] = Submitted(one.job, one.token, one.index, one.size, found.id, one.scheduler)

    def _next_batch(self) -> tuple[list[J], list[Submitted]]:
        """Jobs that can be submitted together, and those that they have to wait for."""
        batches: dict[tuple[Submitted, ...], list[J]] = {}
        unfinished = [*self.waiting, *self.with_scheduler]
        for job in self.waiting:
            others = [other for other in unfinished if other is not job]
            sources: list[J] = []
            if not self.jobs.may_start(job, others):
                if self.slots is not None or not self.jobs.may_start(job, []):
                    continue  # somebody else trains it
                sources = [other for other in others if not self.jobs.may_start(job, [other])]
                if any(source not in self.with_scheduler for source in sources):
                    continue
            batches.setdefault(tuple(self.with_scheduler[source] for source in sources), []).append(job)
        if not batches:
            return [], []
        after, batch = next(iter(batches.items()))
        room = len(batch) if self.slots is None else self.slots - len(self.with_scheduler)
        return batch[:room], list(after)

    def _submit(self, batch: list[J], after: list[Submitted]) -> None:
        def make(position: int, token: str, index: int) -> ClusterJob:
            packed_config, folder, _, surroundings = self.jobs.arguments(batch[position], 0)
            surroundings = replace(surroundings, environment={})  # the scheduler gives a job its own
            return ClusterJob(
                packed_config, folder, surroundings, tuple(sys.argv), tuple(sys.path), os.getcwd(),  # noqa: PTH109
                str(self.submitter.place), token, index, self.submitter.wishes.max_requeues,
            )  # fmt: skip

        rows = self.submitter.submit([self._name(job) for job in batch], make, after=after)
        for job, row in zip(batch, rows, strict=True):
            self.waiting.remove(job)
            self.with_scheduler[job] = row

    def _look(self) -> bool:
        """See which jobs run and which have ended; whether any has."""
        try:
            known = seen(self.with_scheduler.values())
        except CannotAskError:
            return False  # it answers later
        ended = False
        for job, one in list(self.with_scheduler.items()):
            outcome, found = read_outcome(self.sweep, one), known.get(one)
            if outcome is None and found is not None and found.state is not State.ENDED:
                self._silent_since.pop(job, None)
                self._show(job, one, found)
                continue
            if outcome is None and (found is None or found.word in ("", "COMPLETED")):
                since = self._silent_since.setdefault(job, time.monotonic())
                if time.monotonic() - since < (_SILENT_S if one.scheduler == "slurm" else 1.0):
                    continue
            del self.with_scheduler[job]
            ended = True
            self._ended(job, one, outcome, found)
        return ended

    def _show(self, job: J, one: Submitted, found: Seen) -> None:
        if found.state is State.RUNNING and job not in self._started:
            self._started.add(job)
            self.jobs.started(job)
        if job in self._started:
            what = f"running on {found.said}" if found.state is State.RUNNING and found.said else str(found.state)
            self.jobs.progress(job, f"{what} ({one.id})")

    def _ended(self, job: J, one: Submitted, outcome: Outcome | None, found: Seen | None) -> None:
        if job not in self._started:
            self.jobs.started(job)
        if outcome is None and found is not None and found.can_go_on:
            outcome = Outcome(
                143, kind="Interrupted", message=f"{found.reason} (job {one.id}); the same command resumes it"
            )
        reason = (found.reason if found is not None else "") or "its process is gone, and said nothing"
        self.jobs.ended(job, outcome, f"{reason} (job {one.id})")

    def _name(self, job: J) -> str:
        return job.folder.relative_to(self.sweep).as_posix()


def cluster_pool(sweep: Any, submitter: Submitter, *, n_jobs: int | None, poll_s: float) -> ClusterPool[Any]:
    """A pool for a launcher; see `ClusterPool`."""
    return ClusterPool(sweep, submitter, slots=n_jobs, poll_s=poll_s)
