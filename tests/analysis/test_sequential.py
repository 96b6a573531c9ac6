"""A test that may be looked at after every round: what it decides, and how often it is wrong, by simulation.

``python -m pytest -m slow tests/analysis/test_sequential.py -o log_cli=true -o log_cli_level=INFO`` prints the figures.
"""

from __future__ import annotations

import itertools
import logging
import math

import numpy as np
import pytest
from scipy import stats

from vision_baselines.analysis.sequential import error_rate, look, look_level, look_sizes

MAX_N = 30
log = logging.getLogger(__name__)


def looked(differences, level, margin=None):
    """A look at differences from a side that is 0 for every seed."""
    pairs = dict(enumerate(differences))
    return look(pairs, dict.fromkeys(pairs, 0.0), level=level, margin=margin)


def t_statistics(differences):
    """Student's t of the first 1, 2, … pairs of each row."""
    n = np.arange(1, differences.shape[-1] + 1)
    mean = differences.cumsum(-1) / n
    squares = (differences**2).cumsum(-1) - n * mean**2
    with np.errstate(divide="ignore", invalid="ignore"):
        return np.where(squares > 1e-9, mean * np.sqrt(n * (n - 1) / squares), 0)  # equal differences decide nothing


def stops(differences, level, looks):
    """Pairs at which each row is decided, and whether as larger (1) or smaller (-1); 0 and the last look if never."""
    t = t_statistics(differences)[..., np.array(looks) - 1]
    crossed = np.abs(t) > stats.t.isf(level / 2, np.array(looks) - 1)
    first = crossed.argmax(-1)
    found = crossed.any(-1)
    sign = np.sign(np.take_along_axis(t, first[..., None], -1)[..., 0])
    return np.where(found, np.array(looks)[first], looks[-1]), np.where(found, sign, 0)


@pytest.mark.parametrize(
    ("differences", "margin", "decision"),
    [
        ([0.021, 0.024, 0.022, 0.025], None, "larger"),
        ([-0.021, -0.024, -0.022, -0.025], None, "smaller"),
        ([0.021, 0.024, 0.022, 0.025], 0.05, "equal"),  # certainly larger, and certainly by less than matters
        ([0.021, 0.024, 0.022, 0.025], 0.01, "larger"),
        ([0.001, -0.001, 0.0005, -0.0005], 0.01, "equal"),
        ([0.001, -0.001, 0.0005, -0.0005], None, "undecided"),
        ([0.3, -0.1, 0.4], 0.1, "undecided"),
        ([5.0, 5.1], None, "undecided"),  # two pairs decide nothing
        ([], None, "undecided"),
        ([0.02, 0.02, 0.02], None, "undecided"),  # nothing to divide by
        ([0.0, 0.0, 0.0], 0.1, "undecided"),
    ],
)
def test_a_look_decides_by_its_interval(differences, margin, decision):
    assert looked(differences, look_level(MAX_N), margin).decision == decision


def test_the_interval_of_a_look_is_students_at_the_level_of_a_look():
    differences = [0.1, 0.4, -0.2, 0.3]
    found, level = looked(differences, look_level(MAX_N)), look_level(MAX_N)
    low, high = stats.t.interval(1 - level, 3, np.mean(differences), stats.sem(differences))
    assert (found.n, found.mean) == (4, pytest.approx(0.15))
    assert (found.low, found.high) == (pytest.approx(low), pytest.approx(high))
    assert math.isnan(looked([1.0, 2.0], level).low)


@pytest.mark.parametrize("bad", [(2, 0.05), (0, 0.05), (-1, 0.05), (30, 0.0), (30, 1.0), (30, math.nan)])
def test_a_level_is_refused_for_what_has_none(bad):
    with pytest.raises(ValueError, match="expected max_n >= 3"):
        look_level(*bad)


def test_differences_that_are_equal_but_for_rounding_decide_nothing():
    baseline = dict(enumerate(np.float32([0.9666667, 0.9722222, 0.9638889, 0.9777778]).tolist()))
    group = {seed: float(np.float32(value + 1 / 180)) for seed, value in baseline.items()}
    found = look(group, baseline, level=look_level(MAX_N))
    assert found.decision == "undecided"
    assert math.isnan(found.low)
    assert look(group, baseline | {4: 0.96, 5: 0.97}, level=look_level(MAX_N)) == found  # without a partner


def test_more_looks_and_more_comparisons_make_each_look_stricter():
    levels = [look_level(max_n) for max_n in (3, 4, 5, 10)]
    assert levels[0] == 0.05
    assert levels == sorted(levels, reverse=True)
    assert look_level(5, 0.01) < look_level(5, 0.025) < look_level(5)


@pytest.mark.parametrize("max_n", [3, 4, 5, 8, 10, 13, 30, 100])
def test_looks_begin_with_three_grow_and_end_with_the_budget(max_n):
    sizes = look_sizes(max_n)
    assert sizes[0] == 3
    assert sizes[-1] == max_n
    assert all(before < after <= before + max(1, before // 4) for before, after in itertools.pairwise(sizes))


@pytest.mark.parametrize(("max_n", "alpha"), [(4, 0.05), (10, 0.05), (8, 0.01)])
def test_the_level_errs_as_often_as_simulated(max_n, alpha):
    rng = np.random.default_rng(max_n)
    level = look_level(max_n, alpha)
    _, decided = stops(rng.standard_normal((100_000, max_n)), level, range(3, max_n + 1))
    assert error_rate(level, max_n) == pytest.approx(alpha, rel=1e-3)
    assert abs(np.mean(decided != 0) - alpha) < 4 * math.sqrt(alpha * (1 - alpha) / 100_000)


def test_the_simulation_decides_as_a_look_does():
    rng = np.random.default_rng(0)
    level, looks = look_level(10), look_sizes(10)
    for differences in rng.standard_normal((50, 10)) + 1:
        [n], [sign] = stops(differences[None], level, looks)
        decisions = [looked(differences[:size], level).decision for size in looks]
        first = next((size for size, found in zip(looks, decisions, strict=True) if found != "undecided"), 10)
        assert (n, {0: "undecided", 1: "larger", -1: "smaller"}[sign]) == (first, decisions[looks.index(first)])


def tables(rng, repetitions, comparisons, effect=0.0, *, draw=None):
    """Differences (repetitions, comparisons, MAX_N) from one baseline, which all comparisons share, of deviation 1."""
    draw = draw or (lambda shape: rng.standard_normal(shape))
    groups = draw((repetitions, comparisons + 1, MAX_N)) / math.sqrt(2)
    return groups[:, 1:] - groups[:, :1] + effect


# Accuracies of a small test set are whole numbers of images, and luck need not be normal.
DRAWS = {
    "normal": lambda rng: rng.standard_normal,
    "rounded to images": lambda rng: lambda shape: np.round(rng.standard_normal(shape)),
    "rounded to half images": lambda rng: lambda shape: np.round(2 * rng.standard_normal(shape)),
    "skewed": lambda rng: lambda shape: rng.exponential(size=shape) - 1,
    "heavy tails": lambda rng: lambda shape: rng.standard_t(4, size=shape) / math.sqrt(2),
}


@pytest.mark.slow
@pytest.mark.parametrize("draw", DRAWS)
@pytest.mark.parametrize("comparisons", [1, 2, 5])
def test_equal_groups_are_found_different_in_at_most_five_percent_of_sweeps(comparisons, draw):
    rng, repetitions = np.random.default_rng(comparisons), 20_000
    differences = tables(rng, repetitions, comparisons, draw=DRAWS[draw](rng))
    _, decided = stops(differences, look_level(MAX_N, 0.05 / comparisons), look_sizes(MAX_N))
    errors = np.mean((decided != 0).any(1))
    log.info(f"{draw}, comparisons {comparisons}: false decisions {errors:.2%}")
    assert errors <= 0.05 + 3 * math.sqrt(0.05 * 0.95 / repetitions)


@pytest.mark.slow
@pytest.mark.parametrize("comparisons", [1, 2, 5])
def test_a_difference_as_large_as_the_margin_is_called_equal_or_the_wrong_way_round_as_rarely(comparisons):
    rng, repetitions, margin = np.random.default_rng(7), 4_000, 1.0
    level, looks = look_level(MAX_N, 0.05 / comparisons), np.array(look_sizes(MAX_N))
    differences = tables(rng, repetitions, comparisons, effect=margin)
    n = np.arange(1, MAX_N + 1)
    mean = (differences.cumsum(-1) / n)[..., looks - 1]
    half = np.abs(mean / t_statistics(differences)[..., looks - 1]) * stats.t.isf(level / 2, looks - 1)
    equal, smaller = (np.abs(mean) + half <= margin), mean + half < 0
    decided = equal | (np.abs(mean) > half)
    first = decided.argmax(-1)[..., None]
    wrong = np.take_along_axis((equal | smaller) & decided, first, -1)[..., 0].any(1)
    assert np.mean(wrong) <= 0.05 + 3 * math.sqrt(0.05 * 0.95 / repetitions)


# Pairs with which a paired t test of 5% finds the effect in 80% of cases, fixed beforehand.
FIXED = {0.5: 34, 1.0: 10, 2.0: 5}


@pytest.mark.slow
@pytest.mark.parametrize(("effect", "power", "most"), [(0.5, 0.5, 25), (1.0, 0.98, 13), (2.0, 0.999, 6.5)])
def test_large_differences_are_decided_after_few_seeds(effect, power, most):
    rng = np.random.default_rng(3)
    n, decided = stops(tables(rng, 20_000, 1, effect), look_level(MAX_N), look_sizes(MAX_N))
    log.info(
        f"effect {effect}: found {np.mean(decided == 1):.1%}, wrong way {np.mean(decided == -1):.2%}, seeds "
        f"{n.mean():.1f} (nine in ten at most {np.quantile(n, 0.9):.0f}), of 30 saved {1 - n.mean() / MAX_N:.0%}; "
        f"fixed for 80% power: {FIXED[effect]}"
    )
    assert np.mean(decided == 1) >= power
    assert n.mean() <= most
