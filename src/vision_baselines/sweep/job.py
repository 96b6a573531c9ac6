"""One job of a sweep, as the sweep's own process holds it."""

from __future__ import annotations

import pickle
from dataclasses import dataclass
from pathlib import Path

from omegaconf import DictConfig

from vision_baselines.report.hparam_rows import Row
from vision_baselines.runs.record import RunRecord
from vision_baselines.sweep.outcome import Outcome


@dataclass(eq=False)
class Job:
    """One job: what to run, and how it went.

    Its config is kept pickled: as an object it takes ten times the memory, and a sweep may have thousands.
    """

    index: int
    overrides: list[str]
    task: list[str]
    pickled_config: bytes
    folder: Path
    fingerprint: str
    need_bytes: int = 0
    label: str = ""
    starts_from: Path | None = None
    previous: RunRecord | None = None
    row: Row | None = None
    is_started: bool = False
    outcome: Outcome | None = None

    @property
    def config(self) -> DictConfig:
        """Its composed config."""
        config: DictConfig = pickle.loads(self.pickled_config)
        return config
