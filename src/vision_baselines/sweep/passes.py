"""Which jobs of a sweep are trained in one pass: those that differ in their seed alone, where their net can be."""

from __future__ import annotations

import logging
from collections.abc import Callable, Sequence
from typing import Any

from omegaconf import DictConfig, OmegaConf

from vision_baselines.config.search_options import trial_of
from vision_baselines.config.seeds_per_pass import AUTO, can_share_steps, check_seeds_per_pass
from vision_baselines.errors import ConfigError
from vision_baselines.jobs.job import Packed
from vision_baselines.runs.fingerprint import group_name, key_of
from vision_baselines.sweep.job import Job
from vision_baselines.text import plural

log = logging.getLogger(__name__)

_MOST_BY_AUTO = 8  # more gained little where it was measured: docs/performance.md


class Passes:
    """Puts the jobs of a sweep together.

    Args:
        size: Most jobs of a pass; 1 for none; ``auto`` is as many as are worth it, by `passes.gain`.
        seeds_follow: Whether any of the jobs may be trained with further seeds later, also one that has a single seed.
    """

    def __init__(self, size: int | str, *, seeds_follow: bool = False) -> None:
        self.size, self.seeds_follow = size, seeds_follow
        self._reasons: dict[tuple[str, ...], str] = {}

    @classmethod
    def of(cls, config: DictConfig) -> Passes:
        """As the config of a sweep says it.

        Raises:
            ConfigError: It is neither a whole number from 1 nor ``auto``, or the launcher cannot do it.
        """
        size = config.get("seeds_per_pass", 1)
        check_seeds_per_pass(size)
        shares = can_share_steps(size, OmegaConf.select(config, "hydra.launcher._target_"))
        return cls(size if shares else 1, seeds_follow=bool(OmegaConf.select(config, "comparison.fresh_seeds")))

    def require(self, jobs: Sequence[Job], ask: Callable[..., Any] = lambda *_: None) -> None:
        """Look at the jobs that are to be run.

        Args:
            jobs: Those that have no outcome yet.
            ask: Calls a function in a process that has imported torch and returns its answer; None where it has none,
                and the function is called here.

        Raises:
            ConfigError: Some are asked to be trained in one pass, and cannot be.
        """
        if self.size == 1:
            return
        first = {
            setting: alike[0]
            for setting, alike in _alike(jobs).items()
            if len(alike) > 1 or (self.size != AUTO and (self.seeds_follow or trial_of(alike[0].task) is not None))
        }
        if not first:
            return
        asked = [job.packed_config for job in first.values()], self.size == AUTO
        reasons = ask(reasons_against, *asked) or reasons_against(*asked)
        for setting, reason in zip(first, reasons, strict=True):
            if reason:
                if self.size != AUTO:
                    raise ConfigError(
                        f"seeds_per_pass is {self.size}, and {group_name(setting)} cannot be trained so: {reason}; "
                        "expected 1, or auto, which trains such jobs one by one"
                    )
                self._reasons[setting] = reason

    def grouped(self, jobs: Sequence[Job], slots: int) -> list[Job]:
        """The first job of each pass, with the others as its companions, and the jobs that are run by themselves."""
        if self.size == 1:
            return list(jobs)
        leading: list[Job] = []
        for setting, alike in _alike(jobs).items():
            size = 1 if setting in self._reasons else self._size_of(len(alike), slots)
            if setting in self._reasons and len(alike) > 1:
                log.info("%s: one by one, not in one pass: %s", group_name(setting), self._reasons[setting])
            for start in range(0, len(alike), size):
                first, *others = alike[start : start + size]
                first.companions = others
                for other in others:
                    other.processes = 0  # it has no process of its own
                leading.append(first)
        return sorted(leading, key=[*jobs].index)

    def announced(self, jobs: Sequence[Job], slots: int) -> str:
        """What is said of them; nothing where none are put together."""
        most = max((len(job.members) for job in jobs), default=1)
        processes = plural(len(jobs) - sum(len(job.companions) for job in jobs), "process")
        said = f"{plural(len(jobs), 'job')} in {processes}, {slots} at a time: up to {most} seeds in one pass"
        return said if most > 1 else ""

    def _size_of(self, jobs: int, slots: int) -> int:
        """Jobs of a pass: no core is left without one."""
        return min(_MOST_BY_AUTO, -(-jobs // slots)) if self.size == AUTO else int(self.size)


def reasons_against(packed_configs: Sequence[bytes | Packed], only_faster: bool) -> list[str]:
    """`pass_fitness.reason_against` of each, in a module that a process without torch can name."""
    from vision_baselines.sweep.pass_fitness import reason_against  # it imports torch

    return [reason_against(content, only_faster=only_faster) for content in packed_configs]


def _alike(jobs: Sequence[Job]) -> dict[tuple[str, ...], list[Job]]:
    """Jobs by what was typed of them, but for their seed; each job of a search by itself, as it may end its trial."""
    found: dict[tuple[str, ...], list[Job]] = {}
    for job in jobs:
        is_trial = trial_of(job.task) is not None
        setting = tuple(sorted(text for text in job.task if is_trial or key_of(text) != "seed"))
        found.setdefault(setting, []).append(job)
    return found
