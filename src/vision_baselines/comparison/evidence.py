"""How sure a group's difference to the reference is: corrected, over other test images, and for a single run.

`rows` has a group's paired t test over seeds, which speaks of these test images. Here stand the questions beyond it,
and the correction for all comparisons that could have become a claim of the same page. docs/statistics.md says what
each number means; formulas are in `analysis`.
"""

from __future__ import annotations

import math
from collections.abc import Hashable, Iterable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, TypeVar

import numpy as np
from numpy.typing import NDArray
from scipy import stats

from vision_baselines.analysis.effects import Outperformance, hedges_g, outperformance
from vision_baselines.analysis.equivalence import equivalence_p
from vision_baselines.analysis.multiple import LEVEL, corrected
from vision_baselines.analysis.other_tests import mcnemar_p, pair_correlation, welch_difference
from vision_baselines.analysis.power import detectable_difference, runs_needed
from vision_baselines.analysis.statistics import MIN_PAIRS, PairedDifference
from vision_baselines.analysis.two_way import OverImages, difference_interval, share_interval
from vision_baselines.comparison.collection import Job
from vision_baselines.comparison.kept import kept
from vision_baselines.comparison.metric import Metric
from vision_baselines.comparison.outcomes import Outcome, correct_table, has_predictions, outcomes_of
from vision_baselines.comparison.repetition import Repetition, repetition_of
from vision_baselines.comparison.rows import GroupRow, draw_of, values_of

Key = TypeVar("Key", bound=Hashable)


@dataclass(frozen=True)
class Evidence:
    """What stands beside a paired difference; p-values are corrected unless said otherwise.

    Attributes:
        reference: Label of the group on the other side.
        family: Comparisons that could have become a claim, for which p-values are corrected.
        comparisons: Those that could have been made, where none could be tested too.
        margin: δ of the equivalence, in the metric's unit; None where none was asked for.
        equivalence_p: Of "the difference is at least δ".
        over_images: The difference for other test images too; its p-value is not corrected. None where predictions are
            missing or the metric is not a share of right answers.
        images_missing: Whether it is None though runs of a side have predictions.
        images_p: Its p-value, not below that of the difference on these images.
        correlation: Of the pairs.
        welch_p: Of Welch's test, not corrected.
        mcnemar_p: Of McNemar's exact test where each side has a single run, not corrected.
        effect: Hedges' g.
        beats: The chance that a new run is the better one.
        detectable: The smallest difference that so many pairs find with 80% power, in the metric's unit.
        wanted: The difference that `needed` is for: δ, or the one that was seen.
        needed: Pairs that find it with 80% power.
    """

    reference: str
    family: int = 1
    comparisons: int = 1
    margin: float | None = None
    equivalence_p: float = math.nan
    over_images: OverImages | None = None
    images_missing: bool = False
    images_p: float = math.nan
    correlation: float = math.nan
    welch_p: float = math.nan
    mcnemar_p: float = math.nan
    effect: float = math.nan
    beats: Outperformance | None = None
    detectable: float = math.nan
    wanted: float = math.nan
    needed: int | None = None

    def without_tests(self) -> Evidence:
        """What stays where seeds were added until the results were clear: the images' share, and the size."""
        kept = self.over_images and replace(self.over_images, low=math.nan, high=math.nan, p_value=math.nan)
        return Evidence(
            self.reference, margin=self.margin, over_images=kept, correlation=self.correlation, effect=self.effect
        )


def over_images(row: GroupRow, metric: Metric) -> OverImages | None:
    """A group's accuracy for other seeds and other test images; None below `MIN_PAIRS` seeds or without predictions."""
    return _over_images(*_answers(row, metric)) if metric.is_accuracy else None


@kept()
def _over_images(jobs: tuple[Job, ...], outcomes: tuple[Outcome | None, ...]) -> OverImages | None:
    lines = _lines(jobs, outcomes)
    if lines is None:
        return None
    table = list(_means(zip(map(draw_of(lines), lines), lines.values(), strict=True)).values())
    return share_interval(np.stack(table)) if len(table) >= MIN_PAIRS and table[0].size > 1 else None


def examined(
    rows: Sequence[GroupRow],
    references: Sequence[GroupRow | None],
    metric: Metric,
    *,
    margin: float | None,
    possible: Iterable[tuple[GroupRow, GroupRow]] = (),
    beside: int = 0,
    single_step: bool = False,
) -> list[GroupRow]:
    """Rows whose differences have their evidence, and whose conclusions follow the corrected p-values.

    Args:
        rows: Rows of all comparisons of a page.
        references: What each of them is compared with.
        metric: What is compared.
        margin: δ within which two groups count as equal, in the unit of the values; None asks for no equivalence.
        possible: Pairs of groups that could have become a claim, those of `rows` among them or not. The same runs on
            both sides are one comparison, however often it stands on the page.
        beside: Claims of the page that are none of these comparisons, such as interactions.
        single_step: See `analysis.multiple.corrected`; intervals are then those that hold at once.
    """
    found = [_evidence(row, other, metric, margin) for row, other in zip(rows, references, strict=True)]
    sides = _Sides()
    pairs = [sides.pair(row, other) for row, other in zip(rows, references, strict=True)]
    distinct = {pair: one for pair, one in zip(pairs, found, strict=True) if pair is not None and one}
    seeds = {pair: [one[1].p_value, one[0].equivalence_p] for pair, one in distinct.items()}
    images = {pair: [one[0].over_images.p_value if one[0].over_images else math.nan] for pair, one in distinct.items()}
    tested = {pair for pair, of in seeds.items() if any(map(math.isfinite, of))}
    could_be = sides.pairs(possible)
    others, comparisons = beside + len(could_be - tested), beside + len(could_be | distinct.keys())
    family = others + len(tested) if tested else 1
    of_seeds = dict(zip(seeds, corrected(list(seeds.values()), others, single_step=single_step), strict=True))
    of_images = dict(zip(images, corrected(list(images.values()), others, single_step=single_step), strict=True))
    result = []
    for row, pair, one in zip(rows, pairs, found, strict=True):
        if one is None or pair is None:
            result.append(row)
            continue
        [p_value, equal], [images_p] = of_seeds[pair], of_images[pair]
        if single_step:  # equal is what has its whole interval within the margin: two tails, not the larger of two
            equal = min(1.0, 2 * equal) if math.isfinite(equal) else equal
        # what is not sure of these images is not sure of others: few seeds can make the interval over both the shorter
        images_p = max(images_p, p_value) if math.isfinite(images_p) else images_p
        evidence = replace(one[0], equivalence_p=equal, images_p=images_p, family=family)
        evidence = replace(evidence, comparisons=comparisons)
        difference = concluded(one[1], p_value, equal)
        if single_step and difference.is_tested:  # the interval that the verdict beside it follows
            low, high = simultaneous(difference, family)
            difference = replace(difference, ci_low=low, ci_high=high)
        result.append(replace(row, difference=difference, evidence=_planned(evidence, difference)))
    return result


class _Sides:
    """Numbers for sets of runs, so that a thousand groups' half a million pairs are numbers too."""

    def __init__(self) -> None:
        self._numbers: dict[frozenset[Path], int] = {}
        self._rows: dict[int, tuple[GroupRow, int]] = {}

    def pair(self, row: GroupRow, other: GroupRow | None) -> int | None:
        """The runs that a comparison is of, whichever side is called the reference."""
        if other is None:
            return None
        [number] = self.pairs([(row, other)])
        return number

    def pairs(self, rows: Iterable[tuple[GroupRow, GroupRow]]) -> set[int]:
        """The same of many, each once."""
        known, found = self._rows, set()
        for row, other in rows:
            a = known[id(row)][1] if id(row) in known else self._number(row)
            b = known[id(other)][1] if id(other) in known else self._number(other)
            found.add(a << 32 | b if a < b else b << 32 | a)
        return found

    def _number(self, row: GroupRow) -> int:
        """That of a row's runs; the row is kept, so that no other gets its identity."""
        number = self._numbers.setdefault(_folders(row.counted), len(self._numbers))
        self._rows[id(row)] = row, number
        return number


@kept()
def _folders(jobs: tuple[Job, ...]) -> frozenset[Path]:
    return frozenset(job.folder for job in jobs)


def _evidence(
    row: GroupRow, other: GroupRow | None, metric: Metric, margin: float | None
) -> tuple[Evidence, PairedDifference] | None:
    difference = row.difference
    if other is None or difference is None:
        return None
    sides = (*_answers(row, metric), *_answers(other, metric)) if metric.is_accuracy else ((), (), (), ())
    evidence = _beside(row.counted, other.counted, difference, metric, margin, *sides)
    if evidence.images_missing:
        evidence = replace(evidence, images_missing=metric.is_accuracy and has_predictions(row, other))
    return replace(evidence, reference=other.label), difference


@kept()
def _beside(
    counted: tuple[Job, ...],
    others: tuple[Job, ...],
    difference: PairedDifference,
    metric: Metric,
    margin: float | None,
    *answers: tuple[Any, ...],
) -> Evidence:
    """What stands beside a difference, of a reference without a name.

    Args:
        counted: The runs of one side.
        others: Those of the other one.
        difference: Of both.
        metric: What is compared.
        margin: See `examined`.
        answers: Of each side as `_answers`, where the metric is a share of right answers.
    """
    mine, its = values_of(counted, metric.name), values_of(others, metric.name)
    seeds = [seed for seed in mine if seed in its]
    left, right = [mine[seed] for seed in seeds], [its[seed] for seed in seeds]
    sign = -1 if metric.lower_is_better else 1
    tables = _tables(answers, seeds, seeds)
    evidence = Evidence("", margin=margin)
    if tables is not None and len(counted) == len(others) == 1:
        evidence = replace(evidence, mcnemar_p=mcnemar_p(tables[0][0] > 0.5, tables[1][0] > 0.5))
    if margin is not None and difference.is_tested:
        found = equivalence_p(difference.mean, difference.standard_error, difference.degrees, margin)
        evidence = replace(evidence, equivalence_p=found)
    if not difference.is_paired:
        left, right = list(mine.values()), list(its.values())
        tables = _tables(answers, list(mine), list(its))
    elif len(seeds) < MIN_PAIRS or difference.over:  # what follows takes seeds, not folds
        return evidence
    paired = difference.is_paired
    return replace(
        evidence,
        over_images=difference_interval(*tables, paired=paired) if tables is not None else None,
        images_missing=tables is None,
        correlation=pair_correlation(left, right) if paired else math.nan,
        welch_p=welch_difference(list(mine.values()), list(its.values())).p_value,
        effect=hedges_g(left, right),
        beats=outperformance([sign * x for x in left], [sign * x for x in right], paired=paired)
        if difference.is_tested
        else None,
    )


def _answers(row: GroupRow, metric: Metric) -> tuple[tuple[Job, ...], tuple[Outcome | None, ...]]:
    """The runs that a group's mean of a metric is of, and what each of them got right."""
    counted = row.having(metric.name).counted
    return counted, outcomes_of(counted)


def _tables(
    answers: tuple[Any, ...], mine: Sequence[Repetition], its: Sequence[Repetition]
) -> tuple[NDArray[np.float64], NDArray[np.float64]] | None:
    """What the runs of both sides got right on the same images, a line for each of the seeds."""
    if not mine or not answers[0] or not answers[2]:
        return None
    if len({outcome and outcome.images for outcome in (*answers[1], *answers[3])}) > 1:
        return None
    left, right = _lines(*answers[:2]), _lines(*answers[2:])
    if left is None or right is None or left[mine[0]].size < 2:
        return None
    return np.stack([left[seed] for seed in mine]), np.stack([right[seed] for seed in its])


@kept(most=2)  # a group, and the reference of all: they may take much memory
def _lines(jobs: tuple[Job, ...], outcomes: tuple[Outcome | None, ...]) -> dict[Repetition, NDArray[np.float64]] | None:
    """The share of right answers to each test image by seed."""
    correct = correct_table(outcomes)
    if correct is None:
        return None
    return _means((repetition_of(job.record), line) for job, line in zip(jobs, correct.astype(np.float64), strict=True))


def _means(lines: Iterable[tuple[Key, NDArray[np.float64]]]) -> dict[Key, NDArray[np.float64]]:
    """The mean line of each key."""
    found: dict[Key, list[NDArray[np.float64]]] = {}
    for key, line in lines:
        found.setdefault(key, []).append(line)
    return {key: np.mean(of, axis=0) if len(of) > 1 else of[0] for key, of in found.items()}


def concluded(difference: PairedDifference, p_value: float, equal: float) -> PairedDifference:
    """The conclusion that the corrected p-values allow; one without a test stays as it is."""
    if not difference.is_tested:
        return difference
    difference = replace(difference, p_corrected=p_value)
    if p_value < LEVEL:
        return replace(difference, conclusion="larger" if difference.mean > 0 else "smaller")
    return replace(difference, conclusion="equal" if equal < LEVEL else "not distinguishable")


def is_better(difference: PairedDifference | None, metric: Metric) -> bool | None:
    """Whether the first side is certainly better (True) or worse than the second; None where that cannot be said."""
    if difference is None or difference.conclusion not in ("larger", "smaller"):
        return None
    return (difference.conclusion == "larger") is not metric.lower_is_better


def simultaneous(difference: PairedDifference, family: int, level: float = LEVEL) -> tuple[float, float]:
    """Student's t interval that holds at once with `family` − 1 others, in all but a share `level` of experiments.

    It leaves out 0 exactly where `family` times the p-value is below `level`. NaN where nothing was tested.

    >>> found = PairedDifference(4, 0, 1.0, 0, 0, 0.1, "not distinguishable", standard_error=0.5, degrees=3)
    >>> [round(end, 2) for end in simultaneous(found, 1)]
    [-0.59, 2.59]
    """
    if not difference.is_tested:
        return math.nan, math.nan
    half = float(stats.t.isf(level / family / 2, difference.degrees)) * difference.standard_error
    return difference.mean - half, difference.mean + half


def _planned(evidence: Evidence, difference: PairedDifference) -> Evidence:
    """What so many pairs could have found, at the level of the first of Holm's steps, and how many would find δ."""
    if not difference.is_tested or difference.over:
        return evidence
    std, level = difference.standard_error * math.sqrt(difference.n), LEVEL / evidence.family
    wanted = evidence.margin if evidence.margin is not None else abs(difference.mean)
    return replace(
        evidence,
        detectable=detectable_difference(std, difference.n, level=level),
        wanted=wanted,
        needed=runs_needed(wanted, std, level=level),
    )
