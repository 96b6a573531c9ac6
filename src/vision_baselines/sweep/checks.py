"""What a sweep cannot be, found in its jobs before the first one starts."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from pathlib import Path

from omegaconf import DictConfig, OmegaConf

from vision_baselines.errors import ConfigError
from vision_baselines.runs.fingerprint import key_of
from vision_baselines.sweep.distinct import first_of_each
from vision_baselines.sweep.job import Job

log = logging.getLogger(__name__)

_MOST, _MOST_SHOWN = 100_000, 10_000

# Keys that say what a sweep as a whole does.
ONE_VALUE = frozenset(
    {"preview", "list", "n_jobs", "gpus_per_job", "seeds_per_pass", "fail_fast", "comparison", "trusted_packages"}
)


def comparison_keys(config: DictConfig) -> dict[str, str]:
    """The keys that the comparison is asked to group or draw by, each with the option that names it."""
    named = {}
    for option in ("group_by", "over"):
        value = OmegaConf.select(config, f"comparison.{option}")
        for key in value if OmegaConf.is_list(value) else [value]:
            if isinstance(key, str):
                named[key] = option
    return named


def require_possible_number(jobs: int, *, is_preview: bool) -> None:
    """Refuse a sweep of more jobs than anybody waits for, and a preview of more than anybody reads.

    Every job is looked at before one is started or shown, some 300 a second.
    """
    if is_preview and jobs > _MOST_SHOWN:
        raise ConfigError(
            f"the sweep has {jobs:,} jobs, and preview=true shows each in a line; expected at most {_MOST_SHOWN:,}: "
            "preview a part of it"
        )
    if jobs > _MOST:
        raise ConfigError(f"the sweep has {jobs:,} jobs; expected at most {_MOST:,}: give it shorter lists or ranges")


def same_runs(jobs: Sequence[Job]) -> list[Job]:
    """For every job the first that is the same run, with a word on `seed=0,0`, or `optimizer.lr=1e-3,0.001`."""
    first = first_of_each(jobs, (job.fingerprint for job in jobs))
    for job, same in zip(jobs, first, strict=True):
        if job is not same:
            log.warning(
                "job %d is the same run as job %d (%s); it runs once", job.index, same.index, ", ".join(same.task)
            )
    return first


def require_one_sweep(job_overrides: Sequence[Sequence[str]]) -> None:
    """Refuse several values for what a sweep as a whole does; the last of a key that is typed twice counts."""
    values: dict[str, set[str]] = {}
    for overrides in job_overrides:
        for key, text in {key_of(text): text for text in overrides}.items():
            if key.split(".")[0] in ONE_VALUE:
                values.setdefault(key, set()).add(text.partition("=")[2])
    for key, found in values.items():
        if len(found) > 1:
            raise ConfigError(f"{key} is {', '.join(sorted(found))}; a sweep as a whole has one, so give it one value")


def require_a_beginning(jobs: Sequence[Job]) -> None:
    """Refuse jobs that share a folder, start from nothing, or from each other, which would never start."""
    by_folder: dict[Path, Job] = {}
    for job in jobs:
        if (other := by_folder.setdefault(job.folder, job)) is not job:
            raise ConfigError(
                f"jobs {other.index} and {job.index} would share the folder {job.folder.name}; leave out "
                "hydra.sweep.subdir, which names each job by its overrides"
            )
    for job in jobs:
        source = job.starts_from
        is_new = job.previous is None and job.outcome is None
        if is_new and source is not None and not source.exists() and not {source, *source.parents} & by_folder.keys():
            raise ConfigError(f"init_from is {source.name}, which is neither a job of this sweep nor there: {source}")
        chain = [job]
        while (source := chain[-1].starts_from) in by_folder:
            if by_folder[source] in chain:
                name = chain[-1].folder.name
                raise ConfigError(f"init_from makes {name} start from {source.name}, which starts from it")
            chain.append(by_folder[source])
