"""Every job of a sweep is looked at before the first one starts, so that a mistake in any of them costs nothing.

Jobs that differ from an earlier one in numbers alone are made from that one: see `composing` and `Hooks.job_like`.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import TypeVar

from hydra.core.hydra_config import HydraConfig
from hydra.types import HydraContext
from omegaconf import DictConfig

from vision_baselines.jobs.composing import Composer, Place
from vision_baselines.jobs.counting import looking_at
from vision_baselines.jobs.hooks import Hooks
from vision_baselines.jobs.job import Job
from vision_baselines.jobs.pool import start_server

J = TypeVar("J", bound=Job)


def looked_at(
    job_overrides: Sequence[Sequence[str]],
    initial_job_idx: int,
    *,
    config: DictConfig,
    hydra_context: HydraContext,
    hooks: Hooks[J],
    preload: Sequence[str] | None = None,
) -> list[J]:
    """Compose every job and let the hooks look at it.

    Args:
        job_overrides: Of each job.
        initial_job_idx: Number of the first one.
        config: The sweep's.
        hydra_context: Composes the jobs.
        hooks: What the application adds.
        preload: What the server that jobs are forked from imports meanwhile; None: none is started.

    Raises:
        Exception: What the hooks refuse jobs with, or Hydra where a config cannot be composed.
    """
    hooks.begins(job_overrides, config)
    if preload is not None and hooks.starts_at_once:
        start_server(preload)
    composer = Composer(config, hydra_context, hooks.is_number_only)
    places = [composer.place(overrides) for overrides in job_overrides]
    same_shape = Counter(place.shape for place in places if place is not None)
    makes_alike = type(hooks).job_like is not Hooks.job_like  # `job` of those that do not need not take `varied`
    jobs: list[J] = []
    firsts: dict[tuple[str, ...], J] = {}
    line = looking_at(len(job_overrides))
    for offset, (overrides, place) in enumerate(zip(job_overrides, places, strict=True)):
        line.told(offset)
        index, own = initial_job_idx + offset, list(overrides)
        first = firsts.get(place.shape) if place is not None else None
        made = _made(hooks, composer, first, index, own, place) if first is not None and place is not None else None
        if made is None or place is None or not composer.is_confirmed(place):
            composed = composer.composed(index, own)
            with _current(composed):
                if makes_alike and place is not None and first is None and same_shape[place.shape] > 1:
                    job = firsts[place.shape] = hooks.job(index, own, composed, list(place.numbers))
                else:
                    job = hooks.job(index, own, composed)
            if made is not None and place is not None and not hooks.is_same(made, job):
                composer.refuse(place)
            made = job
        jobs.append(made)
        if made.outcome is None and hooks.starts_early and preload is not None:
            start_server(preload)  # it imports while the other jobs are looked at
    return jobs


def _made(hooks: Hooks[J], composer: Composer, first: J, index: int, overrides: list[str], place: Place) -> J | None:
    """The job as the hooks make it from the first of its shape; None where that is known to be wrong, or cannot be."""
    if composer.is_refused(place):
        return None
    return hooks.job_like(first, index, overrides, place.numbers)


@contextmanager
def _current(composed: DictConfig) -> Iterator[None]:
    """While active, ``${hydra:…}`` is answered from a job's config, as it will be in the job."""
    instance = HydraConfig.instance()
    before = instance.cfg
    instance.cfg = composed  # type: ignore[assignment]  # a DictConfig of it, as Hydra's own
    try:
        yield
    finally:
        instance.cfg = before
