"""A run whose training steps are taken together with those of its copies, where its process has such."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from typing import Any

import pytorch_lightning as pl

from vision_baselines.jobs.together import current
from vision_baselines.passes.errors import NotInOnePassError
from vision_baselines.passes.fitness import require_config, require_net, require_task
from vision_baselines.training.task_module import TaskModule

log = logging.getLogger(__name__)


def share_steps(
    trainer: pl.Trainer, classifier: TaskModule, config: Mapping[str, Any], image_shape: tuple[int, ...]
) -> None:
    """Let the trainer take its steps together with the other runs of this process; without any it stays as it is.

    Where it cannot, which the sweep has looked at before, the run trains by itself, before or after the others.
    """
    member = current()
    if member is None:
        return
    from vision_baselines.passes.loop import SharedEpochLoop

    try:
        require_config(config)
        require_task(classifier.task)
        require_net(classifier.net, image_shape)
    except NotInOnePassError as error:
        log.warning("trained by itself, not in one pass with other seeds: %s", error)
        return
    trainer.fit_loop.epoch_loop = SharedEpochLoop(trainer, member, classifier.note_step)


def seeds_per_pass(trainer: pl.Trainer) -> int:
    """Runs whose steps are taken together with those of this trainer, its own among them."""
    return getattr(trainer.fit_loop.epoch_loop, "seeds_per_pass", 1)
