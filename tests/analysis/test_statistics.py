"""Summaries and paired differences against scipy's own tests and hand arithmetic."""

import math
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from scipy import stats

from vision_baselines.analysis import statistics as summary_module
from vision_baselines.analysis.statistics import paired_difference, summarize


def test_summary_of_four_values_matches_hand_arithmetic() -> None:
    summary = summarize([1.0, 2.0, 3.0, 6.0])

    # Mean 3; deviations -2, -1, 0, 3; variance 14 / 3; t(0.975, df=3) = 3.182446 from a printed table.
    assert (summary.n, summary.mean, summary.median, summary.min, summary.max) == (4, 3.0, 2.5, 1.0, 6.0)
    assert summary.std == pytest.approx(math.sqrt(14 / 3))
    assert summary.ci_high - summary.mean == pytest.approx(3.182446 * math.sqrt(14 / 3) / 2, rel=1e-6)
    assert summary.mean - summary.ci_low == pytest.approx(summary.ci_high - summary.mean)


@pytest.mark.parametrize("confidence", [0.5, 0.9, 0.99])
def test_interval_matches_scipys_one_sample_t_test(confidence: float) -> None:
    values = np.random.default_rng(0).normal(0.9, 0.02, size=7)
    expected = stats.ttest_1samp(values, 0).confidence_interval(confidence)

    summary = summarize(values, confidence)

    assert (summary.ci_low, summary.ci_high) == pytest.approx((expected.low, expected.high))


def test_95_percent_intervals_hold_the_true_mean_95_percent_of_the_time() -> None:
    rng = np.random.default_rng(0)
    summaries = [summarize(rng.normal(5, 2, size=4)) for _ in range(2000)]

    # Binomial standard error 0.5 %: three of them on each side.
    assert np.mean([s.ci_low <= 5 <= s.ci_high for s in summaries]) == pytest.approx(0.95, abs=0.015)


def test_one_value_has_a_mean_and_no_spread() -> None:
    summary = summarize([0.75])

    assert (summary.n, summary.mean, summary.median) == (1, 0.75, 0.75)
    assert all(math.isnan(number) for number in (summary.std, summary.ci_low, summary.ci_high))


@pytest.mark.parametrize("values", [[], [0.5, math.nan], [0.5, math.inf]])
def test_no_values_and_values_that_are_not_finite_are_refused(values: list[float]) -> None:
    with pytest.raises(ValueError, match="expected"):
        summarize(values)


@pytest.mark.parametrize("confidence", [0, 1, 95, math.nan])
def test_a_confidence_that_is_no_fraction_is_refused(confidence: float) -> None:
    with pytest.raises(ValueError, match="confidence: expected a number between 0 and 1"):
        summarize([1.0, 2.0], confidence)
    with pytest.raises(ValueError, match="confidence: expected a number between 0 and 1"):
        paired_difference({}, {}, confidence=confidence)


@pytest.mark.parametrize("shift", [-0.05, 0.0, 0.05])
def test_paired_difference_matches_scipys_paired_t_test(shift: float) -> None:
    rng = np.random.default_rng(3)
    luck = rng.normal(0.9, 0.05, size=8)
    left, right = luck + shift + rng.normal(0, 0.01, size=8), luck + rng.normal(0, 0.01, size=8)
    expected = stats.ttest_rel(left, right)
    interval = expected.confidence_interval(0.95)

    difference = paired_difference(dict(enumerate(left)), dict(enumerate(right)))

    assert difference.p_value == pytest.approx(expected.pvalue)
    assert (difference.ci_low, difference.ci_high) == pytest.approx((interval.low, interval.high))
    assert difference.mean == pytest.approx(np.mean(left - right))
    assert difference.conclusion == {-0.05: "smaller", 0.0: "not distinguishable", 0.05: "larger"}[shift]


def test_pairs_are_made_by_key_and_the_rest_is_counted() -> None:
    difference = paired_difference({2: 5.0, 0: 1.0, 1: 3.0, 9: 100.0}, {0: 0.0, 1: 1.0, 2: 2.0, 7: -100.0})

    assert (difference.n, difference.unpaired, difference.mean) == (3, 2, 2.0)


def test_swapping_the_sides_turns_the_sign_and_nothing_else() -> None:
    a, b = {0: 1.0, 1: 2.5, 2: 4.0}, {0: 0.5, 1: 1.0, 2: 3.0}
    forth, back = paired_difference(a, b), paired_difference(b, a)

    assert (back.mean, back.ci_low, back.ci_high) == (-forth.mean, -forth.ci_high, -forth.ci_low)
    assert back.p_value == forth.p_value


def test_two_pairs_give_an_interval_and_no_conclusion() -> None:
    difference = paired_difference({0: 0.9, 1: 0.91}, {0: 0.1, 1: 0.12})

    assert difference.conclusion == "too few pairs"
    assert difference.ci_low < difference.mean < difference.ci_high


@pytest.mark.parametrize(("n", "mean"), [(0, math.nan), (1, 0.5)])
def test_fewer_pairs_give_neither(n: int, mean: float) -> None:
    difference = paired_difference(dict.fromkeys(range(n), 1.0), dict.fromkeys(range(n), 0.5))

    assert difference.conclusion == "too few pairs"
    assert difference.mean == pytest.approx(mean, nan_ok=True)
    assert math.isnan(difference.ci_low)
    assert math.isnan(difference.p_value)


def test_identical_runs_differ_by_zero_and_have_no_p_value() -> None:
    runs = {0: 0.91, 1: 0.92, 2: 0.93}
    difference = paired_difference(runs, dict(runs))

    assert (difference.mean, difference.conclusion) == (0.0, "identical")
    assert math.isnan(difference.p_value)


def test_a_constant_difference_is_no_spread_even_through_rounding() -> None:
    a = {0: 0.1, 1: 0.2, 2: 0.3, 3: 0.7}
    b = {seed: value + 0.1 for seed, value in a.items()}
    assert len({a[seed] - b[seed] for seed in a}) > 1  # Rounding leaves a spread of 1e-17.

    difference = paired_difference(a, b)

    assert difference.conclusion == "no spread"
    assert difference.mean == pytest.approx(-0.1)
    assert math.isnan(difference.p_value)


def test_a_diverged_run_is_refused_by_name() -> None:
    with pytest.raises(ValueError, match=r"b\['seed=1'\]: expected a finite number .*, got nan"):
        paired_difference({"seed=1": 0.5}, {"seed=1": math.nan})


@pytest.mark.slow
@pytest.mark.ci
def test_modules_import_without_torch() -> None:
    modules = ", ".join(
        f"vision_baselines.analysis.{name}" for name in ("statistics", "conv_arithmetic", "convolution")
    )
    code = f"import sys, {modules}; sys.exit('torch' in sys.modules)"
    source = Path(summary_module.__file__).parents[2]
    subprocess.run([sys.executable, "-c", code], check=True, timeout=60, env={**os.environ, "PYTHONPATH": str(source)})
