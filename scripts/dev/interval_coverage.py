"""How often the intervals and verdicts of a comparison are right, by simulation: the tables of docs/statistics.md.

Answers come from a logistic model: a run is right on an image with probability

    1 / (1 + exp(-(mean + image + run + interaction)))

where the three effects are normal. `python scripts/dev/interval_coverage.py` prints every table.
"""

from __future__ import annotations

import argparse
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import cached_property
from itertools import combinations

import numpy as np
from numpy.polynomial.hermite_e import hermegauss
from numpy.typing import NDArray
from scipy import special, stats

from vision_baselines.analysis.effects import outperformance
from vision_baselines.analysis.equivalence import equivalence_p
from vision_baselines.analysis.multiple import corrected
from vision_baselines.analysis.statistics import summarize
from vision_baselines.analysis.two_way import difference_interval, share_interval

RUNS = (3, 5, 10, 30)
IMAGES = (100, 360, 1_000, 10_000)
GROUPS = (2, 5, 10, 30)
TABLES = 2_000
_STEPS = 1 << 16


@dataclass(frozen=True)
class Task:
    """A logistic model of answers: the mean on that scale, and the standard deviations of its effects."""

    mean: float
    image: float
    run: float
    interaction: float

    @cached_property
    def share(self) -> float:
        """The share of right answers of all runs on all images."""
        nodes, weights = hermegauss(80)
        spread = np.sqrt(self.image**2 + self.run**2 + self.interaction**2)
        return float(weights @ special.expit(self.mean + spread * nodes) / weights.sum())

    def images(self, rng: np.random.Generator, count: int) -> NDArray[np.float32]:
        """The effects of some images."""
        return (self.image * rng.standard_normal(count, dtype=np.float32)).astype(np.float32)

    def answers(
        self, rng: np.random.Generator, images: NDArray[np.float32], runs: int, luck: NDArray[np.float32] | None = None
    ) -> NDArray[np.bool_]:
        """Whether each of some runs is right on the images; `luck` is a part of the runs' effects that others share."""
        of_runs = self.run * rng.standard_normal(runs) + (0 if luck is None else luck)
        drawn = self._noise[rng.integers(0, _STEPS, (runs, images.size), dtype=np.uint16)]
        return drawn < images + (self.mean + of_runs).astype(np.float32)[:, None]

    @cached_property
    def _noise(self) -> NDArray[np.float32]:
        """Quantiles of a logistic number plus the interaction: right is who draws less than his logit."""
        grid = np.linspace(-30, 30, 20_001)
        nodes, weights = hermegauss(40)
        below = special.expit(grid[:, None] + self.interaction * nodes) @ weights / weights.sum()
        return np.interp((np.arange(_STEPS) + 0.5) / _STEPS, below, grid).astype(np.float32)


TASKS = {
    "hard": Task(mean=1.5, image=1.5, run=0.15, interaction=0.5),
    "middle": Task(mean=4.0, image=2.5, run=0.2, interaction=0.7),
    "easy": Task(mean=8.0, image=3.0, run=0.3, interaction=0.5),
}
"""Shares of 0.740, 0.898 and 0.987; on the last, 100 images hold 1.3 that are answered wrongly."""


def shares(name: str, tables: int = TABLES) -> Iterator[tuple[int, int, float, float]]:
    """For runs and images: how often the interval over both, and the one over runs, hold the share of all of both."""
    task, rng = TASKS[name], np.random.default_rng(14)
    for runs in RUNS:
        for count in IMAGES:
            over_both = over_runs = 0
            for _ in range(tables):
                correct = task.answers(rng, task.images(rng, count), runs)
                both, alone = share_interval(correct), summarize(correct.mean(axis=1))
                over_both += both.low <= task.share <= both.high
                over_runs += alone.ci_low <= task.share <= alone.ci_high
            yield runs, count, over_both / tables, over_runs / tables


def differences(name: str, paired: bool, tables: int = TABLES) -> Iterator[tuple[int, int, float]]:
    """For runs and images: how often the interval of a difference over both holds the true one, which is zero.

    Two groups answer images of which half the effect is shared; with pairs, half of the runs' effect is too.
    """
    half = np.sqrt(0.5)
    task, rng = TASKS[name], np.random.default_rng(15)
    own = Task(task.mean, task.image * half, task.run * half if paired else task.run, task.interaction)
    for runs in RUNS:
        for count in IMAGES[:3]:
            held = tested = 0
            for _ in range(tables):
                image = own.images(rng, count)
                luck = (task.run * half * rng.standard_normal(runs)).astype(np.float32) if paired else None
                a, b = (own.answers(rng, image + own.images(rng, count), runs, luck) for _ in "ab")
                found = difference_interval(a, b, paired=paired)
                if np.isfinite(found.low):
                    tested += 1
                    held += found.low <= 0 <= found.high
            yield runs, count, held / tested


def seeds_on_these_images(name: str, tables: int = TABLES) -> Iterator[tuple[int, int, float, float]]:
    """For runs and images: how often an interval over runs holds the mean of all runs on these images.

    And how often there is none, as all runs are equally good.
    """
    task, rng = TASKS[name], np.random.default_rng(16)
    nodes, weights = hermegauss(60)
    spread = np.sqrt(task.run**2 + task.interaction**2)
    for runs in RUNS:
        for count in IMAGES[:2]:
            held = equal = 0
            for _ in range(tables):
                image = task.images(rng, count)
                truth = float(special.expit(task.mean + image[:, None] + spread * nodes).mean(axis=0) @ weights)
                truth /= float(weights.sum())
                found = summarize(task.answers(rng, image, runs).mean(axis=1))
                equal += found.std < 1e-9
                held += found.std >= 1e-9 and found.ci_low <= truth <= found.ci_high
            yield runs, count, held / (tables - equal), equal / tables


def family_wise(all_pairs: bool, tables: int = TABLES, runs: int = 5) -> Iterator[tuple[int, float, float]]:
    """For a number of equal groups: how often any of them is called different, without and with the correction."""
    task, rng = TASKS["middle"], np.random.default_rng(17)
    for groups in GROUPS:
        pairs = list(combinations(range(groups), 2)) if all_pairs else [(0, other) for other in range(1, groups)]
        left, right = np.array(pairs).T
        plain = held = 0
        for _ in range(tables):
            image = task.images(rng, 360)
            values = np.stack([task.answers(rng, image, runs).mean(axis=1) for _ in range(groups)])
            p_values = _paired_p(values[left] - values[right])
            plain += bool(np.nanmin(p_values) < 0.05)
            held += min(of[0] for of in corrected([[p] for p in p_values]) if np.isfinite(of[0])) < 0.05
        yield groups, plain / tables, held / tables


def family_wise_with_margin(tables: int = TABLES, runs: int = 10) -> Iterator[tuple[int, float]]:
    """For a number of groups, half equal to the baseline and half different by δ: how often anything false is said.

    False is "different" of the first half and "equal within ± δ" of the second. Runs are normal with a standard
    deviation of 1, and δ is 2, so that both questions are often answered.
    """
    rng = np.random.default_rng(18)
    for groups in GROUPS:
        truths = np.where(np.arange(groups - 1) % 2 == 0, 0.0, 2.0)
        false = 0
        for _ in range(tables):
            values = rng.normal(size=(groups, runs))
            apart = values[1:] - values[0] + truths[:, None]
            p_values = _paired_p(apart)
            errors = apart.std(axis=1, ddof=1) / np.sqrt(runs)
            equal = [equivalence_p(m, e, runs - 1, 2.0) for m, e in zip(apart.mean(axis=1), errors, strict=True)]
            found = np.array(corrected(list(zip(p_values, equal, strict=True))))
            false += bool((found[truths == 0, 0] < 0.05).any() or (found[truths > 0, 1] < 0.05).any())
        yield groups, false / tables


def chances(paired: bool, tables: int = TABLES) -> Iterator[tuple[int, float, float, float]]:
    """For runs and a true P(A > B): the mean estimate, and how often the interval holds the truth."""
    rng = np.random.default_rng(19)
    for runs in RUNS:
        for truth in (0.5, 0.75, 0.95):
            shift = float(special.ndtri(truth)) * (1 if paired else np.sqrt(1.25))
            held, total = 0, 0.0
            for _ in range(tables):
                luck = rng.normal(0, 1, runs) if paired else 0.0
                a = luck + shift + rng.normal(0, 0.6 if paired else 1.0, runs)
                b = luck + rng.normal(0, 0.8 if paired else 0.5, runs)
                found = outperformance(a, b, paired=paired)
                held += found.low <= truth <= found.high
                total += found.probability
            yield runs, truth, total / tables, held / tables


def _paired_p(values: NDArray[np.float64]) -> NDArray[np.float64]:
    """Two-sided p-values of a mean of zero along the last axis; NaN without spread."""
    spread = values.std(axis=-1, ddof=1)
    with np.errstate(divide="ignore", invalid="ignore"):
        t = values.mean(axis=-1) / spread * np.sqrt(values.shape[-1])
    return np.where(spread > 1e-9, 2 * stats.t.sf(np.abs(t), values.shape[-1] - 1), np.nan)


def _grid(found: list[tuple[int, int, str]]) -> str:
    """Cells by runs and images as Markdown."""
    columns = sorted({count for _, count, _ in found})
    lines = [["runs", *(f"{count:,} images" for count in columns)], ["---:"] * (1 + len(columns))]
    for runs in sorted({runs for runs, _, _ in found}):
        lines.append([str(runs), *(text for at, _, text in found if at == runs)])
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)


def _percent(value: float) -> str:
    return f"{100 * value:.1f}"


def tables(count: int = TABLES) -> Iterator[tuple[str, Callable[[], str]]]:
    """Every table of the page by its title, as Markdown."""
    for name, task in TASKS.items():
        yield (
            f"Share of {100 * task.share:.1f}%: over seeds and images (over seeds only)",
            lambda name=name: _grid([(s, n, f"{_percent(a)} ({_percent(b)})") for s, n, a, b in shares(name, count)]),
        )
    for paired in (True, False):
        yield (
            f"Difference over seeds and images, {'paired by seed' if paired else 'without pairs'}",
            lambda paired=paired: _grid([(s, n, _percent(a)) for s, n, a in differences("middle", paired, count)]),
        )
    yield (
        f"Share of {100 * TASKS['easy'].share:.1f}% on these images, over seeds (tables without an interval)",
        lambda: _grid(
            [(s, n, f"{_percent(a)} ({_percent(b)})") for s, n, a, b in seeds_on_these_images("easy", count)]
        ),
    )
    for all_pairs in (False, True):
        yield (
            f"Any of several equal groups called different, {'all pairs' if all_pairs else 'against a baseline'}",
            lambda all_pairs=all_pairs: "\n".join(
                ["| groups | not corrected | corrected |", "| ---: | ---: | ---: |"]
                + [f"| {k} | {_percent(a)} | {_percent(b)} |" for k, a, b in family_wise(all_pairs, count)]
            ),
        )
    yield (
        "Any false claim where differences and equivalence are tested",
        lambda: "\n".join(
            ["| groups | false |", "| ---: | ---: |"]
            + [f"| {k} | {_percent(a)} |" for k, a in family_wise_with_margin(count)]
        ),
    )
    for paired in (True, False):
        yield (
            f"P(A > B), {'paired by seed' if paired else 'without pairs'}",
            lambda paired=paired: "\n".join(
                ["| runs | true | mean estimate | interval holds it |", "| ---: | ---: | ---: | ---: |"]
                + [f"| {s} | {t:.2f} | {e:.3f} | {_percent(h)} |" for s, t, e, h in chances(paired, count)]
            ),
        )


def main() -> None:
    """Print every table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--tables", type=int, default=TABLES, help="made-up tables for each figure")
    for title, table in tables(parser.parse_args().tables):
        print(f"**{title}**\n\n{table()}\n", flush=True)


if __name__ == "__main__":
    main()
