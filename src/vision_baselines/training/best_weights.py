"""The weights that a run keeps: those that were best in validation, or those at the end of training.

They are held in memory and inside the resume state, and written once, at the end of training; small data sets improve
in nearly every epoch, and writing and flushing each time would cost more than the training.
"""

from __future__ import annotations

import logging
import math
from collections.abc import Mapping
from importlib.metadata import version
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from vision_baselines.errors import ConfigError, StorageError
from vision_baselines.storage import checkpoint_file

log = logging.getLogger(__name__)

BEST = "best.ckpt"


def kept_path(cfg: Any) -> Path:
    """Where a run of a config keeps its weights."""
    return Path(cfg.callbacks.checkpoints.dirpath) / BEST


class BestWeights:
    """Weights on the CPU, the epoch they are of (from 0), and what validation measured of them.

    Args:
        path: The file they are written to.
        monitor: Metric that decides which weights are best.
        mode: ``max`` or ``min``. Of equals, the first are kept.
        keep: ``best``, or ``last`` for the weights at the end of training, whatever validation says.
    """

    def __init__(self, path: Path, *, monitor: str, mode: str, keep: str) -> None:
        if mode not in ("max", "min"):
            raise ConfigError(f"callbacks.checkpoints.mode is {mode!r}; expected max or min")
        if keep not in ("best", "last"):
            raise ConfigError(f"checkpoint is {keep!r}; expected best or last")
        self.path, self.monitor, self.mode, self.keep = path, monitor, mode, keep
        self.epoch: int | None = None
        self.score: float | None = None
        self.weights: dict[str, Tensor] | None = None
        self.metrics: dict[str, float] = {}
        self.averaged = False

    def state_dict(self) -> dict[str, Any]:
        """All of it, under the names that checkpoint files have had from the first."""
        return {
            "best_epoch": self.epoch,
            "best_score": self.score,
            "best_weights": self.weights,
            "best_metrics": self.metrics,
            "averaged": self.averaged,
        }

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Continue from where the saved run stood; earlier versions kept no metrics."""
        self.epoch, self.score, self.weights = (state[f"best_{name}"] for name in ("epoch", "score", "weights"))
        self.metrics, self.averaged = dict(state.get("best_metrics", {})), bool(state.get("averaged", False))

    def improves(self, logged: Mapping[str, Any]) -> bool:
        """Whether the weights that validation has just measured are the best so far.

        Raises:
            ConfigError: The metric that decides is not among those `logged`.
        """
        if self.monitor not in logged:
            known = ", ".join(sorted(logged))
            raise ConfigError(f"callbacks.checkpoints.monitor is {self.monitor!r}; this run logs {known}")
        score = float(logged[self.monitor])
        if self.keep == "last" or not math.isfinite(score):
            return False
        if self.score is None:
            return True
        return score > self.score if self.mode == "max" else score < self.score

    def take(self, weights: Mapping[str, Any], *, epoch: int, logged: Mapping[str, Any]) -> None:
        """Keep weights, and what validation measured of them."""
        self.epoch, self.score, self.weights = epoch, float(logged[self.monitor]), cpu_copy(weights)
        self.metrics = {key: float(logged[key]) for key in sorted(logged) if key.startswith("val/")}

    def take_last(self, weights: Mapping[str, Any], *, epoch: int, averaged: bool) -> None:
        """Keep the weights at the end of training, of which validation has measured nothing."""
        self.epoch, self.weights = epoch, cpu_copy(weights)
        self.metrics, self.averaged = {}, averaged

    def save(self, config: Mapping[str, Any], *, step: int) -> None:
        """Write them with the run's plain `config`, so that the net can be built again from the file alone."""
        content = {
            "state_dict": self.weights,
            "config": config,
            "epoch": self.epoch,
            "global_step": step,
            "pytorch-lightning_version": version("pytorch-lightning"),
        }
        checkpoint_file.save(content, self.path)

    def rewrite_best_if_corrupt(self, config: Mapping[str, Any], *, step: int) -> None:
        """Write the file again if it is missing or damaged: a run that is resumed at its end does not write it."""
        try:
            checkpoint_file.load(self.path, checksum_needed=True)
        except StorageError as error:
            if self.weights is None:
                raise
            log.warning("%s; written again", error)
            self.save(config, step=step)


def cpu_copy(state: Mapping[str, Any]) -> dict[str, Tensor]:
    """The tensors of a state, copied to the CPU."""
    return {key: value.detach().cpu().clone() for key, value in state.items() if isinstance(value, torch.Tensor)}
