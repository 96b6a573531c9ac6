"""How a sweep's rounds are launched, and what one of its jobs would be.

The jobs are run by `vision_baselines.jobs.launch`, with `vision_baselines.sweep.hooks`.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

from hydra.core.utils import JobReturn
from hydra.types import HydraContext
from omegaconf import DictConfig

from vision_baselines.config.plan import RunPlan, planned
from vision_baselines.jobs.hooks import job_folder
from vision_baselines.jobs.launch import composed_job

# Runs jobs, given their overrides, after so many before them.
Launch = Callable[[Sequence[Sequence[str]], int], Sequence[JobReturn]]


def planned_job(
    index: int, overrides: list[str], config: DictConfig, hydra_context: HydraContext
) -> tuple[DictConfig, RunPlan]:
    """A job's config with Hydra's part, and what its folder calls for.

    Raises:
        ConfigError: It cannot be run.
    """
    composed = composed_job(index, overrides, config, hydra_context)
    return composed, planned(composed, job_folder(composed))
