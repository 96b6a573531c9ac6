"""Figures per class are exact from a confusion matrix: held against scikit-learn and SciPy."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import special, stats
from sklearn.metrics import confusion_matrix, f1_score, recall_score

from vision_baselines.analysis.per_class import balanced_accuracy, largest_class_share, macro_f1, recalls
from vision_baselines.analysis.two_way import wilson_interval

labels = st.integers(2, 6).flatmap(
    lambda n: st.tuples(st.just(n), st.lists(st.tuples(st.integers(0, n - 1), st.integers(0, n - 1)), min_size=1))
)


@settings(max_examples=30)
@given(labels)
def test_recalls_and_f1_are_scikit_learns(case):
    classes, pairs = case
    true, predicted = (np.array(side) for side in zip(*pairs, strict=True))
    counts = confusion_matrix(true, predicted, labels=np.arange(classes))
    found, occurring = recalls(counts), np.unique(true)
    expected = recall_score(true, predicted, labels=range(classes), average=None, zero_division=np.nan)
    np.testing.assert_array_equal(found, expected)
    assert np.flatnonzero(np.isfinite(found)).tolist() == occurring.tolist()
    assert balanced_accuracy(counts) == pytest.approx(np.nanmean(expected))
    assert macro_f1(counts) == pytest.approx(f1_score(true, predicted, average="macro", zero_division=0))
    assert largest_class_share(counts) == pytest.approx(np.bincount(true).max() / len(true))


@pytest.mark.parametrize("empty", [None, (1, 2), (slice(None), 2)])
def test_those_of_several_runs_are_those_of_each_bit_for_bit(empty):
    counts = np.random.default_rng(5).integers(0, 40, (7, 10, 10)).astype(float)
    if empty is not None:  # a class without an image, in one run or in all
        counts[empty] = 0
        counts[..., empty[1]][empty[0]] = 0
    for of in (recalls, balanced_accuracy, macro_f1, largest_class_share):
        assert np.array_equal(of(counts), [of(one) for one in counts], equal_nan=True)


def test_without_an_image_there_is_no_figure():
    for of in (balanced_accuracy, macro_f1, largest_class_share):
        assert np.isnan(of(np.zeros((3, 3))))


@given(st.integers(1, 5000), st.floats(0, 1), st.floats(0.5, 0.999))
def test_the_interval_of_a_share_is_scipys(n, share, confidence):
    right = round(share * n)
    low, high = wilson_interval(right / n, n, special.ndtri((1 + confidence) / 2))
    expected = stats.binomtest(right, n).proportion_ci(confidence, method="wilson")
    assert (low, high) == pytest.approx((expected.low, expected.high), abs=1e-9)
    assert 0 <= low <= right / n <= high <= 1
