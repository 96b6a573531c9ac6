"""The corrected variance of a mean over folds, against a computation by hand and against what happens by simulation."""

from __future__ import annotations

import math

import pytest
from scipy import stats

from vision_baselines.analysis.resampling import mean_by_part, variance_of_mean
from vision_baselines.analysis.statistics import paired_difference, summarize

# Five folds, differences in points: mean 1.2, sample variance 0.7, by hand.
DIFFERENCES = [0.0, 1.0, 1.0, 2.0, 2.0]


def test_variance_of_a_mean_by_hand():
    assert variance_of_mean(DIFFERENCES) == pytest.approx(0.7 / 5)
    assert variance_of_mean(DIFFERENCES, 1 / 4) == pytest.approx(0.7 * (1 / 5 + 1 / 4))


def test_corrected_t_test_by_hand():
    found = paired_difference(dict(enumerate(DIFFERENCES)), dict.fromkeys(range(5), 0.0), test_to_train=1 / 4)
    t = 1.2 / math.sqrt(0.315)
    assert found.p_value == pytest.approx(2 * stats.t.sf(t, 4))
    assert found.ci_high - found.mean == pytest.approx(2.7764451 * math.sqrt(0.315))
    assert found.conclusion == "not distinguishable"
    assert paired_difference(dict(enumerate(DIFFERENCES)), dict.fromkeys(range(5), 0.0)).conclusion == "larger"


def test_corrected_interval_of_a_mean_by_hand():
    found = summarize(DIFFERENCES, test_to_train=1 / 4)
    assert found.ci_high - found.mean == pytest.approx(2.7764451 * math.sqrt(0.315))
    assert found.std == pytest.approx(math.sqrt(0.7))


def test_seeds_of_a_part_are_averaged_each_part_counting_once():
    values = {(0, "a"): 1.0, (1, "a"): 2.0, (2, "a"): 3.0, (0, "b"): 10.0}
    assert mean_by_part(values, lambda key: key[1]) == {"a": 2.0, "b": 10.0}
