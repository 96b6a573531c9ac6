"""Sizes of nets and numbers of training images, for a preview: found where torch is imported already."""

from __future__ import annotations

import logging
import logging.handlers
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from queue import SimpleQueue

import torch
from omegaconf import DictConfig

from vision_baselines.errors import DataError, VisionBaselinesError
from vision_baselines.jobs.job import Packed, unpacked
from vision_baselines.sweep.in_job import prepare
from vision_baselines.sweep.sizes_found import Sizes
from vision_baselines.training import build


def sizes(nets: Sequence[bytes | Packed], data: Sequence[bytes | Packed]) -> Sizes:
    """Build the net of each of the first packed configs, on no device, and read the data of each of the others.

    Called in this process, or in one of the jobs' server: what is logged is returned rather than said.
    """
    found = Sizes()
    with _kept(found.said):
        try:
            for cfg in map(_config, nets):
                with torch.device("meta"):  # shapes without memory or random numbers
                    found.parameters.append(sum(p.numel() for p in build.classifier(cfg).net.parameters()))
            for cfg in map(_config, data):
                found.lengths.append(_length(cfg))
        except VisionBaselinesError as error:
            return replace(found, refusal=error)
    return found


def _config(content: bytes | Packed) -> DictConfig:
    cfg = unpacked(content)
    if "hydra" in cfg:  # a job's; a run by itself is ready already
        prepare(cfg)
    return cfg


def _length(cfg: DictConfig) -> int | None:
    datamodule = build.datamodule(cfg)
    try:
        datamodule.setup()
    except DataError:
        return None
    assert datamodule.splits is not None
    return len(datamodule.splits.train.target)


@contextmanager
def _kept(said: list[logging.LogRecord]) -> Iterator[None]:
    """While active, what this project logs is kept in a form that can be sent, and goes nowhere else."""
    queue: SimpleQueue[logging.LogRecord] = SimpleQueue()
    handler = logging.handlers.QueueHandler(queue)
    logger = logging.getLogger("vision_baselines")
    level, propagates = logger.level, logger.propagate
    logger.addHandler(handler)
    logger.setLevel(logging.INFO)
    logger.propagate = False
    try:
        yield
    finally:
        logger.removeHandler(handler)
        logger.setLevel(level)
        logger.propagate = propagates
        while not queue.empty():
            said.append(queue.get())
