"""A search for settings as its sweep's folder keeps it: what was planned, every trial, and which parameters mattered.

The study itself is Optuna's journal; this is what a comparison reads of it, so that a page needs no Optuna.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Literal

from pydantic import BaseModel, ConfigDict

from vision_baselines.comparison.sweep_file import Versioned, read_sweep_file, write_sweep_file

SEARCH_FILE = "search.json"
_SCHEMA_VERSION = 1
_MOST_BYTES = 2**26

State = Literal["complete", "pruned", "failed", "running"]


class _Part(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class SearchParameter(_Part):
    """A key that is searched: its `choices`, or numbers from `low` to `high`."""

    key: str
    choices: list[str] = []
    low: float = 0
    high: float = 0
    is_log: bool = False


class SearchTrial(_Part):
    """One trial.

    Attributes:
        number: From 0, in the order that they were chosen in.
        state: How it stands.
        settings: What it sets, a text or number for each parameter.
        values: Of each objective, the mean over the seeds; of a trial that is not complete, what is known.
        seeds: The same for each seed that finished.
        folders: Of its jobs, below the sweep's.
        reason: Why it was pruned or failed.
    """

    number: int
    state: State
    settings: dict[str, str | int | float]
    values: list[float] = []
    seeds: list[list[float]] = []
    folders: list[str] = []
    reason: str = ""


class Search(_Part, Versioned):
    """A search.

    Attributes:
        objectives: What is looked for, and which end of it is better: ``max`` or ``min``.
        seeds: Of each trial.
        sampler: What chose the trials.
        sampler_seed: Its seed.
        pruner: What stopped them.
        wanted: Number of trials asked for.
        parameters: What was searched.
        trials: By number.
        importances: Share of the variance of the (first) objective that each parameter explains (fANOVA); empty where
            too few trials are complete.
    """

    schema_version: int = _SCHEMA_VERSION
    objectives: dict[str, Literal["max", "min"]]
    seeds: list[int]
    sampler: str
    sampler_seed: int
    pruner: str
    wanted: int
    parameters: list[SearchParameter]
    trials: list[SearchTrial] = []
    importances: dict[str, float] = {}

    def of_state(self, state: State) -> list[SearchTrial]:
        """The trials that stand so."""
        return [trial for trial in self.trials if trial.state == state]

    def front(self) -> list[SearchTrial]:
        """Complete trials that no other is better than in every objective: one of one objective, if there is any."""
        complete = [trial for trial in self.trials if trial.state == "complete"]
        signs = [1 if mode == "max" else -1 for mode in self.objectives.values()]
        points = {t.number: [sign * value for sign, value in zip(signs, t.values, strict=True)] for t in complete}
        front = [t for t in complete if not any(_dominates(points[o.number], points[t.number]) for o in complete)]
        return front[:1] if len(signs) == 1 else front

    def write(self, folder: Path) -> None:
        """Put it into a sweep's folder.

        Raises:
            StorageError: The folder cannot be written.
        """
        write_sweep_file(folder / SEARCH_FILE, self)


def read_search(folder: Path) -> Search | None:
    """What is in a sweep's folder; None where nothing was searched for.

    Raises:
        StorageError: There is a file of that name that is none.
    """
    return read_sweep_file(
        folder / SEARCH_FILE,
        Search,
        schema=_SCHEMA_VERSION,
        most_bytes=_MOST_BYTES,
        instead=", and the command of its search writes it again",
    )


def settings_text(settings: Mapping[str, str | int | float]) -> str:
    """A trial's settings as they would be typed.

    >>> settings_text({"optimizer.lr": 0.003162, "model.channels": "[16,32]"})
    'optimizer.lr=0.003162, model.channels=[16,32]'
    """
    return ", ".join(f"{key}={value}" for key, value in settings.items())


def _dominates(one: Sequence[float], other: Sequence[float]) -> bool:
    return all(a >= b for a, b in zip(one, other, strict=True)) and any(a > b for a, b in zip(one, other, strict=True))
