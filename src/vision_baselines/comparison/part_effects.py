"""What each part of something is worth, and whether two parts need each other: paired by seed, corrected together.

The effect of a part is metric(full) − metric(without it). The interaction of two is (full − without A) − (without B −
without both): how much more A is worth where B is there than where it is not, which is the same the other way round.
Intervals are Student's t at a share of the level (Bonferroni), so that all of a page hold at once, and a part is worth
something exactly where its interval leaves out 0. Rejected: Holm's correction, as elsewhere, which has no intervals of
its own, so that a verdict and the interval beside it could disagree.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import combinations

from vision_baselines.analysis.statistics import PairedDifference
from vision_baselines.comparison.ablation import Ablation, Setting
from vision_baselines.comparison.evidence import concluded, simultaneous
from vision_baselines.comparison.metric import Metric
from vision_baselines.comparison.repetition import Repetition, differing_test_sets
from vision_baselines.comparison.rows import GroupRow, difference_of, paired


@dataclass(frozen=True, eq=False)
class PartEffect:
    """What it is worth to have some parts.

    Attributes:
        setting: Label of the setting; empty where there is one.
        parts: One part, or all of them.
        full: The runs with them, and their difference to those without; None where no run has them all.
        without: The runs without them; None where there is none.
        family: Claims that hold at once with this one.
        low: Lower end of the interval that holds at once with all others; NaN where nothing was tested.
        high: Upper end.
        is_decided: Whether seeds were added until it was decided: the interval is that of the last look.
    """

    setting: str
    parts: tuple[str, ...]
    full: GroupRow | None
    without: GroupRow | None
    family: int = 1
    low: float = math.nan
    high: float = math.nan
    is_decided: bool = False

    @property
    def name(self) -> str:
        """What was left out."""
        return self.parts[0] if len(self.parts) == 1 else "all parts together"

    @property
    def difference(self) -> PairedDifference | None:
        """metric(full) − metric(without); None where other images were tested or runs of a side are missing."""
        return self.full.difference if self.full is not None else None

    @property
    def has_both(self) -> bool:
        """Whether there are runs with them and without them."""
        return self.full is not None and self.without is not None

    def cost(self, read: Callable[[GroupRow], float | None]) -> float | None:
        """What the parts take of a cost: that of the full run less that of the runs without them."""
        mine = read(self.full) if self.full is not None else None
        its = read(self.without) if self.without is not None else None
        return None if mine is None or its is None else mine - its


@dataclass(frozen=True, eq=False)
class Interaction:
    """How much more one part is worth where the other one is there.

    Attributes:
        setting: Label of the setting; empty where there is one.
        parts: Both.
        difference: The interaction; its p-value is corrected as those of effects are.
        there: What the first is worth where the second is there, over the same seeds.
        missing: What the first is worth where the second is left out.
        family: Claims that hold at once with this one.
        low: Lower end of the interval that holds at once with all others; NaN where nothing was tested.
        high: Upper end.
        is_decided: Whether seeds were added until something else was decided, so that it is not tested.
        reason: Why there is no difference at all: runs that are missing; empty where there is one.
    """

    setting: str
    parts: tuple[str, str]
    difference: PairedDifference
    there: float
    missing: float
    family: int = 1
    low: float = math.nan
    high: float = math.nan
    is_decided: bool = False
    reason: str = ""


_NO_DIFFERENCE = PairedDifference(0, 0, math.nan, math.nan, math.nan, math.nan, "too few pairs")


def effects_of(ablation: Ablation, settings: Sequence[Setting], metric: Metric) -> list[PartEffect]:
    """The effect of each part in each setting, not corrected; of all at once where that was asked for.

    One that no run is without is there too: it was planned, and is a claim that was not decided.
    """
    wanted: list[tuple[str, ...]] = [(name,) for name in ablation.names]
    if ablation.all and len(wanted) > 1:
        wanted.append(ablation.names)
    found = []
    for setting in settings:
        for parts in wanted:
            without, full = setting.rows.get(frozenset(parts)), setting.full
            found.append(PartEffect(setting.label, parts, full and paired(full, metric, without), without))
    return found


def interactions_of(ablation: Ablation, settings: Sequence[Setting], metric: Metric) -> list[Interaction]:
    """The interaction of each two parts in each setting, not corrected, with runs of all four kinds or without."""
    pairs = list(combinations(ablation.names, 2)) if ablation.pairs else []
    return [_interaction(setting, first, second, metric) for setting in settings for first, second in pairs]


def with_interval(effect: PartEffect, examined: GroupRow) -> PartEffect:
    """An effect as it was examined beside all other claims: the conclusion follows its corrected p-value."""
    difference, evidence = examined.difference, examined.evidence
    family = evidence.family if evidence is not None else 1
    low, high = simultaneous(difference, family) if difference is not None else (math.nan, math.nan)
    return replace(effect, full=examined, family=family, low=low, high=high)


def claimed(interaction: Interaction, family: int) -> Interaction:
    """An interaction as one of `family` claims."""
    found = interaction.difference
    if not found.is_tested:
        return interaction
    low, high = simultaneous(found, family)
    found = concluded(found, min(1.0, family * found.p_value), math.nan)
    return replace(interaction, difference=found, family=family, low=low, high=high)


def _interaction(setting: Setting, first: str, second: str, metric: Metric) -> Interaction:
    kinds: list[frozenset[str]] = [frozenset(), frozenset({first}), frozenset({second}), frozenset({first, second})]
    rows = [setting.rows.get(kind) for kind in kinds]
    full, no_first, no_second, neither = rows
    nothing = Interaction(setting.label, (first, second), _NO_DIFFERENCE, math.nan, math.nan)
    if full is None or no_first is None or no_second is None or neither is None:
        missing = ["no full run", f"no run without {first}", f"no run without {second}", "no run without both"]
        return replace(nothing, reason=next(text for text, row in zip(missing, rows, strict=True) if row is None))
    jobs = [job for row in (full, no_first, no_second, neither) for job in row.counted]
    if metric.name.startswith("test/") and differing_test_sets([tuple(jobs)]):
        return replace(nothing, reason="other test images")
    values = [row.values(metric.name) for row in (full, no_first, no_second, neither)]
    shared = [key for key in values[0] if all(key in of for of in values[1:])]
    mine, one, other, none = ([of[key] for key in shared] for of in values)
    # as sums, not as differences of differences: rounding is judged by the size of what is subtracted
    found = difference_of(_sums(shared, mine, none), _sums(shared, one, other), jobs, metric.name)
    n_all = len({key for of in values for key in of})
    if not found.over:
        found = replace(found, unpaired=n_all - len(shared))
    return Interaction(
        setting.label,
        (first, second),
        found,
        _mean_difference(mine, one),
        _mean_difference(other, none),
    )


def _sums(keys: Sequence[Repetition], a: Sequence[float], b: Sequence[float]) -> Mapping[Repetition, float]:
    return {key: left + right for key, left, right in zip(keys, a, b, strict=True)}


def _mean_difference(a: Sequence[float], b: Sequence[float]) -> float:
    return math.fsum(left - right for left, right in zip(a, b, strict=True)) / len(a) if a else math.nan
