"""What an application adds to a sweep's jobs; without additions every job is run, and nothing is kept of it.

A launcher of this project takes such an object as its ``jobs``, by ``_target_``: so it needs nothing of what the jobs
are. Methods are called in the order in which they stand here.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Generic, TypeVar

from hydra.errors import CompactHydraException
from omegaconf import DictConfig, OmegaConf

from vision_baselines.jobs.composing import Number
from vision_baselines.jobs.console import say
from vision_baselines.jobs.cores import usable_cores
from vision_baselines.jobs.job import Job, packed
from vision_baselines.jobs.outcome import Outcome, without_a_word
from vision_baselines.jobs.signals import Interrupted
from vision_baselines.jobs.summary import last_words
from vision_baselines.text import plural, printable

J = TypeVar("J", bound=Job)


class JobsFailedError(CompactHydraException):
    """Jobs of a sweep failed, or it cannot be run; Hydra prints its one line."""


class Hooks(Generic[J]):
    """What a launcher calls while it runs the jobs of a sweep.

    Attributes:
        preload: Modules that are imported once, in the server that jobs are forked from.
        prepare: Called in a job's process with its config, before anything else; a function of a module.
        progress_logger: Name of the logger whose lines the sweep shows of a job that runs; none: nothing is shown.
        writes_traceback: Whether the traceback of what a job raises is written to its output.
        starts_early: Whether the server is started while jobs are still looked at, as soon as one is to be run.
        starts_at_once: Whether it is started before any job is looked at: it is known that jobs are to be run.
    """

    preload: Sequence[str] = ()
    prepare: Callable[[DictConfig], None] | None = None
    progress_logger: str | None = None
    writes_traceback: bool = True
    starts_early: bool = True
    starts_at_once: bool = False

    def begins(self, job_overrides: Sequence[Sequence[str]], config: DictConfig) -> None:
        """Look at the jobs' overrides; what is raised here or in `job` or `same` refuses the sweep."""
        if not job_overrides:
            raise JobsFailedError("the sweep has no job: one of its lists, ranges or globs is empty")

    def is_number_only(self, key: str) -> bool:
        """Whether a number for this key changes nothing else in a job's config: see `composing`."""
        return True

    def job(self, index: int, overrides: list[str], composed: DictConfig, varied: Collection[str] = ()) -> J:
        """The job of a composed config; with an outcome where it is not to be run.

        Args:
            index: Its number.
            overrides: As the launcher was given them.
            composed: Its config with Hydra's part.
            varied: Keys in whose numbers later jobs differ from this one: see `job_like`.
        """
        words = OmegaConf.to_container(composed.hydra.overrides.task)
        assert isinstance(words, list)
        return Job(index, overrides, packed(composed), job_folder(composed), [str(word) for word in words])  # type: ignore[return-value]

    def job_like(self, first: J, index: int, overrides: list[str], numbers: Mapping[str, Number]) -> J | None:
        """The job that differs from an earlier one in numbers alone, without its config; None: it is asked of `job`.

        The first job in which a key differs is asked of both, and this one is asked no more where they differ.

        Args:
            first: The earlier job.
            index: Number of the job.
            overrides: As the launcher was given them.
            numbers: By dotted key.
        """
        return None

    def is_same(self, made: J, job: J) -> bool:
        """Whether `job_like` has made what `job` makes, but for how its config is kept."""
        return {**vars(made), "packed_config": b""} == {**vars(job), "packed_config": b""}

    def same(self, jobs: list[J]) -> list[J]:
        """For every job the one that is run for it: itself, or an earlier one. All were looked at."""
        return jobs

    def only_shown(self, jobs: Sequence[J], config: DictConfig) -> bool:
        """Whether the jobs were shown, and are not to be run."""
        return False

    @contextmanager
    def running(self, jobs: Sequence[J], config: DictConfig) -> Iterator[None]:
        """Around all jobs, while they run."""
        yield

    def announced(self, jobs: Sequence[J], slots: int) -> str:
        """What is said of the jobs that are to be run, `slots` at a time; nothing where it is empty."""
        return f"{plural(len(jobs), 'job')}, {slots} at a time"

    def grouped(self, jobs: Sequence[J], slots: int) -> list[J]:
        """The jobs that get a process each; the others are `companions` of one of these."""
        return list(jobs)

    def starts(self, jobs: Sequence[J], config: DictConfig) -> None:
        """Called before the first process, if any is to be started."""

    def lengths(self, jobs: Sequence[J], ask: Callable[..., Any]) -> Sequence[float | None]:
        """How long each job takes, in a unit that all share, None where that is not known; the longest start first.

        Args:
            jobs: Those that are to be run.
            ask: Calls a function of a module with arguments in a process of the jobs' server; None is no answer.
        """
        return [None] * len(jobs)

    def may_start(self, job: J, unfinished: Iterable[J]) -> bool:
        """Whether it can run beside the `unfinished` ones, which wait or run; no two run in one folder anyway."""
        return True

    def environment(self, job: J, slot: int, slots: int) -> Mapping[str, str]:
        """Environment variables of a job's process.

        Args:
            job: The job.
            slot: From 0 to `slots` - 1; no two jobs that run at a time have the same.
            slots: Jobs at a time.
        """
        if "OMP_NUM_THREADS" in os.environ:
            return {}
        return {"OMP_NUM_THREADS": str(max(1, usable_cores() // slots))}

    def without_a_word(self, job: J, exit_code: int | str | None) -> Outcome:
        """How a job went whose process could not say so: its exit code, a reason, or None where nothing is known."""
        if exit_code == 0:
            return Outcome(0)
        return Outcome(4, kind="ProcessDied", message=without_a_word(exit_code))

    def after_signal(self, job: J, outcome: Outcome) -> Outcome:
        """How a job went that says a signal has ended it: by default, as it says."""
        return outcome

    def has_begun(self, job: J) -> bool:
        """Whether a job that came to no end counts as interrupted rather than as not started: by default, if it ran."""
        return job.is_started

    def result(self, job: J) -> str:
        """What is shown of a job that came to its result."""
        value = job.outcome.value if job.outcome is not None else None
        return "" if value is None else str(value)

    def meanwhile(self) -> None:
        """Called several times a second while jobs run."""

    def some_ended(self) -> None:
        """Called when at least one job is over, and those that could start in its place run."""

    def all_ended(self, jobs: Sequence[J]) -> None:
        """Say how the jobs went, however they ended; why one failed was said then, and is what is raised."""
        ended = [(job.label, job.outcome, job.is_started) for job in jobs]
        if any(outcome is None or outcome.exit_code for _, outcome, _ in ended):
            say(last_words(ended, see=self.see())[0])

    def see(self) -> str:
        """A command that shows how the jobs went; empty where there is none."""
        return ""

    def failure(self, summary: str) -> Exception:
        """What the result of a failed job raises, and the launcher at the first failure where it ends there."""
        return JobsFailedError(printable(summary))

    def interrupted(self, error: Interrupted) -> BaseException:
        """What the launcher raises when a signal has ended all jobs."""
        say(str(error))
        return SystemExit(error.exit_code)


def job_folder(composed: DictConfig) -> Path:
    """Where a job writes, by its composed config."""
    return (Path(str(composed.hydra.sweep.dir)) / str(OmegaConf.select(composed, "hydra.sweep.subdir"))).absolute()
