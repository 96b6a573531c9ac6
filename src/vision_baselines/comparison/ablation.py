"""Which run of a sweep lacks which part: the file of an ablation in the sweep's folder, and the runs sorted by it.

A run is told by its overrides alone, so that any run of the folder counts that is what the ablation would have trained,
whatever command trained it. Runs that differ in nothing but the parts are of one setting: each setting has a full run
and those that lack something. What the parts are worth is left to `part_effects`.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from pydantic import BaseModel, ConfigDict

from vision_baselines.comparison.collection import Job
from vision_baselines.comparison.formatting import one_line
from vision_baselines.comparison.grouping import Group, by_code, latest_overrides, natural_order
from vision_baselines.comparison.metric import Metric
from vision_baselines.comparison.rows import GroupRow, row_of
from vision_baselines.comparison.sweep_file import Versioned, read_sweep_file, write_sweep_file
from vision_baselines.runs.fingerprint import key_of

ABLATION_FILE = "ablation.json"
_SCHEMA_VERSION = 1
_MOST_BYTES = 2**22


class AblatedPart(BaseModel):
    """A part of something.

    Attributes:
        name: By which it is shown.
        without: The overrides of a run that lacks it.
        full: Those that the full run has of the same keys; empty where it has the defaults.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    name: str
    without: list[str]
    full: list[str] = []

    @property
    def keys(self) -> frozenset[str]:
        """The keys that it sets."""
        return frozenset(map(key_of, self.without))


class Ablation(Versioned):
    """What is left out.

    Attributes:
        parts: In the order in which they were named.
        pairs: Whether two parts at a time are left out too.
        all: Whether all parts at once are left out too.
        settings: Overrides that the runs of each setting share; other runs of the folder are of other questions.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    schema_version: int = _SCHEMA_VERSION
    parts: list[AblatedPart]
    pairs: bool = False
    all: bool = False
    settings: list[list[str]]

    @property
    def names(self) -> tuple[str, ...]:
        """Names of all parts."""
        return tuple(part.name for part in self.parts)

    @property
    def n_claims(self) -> int:
        """Effects and interactions of all settings, whatever has been run: what intervals are corrected for."""
        n = len(self.parts)
        return len(self.settings) * (n + (self.all and n > 1) + (math.comb(n, 2) if self.pairs else 0))

    def place_of(self, overrides: Sequence[str]) -> tuple[tuple[str, ...], frozenset[str]] | None:
        """The setting that a run with these overrides belongs to, chance aside, and the parts that it lacks.

        None of a run that has a value of its own for a key of a part: it is neither with it nor without.
        """
        latest = _by_key(latest_overrides(overrides).values())
        lacking = set()
        for part in self.parts:
            own = {key: latest[key] for key in part.keys if key in latest}
            if own == _by_key(part.without):
                lacking.add(part.name)
            elif own != _by_key(part.full):
                return None
        keys = frozenset().union(*(part.keys for part in self.parts))
        return tuple(text for key, text in latest.items() if key not in keys), frozenset(lacking)

    def of_jobs(self, jobs: Iterable[Sequence[str]], before: Ablation | None) -> Ablation:
        """With the settings of these jobs, given their overrides, and those of the same ablation `before`."""
        found = [place[0] for overrides in jobs if (place := self.place_of(overrides)) is not None]
        same = {"settings": self.settings}
        if before is not None and before.model_copy(update=same) == self:
            found = [*map(tuple, before.settings), *found]
        return self.model_copy(update={"settings": [list(texts) for texts in dict.fromkeys(found)]})

    def write(self, folder: Path) -> None:
        """Put it into a sweep's folder, which is made where it is not there.

        Raises:
            StorageError: The folder cannot be written.
        """
        with suppress(OSError):  # of what cannot be made the write says more
            folder.mkdir(parents=True, exist_ok=True)
        write_sweep_file(folder / ABLATION_FILE, self)


@dataclass(frozen=True, eq=False)
class Setting:
    """Runs that differ in the parts that they lack, and in chance.

    Attributes:
        label: What sets it apart from the other settings; empty where there is one.
        rows: A group for each set of parts that is lacking, by these; the empty set is the full run.
    """

    label: str
    rows: Mapping[frozenset[str], GroupRow]

    @property
    def full(self) -> GroupRow | None:
        """The runs that lack nothing."""
        return self.rows.get(frozenset())


def settings_of(ablation: Ablation, jobs: Sequence[Job], metric: Metric) -> list[Setting]:
    """The runs of an ablation, sorted by setting: all that are planned, whether they have runs or not.

    Of runs that used different code those of the newest count.
    """
    found: dict[tuple[str, ...], dict[frozenset[str], list[Job]]] = {tuple(texts): {} for texts in ablation.settings}
    for job in jobs:
        place = None if job.is_fresh else ablation.place_of(job.record.overrides)
        if place is not None and place[0] in found:
            found[place[0]].setdefault(place[1], []).append(job)
    shared = set.intersection(*map(set, found)) if len(found) > 1 else set()
    labels = {texts: ", ".join(text for text in texts if text not in shared) for texts in found}
    labels = {texts: (label or "default") if len(found) > 1 else "" for texts, label in labels.items()}
    return [
        Setting(
            labels[texts],
            {lacking: _row(labels[texts], lacking, members, metric) for lacking, members in found[texts].items()},
        )
        for texts in sorted(found, key=lambda texts: natural_order(labels[texts]))
    ]


def read_ablation(folder: Path) -> Ablation | None:
    """What was left out in a sweep; None where that was no question.

    Raises:
        StorageError: There is a file of that name that is none.
    """
    instead = "; the same command with ablate=… writes it again"
    return read_sweep_file(
        folder / ABLATION_FILE, Ablation, schema=_SCHEMA_VERSION, most_bytes=_MOST_BYTES, instead=instead
    )


def _row(setting: str, lacking: frozenset[str], jobs: Sequence[Job], metric: Metric) -> GroupRow:
    newest = tuple(sorted(by_code(jobs).get("", jobs), key=lambda job: (job.record.seed, job.place)))
    what = f"without {', '.join(sorted(lacking))}" if lacking else "full"
    return row_of(Group(f"{setting}: {what}" if setting else what, (), newest), {metric.name: metric})


def _by_key(overrides: Iterable[str]) -> dict[str, str]:
    """Overrides by key, without the mark that a key is new."""
    return {key_of(text): one_line(text).lstrip("+") for text in overrides}
