"""After a sweep, the chosen setting on seeds that chose nothing: ``comparison.fresh_seeds=3``.

The luck of a seed is in the validation split and in the test split, so that the test figure of the runs that were
chosen is a little too good for the setting (docs/statistics.md). These runs lie in `FRESH_SEEDS` below the sweep's
folder, where they are told from the runs that choose, and follow from the records alone: the same command again finds
them finished. They are no help against one test split that many sweeps have looked at.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from itertools import count, islice
from pathlib import Path
from typing import Any

from hydra.core.override_parser.overrides_parser import OverridesParser
from hydra.types import HydraContext
from omegaconf import DictConfig, OmegaConf

from vision_baselines.comparison.caveats import why_none_is_chosen
from vision_baselines.comparison.collection import Job, collect
from vision_baselines.comparison.errors import NoRecordsError, UnknownNameError
from vision_baselines.comparison.formatting import listed, plural
from vision_baselines.comparison.grouping import experiment_overrides, latest_overrides
from vision_baselines.comparison.rows import GroupRow
from vision_baselines.comparison.search import read_search
from vision_baselines.comparison.table import tabulate
from vision_baselines.config.references import override_texts
from vision_baselines.config.selection import group_keys
from vision_baselines.errors import ConfigError, TrainingError
from vision_baselines.jobs.console import say
from vision_baselines.runs.fingerprint import is_irrelevant, key_of
from vision_baselines.runs.record import FRESH_SEEDS
from vision_baselines.sweep.callback import SweepCallback
from vision_baselines.sweep.launcher import Launch, planned_job

_FOLDER = f"hydra.sweep.subdir='{FRESH_SEEDS}/${{job_name:${{hydra.overrides.task}}}}'"


def fresh_seeds(config: DictConfig) -> int:
    """How many are asked for; 0 for none."""
    return int(OmegaConf.select(config, "comparison.fresh_seeds") or 0)


def with_fresh_seeds(
    sweep: Callable[[], Any], launch: Launch, *, config: DictConfig, hydra_context: HydraContext
) -> Any:
    """What `sweep` returns, after the chosen setting was trained on fresh seeds.

    A job that failed in `sweep` is no candidate, and fails the whole at its end.

    Raises:
        TrainingError: A job failed.
        Interrupted: SIGINT or SIGTERM.
    """
    returned, failure = None, None
    try:
        returned = sweep()
    except TrainingError as error:
        if config.fail_fast:
            raise
        failure = error
    run_fresh_seeds(launch, config=config, hydra_context=hydra_context)
    if failure is not None:
        raise failure
    return returned


def run_fresh_seeds(launch: Launch, *, config: DictConfig, hydra_context: HydraContext, n: int | None = None) -> None:
    """Choose among the finished jobs of the sweep, and train what was chosen on fresh seeds.

    Args:
        launch: Runs jobs; its second argument is the number of jobs before them.
        config: The sweep's.
        hydra_context: Composes the jobs.
        n: How many seeds; None takes ``comparison.fresh_seeds``.

    Raises:
        TrainingError: One of these jobs failed.
        Interrupted: SIGINT or SIGTERM; the same command again goes on with them.
    """
    folder = Path(config.hydra.sweep.dir)
    try:
        chosen, reason = _chosen(folder, config)
    except (NoRecordsError, UnknownNameError) as error:  # said by the comparison itself
        chosen, reason = None, str(error)
    if chosen is None:
        say(f"comparison.fresh_seeds: none was trained, since no setting was chosen: {reason}")
        return
    everything = collect([folder]).jobs
    seeds = _seeds(everything, fresh_seeds(config) if n is None else n)
    jobs = _jobs(chosen, everything, seeds, config, hydra_context)
    verb = "was" if _are_finished(chosen, seeds, everything) else "is"
    say(f"{chosen.label} was chosen; it {verb} trained on seeds that chose nothing: {listed([str(s) for s in seeds])}")
    before = SweepCallback.last_words
    try:
        returned = launch(jobs, len(everything))
    finally:
        if SweepCallback.last_words is not before:  # a launcher that says something at its end
            SweepCallback.last_words = [*before, *SweepCallback.last_words]
    for job in returned:
        _ = job.return_value  # raises where the job failed


def require_a_choice(jobs: Sequence[Sequence[str]], config: DictConfig) -> None:
    """Refuse jobs that are all of one setting, where the sweep's folder has no other to choose among.

    Raises:
        ConfigError: There is nothing to choose.
    """
    try:
        records = [experiment_overrides(job.record) for job in collect([Path(config.hydra.sweep.dir)]).jobs]
    except NoRecordsError:
        records = []
    settings = [latest_overrides(job) for job in jobs] + records
    if len({tuple(found.values()) for found in settings}) == 1:
        raise ConfigError(
            f"comparison.fresh_seeds={fresh_seeds(config)} trains the setting that is chosen, and this sweep has one "
            "alone; give it several settings, or leave comparison.fresh_seeds out and add seeds"
        )


def preview(config: DictConfig) -> None:
    """Say which jobs may follow, and which of them are finished as the records are now."""
    n = fresh_seeds(config)
    text = f"up to {plural(n, 'more job')} follow{'s' if n == 1 else ''}"
    folder = Path(config.hydra.sweep.dir)
    try:
        chosen, _ = _chosen(folder, config)
    except (NoRecordsError, UnknownNameError):
        chosen = None
    text += ": what is chosen, on seeds that chose nothing (comparison.fresh_seeds)"
    if chosen is not None:
        everything = collect([folder]).jobs
        seeds = _seeds(everything, n)
        if _are_finished(chosen, seeds, everything):
            text += f"; as long as that is {chosen.label}, none does, finished: {listed([str(s) for s in seeds])}"
    say(text)


def _seeds(everything: Iterable[Job], n: int) -> list[int]:
    used = {job.record.seed for job in everything if not job.is_fresh}
    return list(islice((seed for seed in count() if seed not in used), n))


def _are_finished(chosen: GroupRow, seeds: Iterable[int], everything: Iterable[Job]) -> bool:
    """Whether each setting of the chosen group is finished on each of these seeds."""
    fresh = [job.record for job in everything if job.is_fresh and job.record.finished]
    done = {(tuple(experiment_overrides(record).values()), record.seed) for record in fresh}
    settings = {tuple(experiment_overrides(job.record).values()) for job in chosen.counted}
    return all((setting, seed) in done for setting in settings for seed in seeds)


def _chosen(folder: Path, config: DictConfig) -> tuple[GroupRow | None, str]:
    """The group that the sweep's own comparison ranks first, or why there is none."""
    options = {
        key: OmegaConf.select(config, f"comparison.{key}") for key in ("group_by", "metric", "select", "baseline")
    }
    options["group_by"] = group_keys(options["group_by"])
    table = tabulate(collect([folder]), **options, search=read_search(folder))
    ranked = table.ranked()
    if len(ranked) > 1:
        return ranked[0], ""
    return None, why_none_is_chosen(table)


def _jobs(
    chosen: GroupRow, everything: Sequence[Job], seeds: Sequence[int], config: DictConfig, hydra_context: HydraContext
) -> list[list[str]]:
    """The overrides of each job, those before it that it starts from."""
    shared = _unswept(override_texts(config.hydra.overrides.task), hydra_context)
    by_folder = {job.folder.resolve(): job for job in everything}
    found: dict[tuple[str, ...], None] = {}

    def add(job: Job, seed: int) -> None:
        own = [text for text in job.record.overrides if key_of(text) != "seed" and not is_irrelevant(key_of(text))]
        overrides = [*own, f"seed={seed}", *shared]
        if job.record.config.get("init_from"):
            original = [*own, f"seed={job.record.seed}", *shared]
            source = planned_job(0, original, config, hydra_context)[1].starts_from
            needed = [by_folder[place] for place in (source, *source.parents) if place in by_folder] if source else []
            for other in needed[:1]:
                add(other, seed)
        found.setdefault((*overrides, _FOLDER))

    for seed in seeds:
        for job in chosen.counted:
            add(job, seed)
    return [list(overrides) for overrides in found]


def _unswept(overrides: Iterable[str], hydra_context: HydraContext) -> list[str]:
    """Those of the command that make no other run, such as ``name``; what was swept has its value in each record."""
    parser = OverridesParser.create(config_loader=hydra_context.config_loader)
    kept = [text for text in overrides if is_irrelevant(key_of(text))]
    return [text for text in kept if not parser.parse_override(text).is_sweep_override()]
