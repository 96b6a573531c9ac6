"""Corrections, equivalence, power, effects and the tests beside the paired one, against SciPy and statsmodels.

What is said to be statsmodels', pingouin's or autorank's was computed with them once, as they are no dependencies.
"""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats

from vision_baselines.analysis.effects import hedges_g, outperformance
from vision_baselines.analysis.equivalence import equivalence_p
from vision_baselines.analysis.multiple import corrected
from vision_baselines.analysis.other_tests import mcnemar_p, pair_correlation, welch_difference
from vision_baselines.analysis.power import detectable_difference, noncentral_t, power, runs_needed
from vision_baselines.analysis.statistics import paired_difference

A = [0.91, 0.92, 0.94, 0.90, 0.93]
B = [0.905, 0.925, 0.935, 0.90, 0.92]
probabilities = st.floats(0, 1)


def test_holm_is_that_of_statsmodels() -> None:
    p_values = [0.01, 0.04, 0.03, 0.005, 0.2]

    assert [of[0] for of in corrected([[p] for p in p_values])] == pytest.approx([0.04, 0.09, 0.09, 0.025, 0.2])


@given(st.lists(probabilities, min_size=1, max_size=12))
def test_a_correction_keeps_the_order_and_never_lowers_a_p(p_values: list[float]) -> None:
    found = [of[0] for of in corrected([[p] for p in p_values])]

    assert all(p <= q <= 1 for p, q in zip(p_values, found, strict=True))
    ordered = [found[i] for i in np.argsort(p_values, kind="stable")]
    assert ordered == sorted(ordered)


def test_a_paired_difference_is_that_of_autorank() -> None:
    # autorank 1.3.0 took these 12 pairs for normal and chose the paired t test: p = 0.002568.
    a = [0.8959, 0.9076, 0.9148, 0.9082, 0.8969, 0.9167, 0.9414, 0.9393, 0.8969, 0.8976, 0.8942, 0.9156]
    b = [0.9097, 0.8981, 0.9069, 0.8947, 0.8856, 0.909, 0.918, 0.9173, 0.8847, 0.879, 0.8893, 0.9037]

    found = paired_difference(dict(enumerate(a)), dict(enumerate(b)))

    assert found.p_value == pytest.approx(0.002568115543521562)


def test_of_two_questions_to_a_comparison_one_counts_at_a_time() -> None:
    # 2 comparisons, 4 questions: both of the first are answered before the last, so that one stands alone.
    assert corrected([[0.01, 0.02], [0.021, 0.04]]) == [pytest.approx([0.02, 0.04]), pytest.approx([0.04, 0.04])]


def test_a_question_that_was_not_tested_counts_as_none() -> None:
    [first, second] = corrected([[0.01, math.nan], [math.nan, math.nan]])

    assert first[0] == 0.01
    assert all(math.isnan(value) for value in (first[1], *second))


def test_two_one_sided_tests_are_those_of_statsmodels_and_scipy() -> None:
    differences = np.subtract(A, B)
    error = float(differences.std(ddof=1)) / math.sqrt(5)

    found = equivalence_p(float(differences.mean()), error, 4, 0.01)

    sides = [
        stats.ttest_1samp(differences, -0.01, alternative="greater"),
        stats.ttest_1samp(differences, 0.01, alternative="less"),
    ]
    assert found == pytest.approx(0.025802978905587103)
    assert found == pytest.approx(max(side.pvalue for side in sides))


def test_equal_within_the_margin_is_the_interval_of_90_percent_inside_it() -> None:
    rng = np.random.default_rng(0)
    for _ in range(200):
        values = rng.normal(0.2, 1, 6)
        result = stats.ttest_1samp(values, 0)
        interval = result.confidence_interval(0.9)
        inside = interval.low > -1 and interval.high < 1
        assert (equivalence_p(values.mean(), values.std(ddof=1) / math.sqrt(6), 5, 1.0) < 0.05) == inside


@pytest.mark.parametrize("margin", [0.0, -1.0, math.nan])
def test_a_margin_that_is_not_above_zero_is_refused(margin: float) -> None:
    with pytest.raises(ValueError, match="margin: expected a number above 0"):
        equivalence_p(0.0, 1.0, 4, margin)


@pytest.mark.parametrize(
    ("n", "level", "expected"),
    [
        (3, 0.05, 3.264043552819638),
        (5, 0.05, 1.6819970833232674),
        (10, 0.05, 0.9960019107624178),
        (30, 0.05, 0.5292357045238948),
        (10, 0.05 / 3, 1.2234701205496286),
        (30, 0.05 / 3, 0.621797171943131),
    ],
)
def test_the_detectable_difference_is_that_of_statsmodels(n: int, level: float, expected: float) -> None:
    found = detectable_difference(2.0, n, level=level)

    assert found == pytest.approx(2 * expected, rel=1e-3)
    assert power(found, 2.0, n, level) == pytest.approx(0.8, abs=1e-4)


@pytest.mark.parametrize(
    ("size", "statsmodels"), [(0.5, 33.36713118431779), (1.0, 9.93785094105438), (2.0, 4.22071858)]
)
def test_the_runs_needed_are_those_of_statsmodels(size: float, statsmodels: float) -> None:
    needed = runs_needed(size, 1.0)

    assert needed == math.ceil(statsmodels)
    assert power(size, 1.0, needed) >= 0.8 > power(size, 1.0, needed - 1)


def test_what_cannot_be_planned_has_no_number() -> None:
    assert runs_needed(0.0, 1.0) is None
    assert runs_needed(1.0, 0.0) is None
    assert runs_needed(1e-4, 1.0) is None
    assert runs_needed(10.0, 1.0) == 3
    assert math.isnan(detectable_difference(0.0, 5))
    assert math.isnan(detectable_difference(1.0, 1))


@pytest.mark.parametrize("degrees", [1, 2.5, 9, 200])
@pytest.mark.parametrize("t", [0.0, 0.7, 3.0, 12.0])
def test_the_noncentral_t_is_scipys_where_that_is_a_number(degrees: float, t: float) -> None:
    for shift in (0.0, 1.0, 4.0, 9.0):
        assert noncentral_t(t, degrees, shift) == pytest.approx(stats.nct.cdf(t, degrees, shift), abs=2e-5)
        assert noncentral_t(-t, degrees, -shift) == pytest.approx(1 - noncentral_t(t, degrees, shift), abs=1e-9)


def test_hedges_g_is_that_of_pingouin() -> None:
    # pingouin 0.7.0 takes the approximate factor 1 - 3 / (4 n - 9), here 0.90323; the exact one is 0.90275.
    assert hedges_g(A, B) == pytest.approx(0.17915834455551632, rel=1e-3)
    assert hedges_g(B, A) == -hedges_g(A, B)


def test_the_ends_of_p_a_beats_b_are_quantiles_of_the_noncentral_t() -> None:
    differences = np.subtract(A, B)
    t = stats.ttest_rel(A, B).statistic

    found = outperformance(A, B, paired=True)

    assert found.probability == pytest.approx(stats.norm.cdf(differences.mean() / differences.std(ddof=1)))
    for end, quantile in ((found.low, 0.975), (found.high, 0.025)):
        assert stats.nct.cdf(t, 4, stats.norm.ppf(end) * math.sqrt(5)) == pytest.approx(quantile, abs=2e-5)


def test_the_other_side_has_what_is_left_of_the_chance() -> None:
    for paired in (True, False):
        forth, back = outperformance(A, B, paired=paired), outperformance(B, A, paired=paired)
        assert forth.probability == pytest.approx(1 - back.probability)
        assert (forth.low, forth.high) == pytest.approx((1 - back.high, 1 - back.low), abs=1e-6)


@pytest.mark.parametrize(("a", "b"), [([1.0], [2.0]), ([1.0, 1.0, 1.0], [2.0, 2.0, 2.0])])
def test_without_spread_no_chance_is_given(a: list[float], b: list[float]) -> None:
    assert math.isnan(outperformance(a, b, paired=True).probability)
    assert math.isnan(outperformance(a, b, paired=False).probability)
    assert math.isnan(hedges_g(a, b))
    assert math.isnan(welch_difference(a, b).p_value)
    assert math.isnan(pair_correlation(a, b))


def test_welch_and_the_correlation_are_scipys() -> None:
    expected = stats.ttest_ind(A, B[:4], equal_var=False)
    interval = expected.confidence_interval(0.95)
    found = welch_difference(A, B[:4])

    assert (found.p_value, found.degrees) == pytest.approx((expected.pvalue, expected.df))
    assert (found.ci_low, found.ci_high) == pytest.approx((interval.low, interval.high))
    assert pair_correlation(A, B) == pytest.approx(stats.pearsonr(A, B).statistic)


@pytest.mark.parametrize(
    ("only_a", "only_b", "p_value"), [(8, 2, 0.109375), (59, 31, 0.0041651140158244435), (0, 0, 1.0)]
)
def test_mcnemars_exact_test_is_that_of_statsmodels(only_a: int, only_b: int, p_value: float) -> None:
    a = np.repeat([True, False, True, False], [only_a, only_b, 40, 7])
    b = np.repeat([False, True, True, False], [only_a, only_b, 40, 7])

    assert mcnemar_p(a, b) == pytest.approx(p_value)
    assert mcnemar_p(b, a) == pytest.approx(p_value)
