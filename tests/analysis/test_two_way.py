"""Intervals over runs and test images: against an analysis of variance, in closed form, at the edges."""

from __future__ import annotations

import math

import numpy as np
import pytest
from scipy import stats

from vision_baselines.analysis.two_way import _parts, difference_interval, share_interval

# Mean squares of `y ~ C(run) + C(image)` from statsmodels 0.15.0's anova_lm.
TABLE = [[0, 1, 1, 1, 0, 0], [0, 0, 0, 0, 0, 1], [0, 1, 0, 1, 0, 1], [1, 0, 1, 1, 1, 1]]
MEAN_SQUARES = {"runs": 0.4444444444444446, "images": 0.1999999999999999, "residual": 0.24444444444444444}


def made_up(rng: np.random.Generator, runs: int, images: int, share: float = 0.8) -> np.ndarray:
    return rng.random((runs, images)) < np.clip(rng.normal(share, 0.2, images), 0, 1)


def test_mean_squares_are_those_of_statsmodels_analysis_of_variance() -> None:
    parts = _parts(np.asarray(TABLE, dtype=float))

    for name, expected in MEAN_SQUARES.items():
        assert getattr(parts, name) * 24 == pytest.approx(expected)


def test_the_variance_is_that_of_the_closed_form() -> None:
    a, b = (made_up(np.random.default_rng(seed), 6, 50).astype(float) for seed in (0, 1))
    a[:3] -= 0.2  # a spread between runs, so that no component is negative
    table = a - b
    v_runs, v_images = table.mean(axis=1).var(ddof=1), table.mean(axis=0).var(ddof=1)
    rest = table - table.mean(axis=1, keepdims=True) - table.mean(axis=0) + table.mean()
    v_residual = (rest**2).sum() / (5 * 49)
    variance = v_runs / 6 + v_images / 50 - v_residual / 300
    degrees = variance**2 / ((v_runs / 6) ** 2 / 5 + (v_images / 50) ** 2 / 49 + (v_residual / 300) ** 2 / 245)

    found = difference_interval(a, b, paired=True)

    half = stats.t.ppf(0.975, degrees) * math.sqrt(variance)
    assert (found.low, found.high) == pytest.approx((table.mean() - half, table.mean() + half))
    assert found.p_value == pytest.approx(2 * stats.t.sf(abs(table.mean()) / math.sqrt(variance), degrees))
    assert 0 < found.images_part < 1


def test_without_pairs_the_luck_of_both_sides_counts() -> None:
    rng = np.random.default_rng(2)
    luck = rng.normal(0, 0.1, 8)[:, None]
    uniform = rng.random((8, 400))
    a, b = uniform < 0.80 + luck, uniform < 0.75 + luck

    with_pairs, without = (difference_interval(a, b, paired=paired) for paired in (True, False))

    assert with_pairs.mean == pytest.approx(without.mean)
    assert with_pairs.p_value < without.p_value
    assert with_pairs.high - with_pairs.low < without.high - without.low
    assert math.isfinite(difference_interval(a, b[:5], paired=False).p_value)


def test_swapping_the_sides_turns_the_sign_and_nothing_else() -> None:
    a, b = (made_up(np.random.default_rng(seed), 4, 60) for seed in (3, 4))
    for paired in (True, False):
        forth, back = difference_interval(a, b, paired=paired), difference_interval(b, a, paired=paired)
        assert (forth.low, forth.high) == pytest.approx((-back.high, -back.low))
        assert forth.p_value == pytest.approx(back.p_value)


@pytest.mark.parametrize("right", [True, False])
@pytest.mark.parametrize("runs", [1, 3, 30])
def test_a_table_of_one_answer_has_wilsons_interval_for_its_images(runs: int, right: bool) -> None:
    found = share_interval(np.full((runs, 100), right))
    expected = stats.binomtest(100 if right else 0, 100).proportion_ci(method="wilson")

    assert (found.low, found.high) == pytest.approx((expected.low, expected.high))


def test_a_single_run_has_wilsons_interval() -> None:
    correct = np.arange(360)[None] >= 12
    expected = stats.binomtest(348, 360).proportion_ci(method="wilson")

    found = share_interval(correct)

    assert (found.mean, found.low, found.high) == pytest.approx((348 / 360, expected.low, expected.high))


@pytest.mark.parametrize("runs", [2, 3, 10])
@pytest.mark.parametrize("share", [0.02, 0.5, 0.98, 0.999])
def test_a_share_stays_inside_what_it_can_be(runs: int, share: float) -> None:
    for seed in range(20):
        found = share_interval(np.random.default_rng(seed).random((runs, 60)) < share)
        assert 0 <= found.low <= found.mean <= found.high <= 1
        assert found.low < found.high


def test_runs_that_agree_on_every_image_tell_nothing_beyond_one() -> None:
    correct = np.arange(200) % 10 > 0

    one, three = share_interval(correct[None]), share_interval(np.stack([correct] * 3))

    assert (three.low, three.high) == pytest.approx((one.low, one.high), abs=1e-3)
    assert three.images_part == pytest.approx(1)


def test_sides_without_a_difference_anywhere_have_neither_interval_nor_p() -> None:
    table = made_up(np.random.default_rng(0), 3, 50)
    found = difference_interval(table, table, paired=True)

    assert found.mean == 0
    assert all(math.isnan(value) for value in (found.low, found.high, found.p_value))


@pytest.mark.parametrize(
    ("a", "b"), [((3, 5), (3, 6)), ((3, 5), (4, 5)), ((1, 5), (1, 5)), ((3, 1), (3, 1)), ((9,),) * 2]
)
def test_tables_that_do_not_fit_are_refused(a: tuple[int, ...], b: tuple[int, ...]) -> None:
    with pytest.raises(ValueError, match="expected"):
        difference_interval(np.ones(a), np.ones(b), paired=True)


@pytest.mark.parametrize("confidence", [0, 1, 95, math.nan])
def test_a_confidence_that_is_no_fraction_is_refused(confidence: float) -> None:
    with pytest.raises(ValueError, match="confidence"):
        share_interval(TABLE, confidence)
