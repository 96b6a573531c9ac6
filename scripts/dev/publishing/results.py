"""The figures of a published experiment, as docs/results/NAME.json keeps them, and what sentences may say of them.

A sentence about a difference is a claim: it names which side is larger, or says that neither can be told to be. Each
claim of an experiment has a t interval of the differences paired by seed, and all of them hold together with 95 %
(Bonferroni). A claim that its interval does not support ends the making of the page.
"""

from __future__ import annotations

import json
import math
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from statistics import fmean
from typing import Literal

from vision_baselines.analysis.statistics import PairedDifference, Summary, paired_difference, summarize
from vision_baselines.comparison import control
from vision_baselines.comparison.grouping import settings_named
from vision_baselines.comparison.metric import Metric
from vision_baselines.text import duration

LEVEL = 0.05
Side = Literal["above", "below", "undecided"]


class ClaimError(ValueError):
    """A sentence says what its figures do not."""


@dataclass(frozen=True)
class Run:
    """One run: its group, its seed, and what came out.

    `epochs` has the metrics of each epoch by number, `curves` what probes measured by layer, block or distance.
    """

    group: str
    seed: int
    metrics: Mapping[str, float]
    epochs: Sequence[Mapping[str, float]]
    parameters: int | None
    flops: int | None
    receptive_field_px: int | None
    fit_s: float
    curves: Mapping[str, Mapping[str, float]] = field(default_factory=dict)

    def value(self, metric: str, epoch: int | None = None) -> float:
        """The final figure, that at the end of an epoch, or that of a curve at a point: ``depth/activation@5``."""
        name, _, point = metric.partition("@")
        if point:
            return self.curves[name][point]
        return self.metrics[name] if epoch is None else self.epochs[epoch][name]


@dataclass(eq=False)
class Results:
    """The runs of one experiment, and the claims that were made of them so far.

    `claims` is how many there are on the whole page, where that is known: `page` renders twice to know it.
    """

    name: str
    receipt_sha256: str
    commit: str
    cpu: str
    cost_s: float
    metric: str
    runs: tuple[Run, ...]
    picture_sha256: str = ""
    test_images: int = 0
    classes: int = 0
    claims: int = 0
    made: list[tuple[str, str, str]] = field(default_factory=list)

    @property
    def seeds(self) -> int:
        """Number of seeds of the group that has fewest."""
        return min(len(self._of(label)) for label in self.groups)

    @property
    def groups(self) -> list[str]:
        """Labels of the groups, in the order of the sweep."""
        return list(dict.fromkeys(run.group for run in self.runs))

    @property
    def minutes(self) -> str:
        """How long the sweep took, in words."""
        return duration(self.cost_s)

    def mean(self, group: str, metric: str = "", *, epoch: int | None = None) -> str:
        """Mean ± standard deviation over seeds, such as ``99.17 % ± 0.28``."""
        of, found = self._summary(group, metric, epoch)
        mean, _, std = of.mean_and_std(found.mean, found.std).partition(" ± ")
        return f"{mean} {of.unit}".rstrip() + f" ± {std}"

    def bare(self, group: str, metric: str = "", *, epoch: int | None = None) -> str:
        """The same without its unit, for a column that has it in its head."""
        of, found = self._summary(group, metric, epoch)
        return of.mean_and_std(found.mean, found.std)

    def value(self, group: str, seed: int, metric: str = "") -> str:
        """The figure of one run, such as ``43.20 %``."""
        name, values = self._values(group, metric)
        if seed not in values:
            raise ClaimError(f"{self.name}: {group} has no seed {seed}; it has: {', '.join(map(str, sorted(values)))}")
        return f"{Metric(name).bare(values[seed])} {Metric(name).unit}".rstrip()

    def interval(self, group: str, metric: str = "") -> str:
        """The 95 % t interval of a group's mean, cut where the metric ends."""
        of, found = self._summary(group, metric)
        low, high = of.bounds
        return f"[{of.bare(max(found.ci_low, low))}, {of.bare(min(found.ci_high, high))}]"

    def parameters(self, group: str) -> str:
        """Number of parameters, with its commas."""
        return f"{self._same(group, 'parameters'):,}"

    def mflops(self, group: str) -> str:
        """Millions of FLOPs of one image forwards."""
        millions = self._same(group, "flops") / 1e6
        return f"{millions:.1f}" if millions >= 0.1 else f"{millions:.1g}"

    def sees(self, group: str) -> str:
        """Receptive field of the last convolution, in px."""
        return f"{self._same(group, 'receptive_field_px')} px"

    def fit_s(self, group: str) -> str:
        """Median training time, in seconds."""
        return f"{summarize([run.fit_s for run in self._of(group)]).median:.0f}"

    def against_chance(self, group: str, says: control.Side) -> str:
        """The 99.9 % interval of a group's mean as a share of the test images, if it lies to chance as is said.

        Raises:
            ClaimError: It does not.
        """
        name, values = self._values(group)
        told, low, high = control.against_chance(fmean(values.values()), self.test_images, 1 / self.classes)
        written = Metric(name).interval(low, high)
        if told != says:
            raise ClaimError(f"{self.name}: {group} is {told}, not {says}: {written}")
        return written

    def claim(
        self,
        one: str,
        other: str,
        says: Side,
        metric: str = "",
        *,
        than: str = "",
        of: str = "",
        epoch: int | None = None,
    ) -> str:
        """The difference ``one − other``, paired by seed, and its interval, if that supports what is said of it.

        Args:
            one: Settings of a group, a comma between them.
            other: Settings of another.
            says: ``above`` or ``below``: the interval leaves out zero on that side; ``undecided``: it holds zero.
            metric: What is compared; the experiment's own where nothing is said.
            than: What it is compared with of the other group, where that is another metric.
            of: Settings of two more groups, ``one/other``: the difference of both differences, an interaction.
            epoch: At the end of which epoch, from 0; the final figures where nothing is said.

        Raises:
            ClaimError: The interval says something else.
        """
        claim = (one, other, f"{metric} {than} {of} {epoch}")
        if claim not in self.made:
            self.made.append(claim)
        name, left = self._values(one, metric, epoch)
        _, right = self._values(other, than or metric, epoch)
        if of:
            if of.count("/") != 1:
                raise ClaimError(f"{self.name}: of={of!r} is not two groups with a / between them")
            (_, less), (_, more) = (self._values(group, metric, epoch) for group in of.split("/"))
            left = {seed: left[seed] - less[seed] for seed in left.keys() & less.keys()}
            right = {seed: right[seed] - more[seed] for seed in right.keys() & more.keys()}
        found = paired_difference(left, right, confidence=1 - LEVEL / max(self.claims, len(self.made)))
        if self.claims and (told := _side(found)) != says:
            what = f"{one} − {other}{f' − ({of})' if of else ''}"
            raise ClaimError(f"{self.name}: {what} is {told}, not {says}: {_difference(name, found)}")
        return _difference(name, found)

    def _of(self, group: str) -> list[Run]:
        """The runs of a group, named by its label or by settings that no other group has."""
        labels = [label for label in self.groups if label == group] or [
            label for label in self.groups if settings_named(group) <= settings_named(label)
        ]
        if len(labels) != 1:
            raise ClaimError(f"{self.name}: {group!r} is {labels or 'no group'}; there are: {'; '.join(self.groups)}")
        return [run for run in self.runs if run.group == labels[0]]

    def _values(self, group: str, metric: str = "", epoch: int | None = None) -> tuple[str, dict[int, float]]:
        name, runs = metric or self.metric, self._of(group)
        try:
            return name.partition("@")[0], {run.seed: run.value(name, epoch) for run in runs}
        except IndexError:
            last = min(len(run.epochs) for run in runs) - 1
            raise ClaimError(f"{self.name}: {group} has no epoch {epoch}; its last is {last}") from None
        except KeyError:
            known = sorted({key for run in runs for key in (*run.metrics, *(f"{c}@" for c in run.curves))})
            raise ClaimError(f"{self.name}: {group} has no {name}; it has: {', '.join(known)}") from None

    def _summary(self, group: str, metric: str, epoch: int | None = None) -> tuple[Metric, Summary]:
        name, values = self._values(group, metric, epoch)
        return Metric(name), summarize(values.values())

    def _same(self, group: str, field_name: str) -> int:
        found = {getattr(run, field_name) for run in self._of(group)}
        if len(found) != 1 or None in found:
            raise ClaimError(f"{self.name}: {group} has no one number of {field_name}: {sorted(found, key=str)}")
        return int(found.pop())


def read(path: Path) -> Results:
    """The figures of an experiment.

    Raises:
        OSError: The file cannot be read.
        ValueError: It is not what `kept` makes.
    """
    content = json.loads(path.read_text())
    try:
        runs = tuple(Run(**run) for run in content.pop("runs"))
        found = Results(name=content.pop("experiment"), runs=runs, **content)
        seen = Counter((run.group, run.seed) for run in runs)
        values = [
            value for run in runs for of in (run.metrics, *run.epochs, *run.curves.values()) for value in of.values()
        ]
        is_sound = max(seen.values()) == 1 and all(map(math.isfinite, values))
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        raise ValueError(f"it is not what is kept of an experiment: {error}") from error
    if not is_sound:
        raise ValueError("it has a run twice, or a figure that is no number")
    return found


def _difference(name: str, found: PairedDifference) -> str:
    metric = Metric(name)
    points = " points" if metric.is_share else ""
    return f"{metric.signed(found.mean)}{points} [{metric.bare(found.ci_low)}, {metric.bare(found.ci_high)}]"


def _side(found: PairedDifference) -> Side:
    if found.conclusion == "larger":
        return "above"
    return "below" if found.conclusion == "smaller" else "undecided"
