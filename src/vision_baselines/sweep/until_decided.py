"""Seeds added in rounds to the groups of a sweep that are still undecided, until all are decided or the budget ends.

Everything follows from the records, in the same order however often the sweep was interrupted: a round whose jobs are
finished is looked at again as it was looked at first. How a look decides is left to `comparison.sequential`.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from hydra.core.utils import JobReturn, JobStatus
from hydra.types import HydraContext
from omegaconf import DictConfig

from vision_baselines.analysis.sequential import look_sizes
from vision_baselines.comparison.collection import Job, collect
from vision_baselines.comparison.errors import NoRecordsError, UnknownNameError
from vision_baselines.comparison.formatting import listed, plural
from vision_baselines.comparison.grouping import Group, experiment_overrides, find_group, group_jobs, latest_overrides
from vision_baselines.comparison.metric import Metric
from vision_baselines.comparison.reference import DEFAULT_BASELINE
from vision_baselines.comparison.selection import compared_metric
from vision_baselines.comparison.sequential import Sequential, read_sequential
from vision_baselines.config.ablation import ABLATE
from vision_baselines.config.checks import AUTO
from vision_baselines.config.selection import group_keys
from vision_baselines.errors import ConfigError, TrainingError
from vision_baselines.jobs.console import say
from vision_baselines.jobs.summary import where_to_look
from vision_baselines.runs.fingerprint import AXES_OF_CHANCE, key_of
from vision_baselines.sweep.callback import SweepCallback
from vision_baselines.sweep.checks import require_one_sweep
from vision_baselines.sweep.launcher import Launch, planned_job
from vision_baselines.sweep.states import status_command
from vision_baselines.sweep.stub import stub


@dataclass(frozen=True)
class Setting:
    """What all jobs of a sweep share that differ in their seed only, and the group it belongs to.

    `needs` are the settings whose runs its own start from, seed by seed. `lacks` are the parts that are left out.
    """

    overrides: tuple[str, ...]
    experiment: Mapping[str, str]
    group: str
    needs: tuple[int, ...]
    lacks: frozenset[str] = frozenset()

    def job(self, seed: int) -> list[str]:
        """The overrides of one job."""
        return [f"seed={seed}" if key_of(text) == "seed" else text for text in self.overrides]


def run_until_decided(
    jobs: Sequence[Sequence[str]], launch: Launch, *, config: DictConfig, hydra_context: HydraContext
) -> list[Sequence[JobReturn]]:
    """Launch rounds of jobs until every group is decided against the baseline; what each round returned.

    Args:
        jobs: Overrides of each setting, with ``seed=auto``.
        launch: Runs jobs; its second argument is the number of jobs before them.
        config: The sweep's.
        hydra_context: Composes the jobs.

    Raises:
        ConfigError: The sweep cannot be run this way; nothing was started.
        TrainingError: Jobs failed; all that could be decided without them is.
    """
    require_one_sweep(jobs)
    _require_auto(jobs)
    _require_no_other_chance(jobs)
    options, folder = config.comparison, Path(config.hydra.sweep.dir)
    before = read_sequential(folder)
    try:
        settings, baseline = _settings(jobs, config, hydra_context)
    except UnknownNameError as error:
        if before is None or not before.looks:
            raise
        raise ConfigError(f"{error}; {folder} was begun with the baseline {before.baseline}") from error
    plan = Sequential.planned(
        baseline,
        _compared(settings, baseline, config),
        max_seeds=options.max_seeds,
        equivalence=options.equivalence,
        settings=[list(latest_overrides(one.overrides, ["seed"]).values()) for one in settings],
    )
    before = before or plan
    _require_same_plan(before, plan, folder)
    if before.looks and (known := _finished_jobs(folder, settings)):
        metric = compared_metric(list(map(tuple, known.values())), options.metric)
        _require_same_plan(before, plan.model_copy(update={"metric": metric.name}), folder)
    if config.preview:
        returned = launch(_round(settings, plan, range(look_sizes(plan.max_seeds)[0])), 0)
        _say_what_may_follow(plan, len(settings))
        return [returned]
    if not before.looks:
        plan.write(folder)
    results: list[Sequence[JobReturn]] = []
    words: list[Sequence[str]] = []
    sizes = look_sizes(plan.max_seeds)
    for start, size in zip([0, *sizes], sizes, strict=False):
        seeds = range(start, size)
        _say_round(settings, plan, seeds)
        results.append(launch(_round(settings, plan, seeds), sum(map(len, results))))
        if any(job.status is JobStatus.FAILED for job in results[-1]):
            words.append(SweepCallback.last_words)
        groups = _finished_jobs(folder, settings)
        metric = compared_metric(list(map(tuple, groups.values())), options.metric)
        plan = plan.looked(groups, size, metric)
        _require_same_plan(before, plan, folder)
        # looks that are taken again are kept meanwhile
        if not plan.open or before.looks[: len(plan.looks)] != plan.looks:
            plan.write(folder)
        if not plan.open or size == sizes[-1]:  # what the last look showed stands below the table that follows
            break
        _say_looks(plan, metric, size)
    _raise_failures(results, words, folder)
    return results


def _require_auto(jobs: Sequence[Sequence[str]]) -> None:
    for overrides in jobs:
        seeds = [text.partition("=")[2].strip("'\"") for text in overrides if key_of(text) == "seed"]
        if seeds != [AUTO]:
            found = f"not seed={seeds[-1]}" if seeds else "and no seed is given"
            raise ConfigError(f"hydra/sweeper=until_decided chooses the seeds itself: it needs seed={AUTO}, {found}")


def _require_no_other_chance(jobs: Sequence[Sequence[str]]) -> None:
    """Refuse several splits or folds: what differs between them is another chance than that of seeds."""
    for key in AXES_OF_CHANCE:
        found = sorted({text.partition("=")[2] for overrides in jobs for text in overrides if key_of(text) == key})
        if key != "seed" and len(found) > 1:
            raise ConfigError(
                f"{key} is {', '.join(found)}; hydra/sweeper=until_decided decides over seeds alone; give it one value"
            )


def _settings(
    jobs: Sequence[Sequence[str]], config: DictConfig, hydra_context: HydraContext
) -> tuple[list[Setting], str]:
    """Every setting with its group, and the baseline's group; each setting's first job is looked at.

    Raises:
        ConfigError: A job cannot be run, or there is no baseline or nothing beside it.
    """
    group_by, wanted = group_keys(config.comparison.group_by), config.comparison.baseline
    if "seed" in group_by:
        raise ConfigError("comparison.group_by names seed; hydra/sweeper=until_decided adds seeds to a group")
    overrides = [["seed=0" if key_of(text) == "seed" else text for text in job] for job in jobs]
    plans = [planned_job(index, job, config, hydra_context)[1] for index, job in enumerate(overrides)]
    stubs = [stub(plan) for plan in plans]
    groups = group_jobs(stubs, group_by)
    lacks = [frozenset[str]()] * len(jobs)
    if config.get(ABLATE) is not None:
        from vision_baselines.sweep.ablation import lacking

        lacks = lacking(overrides, config)
    full = _full_run(lacks, stubs, groups, config)
    if wanted is None and full is None and all(group.label != DEFAULT_BASELINE for group in groups):
        raise ConfigError(
            "hydra/sweeper=until_decided compares every group with a baseline; choose it with comparison.baseline=…, "
            f"which is one of {listed([repr(group.label) for group in groups], 10)}"
        )
    baseline = full or find_group(groups, wanted or DEFAULT_BASELINE).label
    if len(groups) < 2:
        raise ConfigError(f"{baseline} is the only group of this sweep, so there is nothing to decide")
    label = {id(job): group.label for group in groups for job in group.jobs}
    folders = {plan.folder: index for index, plan in enumerate(plans)}
    needs = [
        tuple(folders[place] for place in (plan.starts_from, *plan.starts_from.parents) if place in folders)
        if plan.starts_from
        else ()
        for plan in plans
    ]
    settings = [
        Setting(tuple(job), experiment_overrides(found.record), label[id(found)], needed, lacked)
        for job, found, needed, lacked in zip(jobs, stubs, needs, lacks, strict=True)
    ]
    return settings, baseline


def _compared(settings: Sequence[Setting], baseline: str, config: DictConfig) -> list[str]:
    """The groups that share the error and are looked at: all, but for those whose parts are compared one by one.

    Runs without two parts show whether these need each other, which is not tested: see `_followers`.
    """
    if config.get(ABLATE) is None:
        return sorted({one.group for one in settings} - {baseline})
    from vision_baselines.sweep.ablation import ablation_asked

    asked = ablation_asked(config)
    claims = asked.claims if asked is not None else []
    return sorted({one.group for one in settings if one.lacks in claims} - {baseline})


def _followers(settings: Sequence[Setting], plan: Sequential) -> set[str]:
    """Groups that no look is at: they get the seeds of a part that they lack, for as long as it gets more."""
    parts = {name for one in settings if one.group in plan.open and len(one.lacks) == 1 for name in one.lacks}
    known = {*plan.comparisons, plan.baseline}
    return {one.group for one in settings if one.group not in known and one.lacks & parts}


def _full_run(
    lacks: Sequence[frozenset[str]], stubs: Sequence[Job], groups: Sequence[Group], config: DictConfig
) -> str | None:
    """The group of the runs that lack nothing, where parts are left out; None where none are.

    Raises:
        ConfigError: There are several such groups.
    """
    if config.get(ABLATE) is None:
        return None
    full = [job for lacked, job in zip(lacks, stubs, strict=True) if not lacked]
    labels = {group.label for group in groups if any(job in group.jobs for job in full)}
    if len(labels) != 1:
        raise ConfigError(
            f"ablate makes {plural(len(full), 'full run')} of this sweep, and hydra/sweeper=until_decided compares "
            "with one; sweep over nothing else"
        )
    wanted, label = config.comparison.baseline, labels.pop()
    if wanted is not None and find_group(groups, wanted).label != label:
        raise ConfigError(f"comparison.baseline is {wanted}, and ablate compares with the full run; leave it out")
    return label


def _require_same_plan(before: Sequential, plan: Sequential, folder: Path) -> None:
    """Refuse to look by another plan at what was looked at already: more looks than planned err more often.

    Raises:
        ConfigError: What was planned otherwise.
    """
    if before.looks and (differing := before.plan_differences(plan)):
        raise ConfigError(
            f"{folder} was begun by another plan ({'; '.join(differing)}), and looking by several plans makes false "
            "decisions likelier; choose another name=…, or train a fixed number of seeds, such as seed=range(0,30)"
        )


def _round(settings: Sequence[Setting], plan: Sequential, seeds: Sequence[int]) -> list[list[str]]:
    """The jobs of a round: these seeds of the undecided groups, the baseline, and whatever their runs start from."""
    groups = {*plan.open, plan.baseline, *_followers(settings, plan)}
    chosen = {index for index, setting in enumerate(settings) if setting.group in groups}
    while more := {needed for index in chosen for needed in settings[index].needs} - chosen:
        chosen |= more
    return [settings[index].job(seed) for seed in seeds for index in sorted(chosen)]


def _finished_jobs(folder: Path, settings: Sequence[Setting]) -> dict[str, list[Job]]:
    """Jobs of this sweep in its folder, by group; what else lies there is left out."""
    groups: dict[str, list[Job]] = {}
    try:
        jobs = [job for job in collect([folder]).jobs if not job.is_fresh]
    except NoRecordsError:
        return {}
    for job in jobs:
        overrides = experiment_overrides(job.record)
        for label in {setting.group for setting in settings if setting.experiment == overrides}:
            groups.setdefault(label, []).append(job)
    return groups


def _raise_failures(results: Sequence[Sequence[JobReturn]], words: Sequence[Sequence[str]], folder: Path) -> None:
    """Say once, for all rounds, what failed.

    Args:
        results: Of each round.
        words: What the launcher said at the end of each round in which a job failed, as `last_words`.
        folder: The sweep's.

    Raises:
        TrainingError: A job failed.
    """
    jobs = [job for found in results for job in found]
    failed = [job for job in jobs if job.status is JobStatus.FAILED]
    if failed and not any(words):  # of a launcher that says it itself
        _ = failed[0].return_value
    if failed:
        n_finished = len(jobs) - len(failed)
        counts = f"{len(failed)} of {len(jobs)} jobs failed" + (f", {n_finished} finished" if n_finished else "")
        is_one = len(failed) == 1 and len(words[0]) > 1
        said = [counts, words[0][1]] if is_one else [where_to_look(counts, status_command(folder))]
        SweepCallback.last_words = said
        raise TrainingError("; ".join(said))
    if SweepCallback.last_words:  # of the last round alone
        SweepCallback.last_words = [f"{len(jobs)} of {len(jobs)} jobs finished"]


def _say_what_may_follow(plan: Sequential, n_settings: int) -> None:
    sizes = look_sizes(plan.max_seeds)
    say(
        f"The first round. {plural(len(plan.comparisons), 'comparison')} with {plan.baseline}, looked at after "
        f"{', '.join(map(str, sizes))} seeds; those that are undecided get more: at most {n_settings * sizes[-1]} "
        "jobs in all."
    )


def _say_round(settings: Sequence[Setting], plan: Sequential, seeds: range) -> None:
    which = f"seed {seeds[0]}" if len(seeds) == 1 else f"seeds {seeds[0]} to {seeds[-1]}"
    groups = [plan.baseline, *plan.open, *sorted(_followers(settings, plan))]  # whose labels hold commas
    say(f"\n{which}, of at most {plan.max_seeds}, of {listed(groups, 4, between='; ')}:")


def _say_looks(plan: Sequential, metric: Metric, seeds: int) -> None:
    for found in plan.looks:
        if found.seeds == seeds:
            say(f"  {found.in_words(plan, metric)}")
