"""How a run's training steps are taken: many at a time, together with those of its copies where it has such."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from typing import Any

import pytorch_lightning as pl

from vision_baselines.data.datamodule import ImageDataModule
from vision_baselines.jobs.together import current
from vision_baselines.passes.errors import NotInOnePassError
from vision_baselines.passes.fitness import require_config, require_net, require_task
from vision_baselines.steps.loop import ManyStepsLoop
from vision_baselines.steps.step_cost import NoProfiler
from vision_baselines.training.task_module import TaskModule

log = logging.getLogger(__name__)


def choose_loop(
    trainer: pl.Trainer, classifier: TaskModule, datamodule: ImageDataModule, config: Mapping[str, Any]
) -> None:
    """Let the trainer take its steps many at a time, together with the other runs of this process if there are any.

    Where it cannot be together, which the sweep has looked at before, the run trains by itself, before or after the
    others. Lightning's own loop stays where loading workers or a profiler are asked for.
    """
    if _joins_a_pass(trainer, classifier, config, datamodule.image_shape):
        return
    if (
        type(datamodule) is ImageDataModule
        and not datamodule.num_workers
        and type(classifier).training_step is TaskModule.training_step  # another one may log in each step
        and isinstance(trainer.profiler, NoProfiler)  # type: ignore[attr-defined]
    ):
        trainer.fit_loop.epoch_loop = ManyStepsLoop(trainer)


def _joins_a_pass(
    trainer: pl.Trainer, classifier: TaskModule, config: Mapping[str, Any], image_shape: tuple[int, ...]
) -> bool:
    member = current()
    if member is None:
        return False
    from vision_baselines.passes.loop import SharedEpochLoop

    try:
        require_config(config)
        require_task(classifier.task)
        require_net(classifier.net, image_shape)
    except NotInOnePassError as error:
        log.warning("trained by itself, not in one pass with other seeds: %s", error)
        return False
    trainer.fit_loop.epoch_loop = SharedEpochLoop(trainer, member, classifier.note_step)
    return True


def seeds_per_pass(trainer: pl.Trainer) -> int:
    """Runs whose steps are taken together with those of this trainer, its own among them."""
    return getattr(trainer.fit_loop.epoch_loop, "seeds_per_pass", 1)
