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
from hydra.core.utils import JobReturn
from hydra.types import HydraContext
from omegaconf import DictConfig, OmegaConf
from rich.console import Console
from rich.text import Text

from vision_baselines.comparison.collection import Job, collect
from vision_baselines.comparison.errors import NoRecordsError, UnknownNameError
from vision_baselines.comparison.formatting import listed
from vision_baselines.comparison.rows import GroupRow
from vision_baselines.comparison.table import tabulate
from vision_baselines.config.references import override_texts
from vision_baselines.errors import TrainingError
from vision_baselines.runs.fingerprint import is_irrelevant, key_of
from vision_baselines.runs.record import FRESH_SEEDS
from vision_baselines.sweep.callback import SweepCallback
from vision_baselines.sweep.launcher import planned_job

Launch = Callable[[Sequence[Sequence[str]], int], Sequence[JobReturn]]

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


def run_fresh_seeds(launch: Launch, *, config: DictConfig, hydra_context: HydraContext) -> None:
    """Choose among the finished jobs of the sweep, and train what was chosen on fresh seeds.

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
        _say(f"comparison.fresh_seeds: none was trained, since no setting was chosen: {reason}")
        return
    everything = collect([folder]).jobs
    used = {job.record.seed for job in everything if not job.is_fresh}
    seeds = list(islice((seed for seed in count() if seed not in used), fresh_seeds(config)))
    jobs = _jobs(chosen, everything, seeds, config, hydra_context)
    _say(f"{chosen.label} was chosen; it is trained on seeds that chose nothing: {listed([str(s) for s in seeds])}")
    said = list(SweepCallback.last_words)
    try:
        returned = launch(jobs, len(everything))
    finally:
        SweepCallback.last_words = [*said, *SweepCallback.last_words] if said != SweepCallback.last_words else said
    for job in returned:
        _ = job.return_value  # raises where the job failed


def _say(text: str) -> None:
    Console(highlight=False, markup=False).print(Text(text), soft_wrap=True)


def _chosen(folder: Path, config: DictConfig) -> tuple[GroupRow | None, str]:
    """The group that the sweep's own comparison ranks first, or why there is none."""
    options = {
        key: OmegaConf.select(config, f"comparison.{key}") for key in ("group_by", "metric", "select", "baseline")
    }
    by = options["group_by"]
    table = tabulate(collect([folder]), **{**options, "group_by": list(by) if OmegaConf.is_list(by) else by})
    ranked = table.ranked()
    if len(ranked) > 1:
        return ranked[0], ""
    return None, table.not_ranked or f"{len(ranked)} of them can be ranked"


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
