"""One job, as the process that started it holds it."""

from __future__ import annotations

import pickle
import zlib
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Protocol

import cloudpickle
from omegaconf import DictConfig

from vision_baselines.jobs.outcome import Outcome


def packed(config: DictConfig) -> bytes:
    """A composed config in a hundredth of the memory that it takes as an object; a sweep may have thousands.

    Classes of the script itself are sent by value, as its function is (`portable`): so both know the same ones.
    """
    content = pickle.dumps(config)
    return zlib.compress(cloudpickle.dumps(config) if b"__main__" in content else content, level=1)


class Packed(Protocol):
    """A config that is kept in another way: see `composing.Renumbered`."""

    def config(self) -> DictConfig:
        """The config."""


def unpacked(content: bytes | Packed) -> DictConfig:
    """The config that was `packed`."""
    if not isinstance(content, bytes):
        return content.config()
    config: DictConfig = pickle.loads(zlib.decompress(content))
    return config


@dataclass(eq=False)
class Job:
    """One job: what to run, and how it went.

    Attributes:
        index: Its number, from 0, over all batches of a sweep.
        overrides: As the launcher was given them.
        packed_config: See `packed`; empty once the job is over.
        folder: Where it writes.
        words: What the person typed of it; those that all jobs share are left out of its label.
        need_bytes: Memory that it needs, as far as is known.
        label: What it is called.
        is_started: Whether it has had a process; in the end, of one that came to no result, whether it counts as begun.
        companions: Jobs that run in its process, together with it.
        outcome: How it went; one that it has before it is started means that it is not started.
    """

    index: int
    overrides: list[str]
    packed_config: bytes | Packed
    folder: Path
    words: list[str]
    need_bytes: int = 0
    label: str = ""
    is_started: bool = False
    companions: list[Any] = field(default_factory=list)
    outcome: Outcome | None = None

    @property
    def members(self) -> list[Any]:
        """It and its companions."""
        return [self, *self.companions]

    @property
    def config(self) -> DictConfig:
        """Its composed config."""
        return unpacked(self.packed_config)
