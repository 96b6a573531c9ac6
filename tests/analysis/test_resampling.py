"""The corrected variance of a mean over folds, against a computation by hand and against what happens by simulation."""

from __future__ import annotations

import logging
import math

import numpy as np
import pytest
from scipy import stats

from vision_baselines.analysis.resampling import mean_by_part, variance_of_mean
from vision_baselines.analysis.statistics import paired_difference, summarize
from vision_baselines.data.folds import fold_numbers

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


# Two learners that are equally good: ridge on random features, each drawn by the seed, of one or the other half of the
# inputs, which say equally much. 200 made-up images a data set, 2,000 others to know the truth by.
N, INPUTS, FEATURES = 200, 10, 15


def accuracy(x, y, train, test, weights):
    """Of ridge on random features, for each seed: (seeds,)."""
    hidden = np.maximum(x @ weights, 0)
    a, b = hidden[:, train], y[train]
    gram = a.transpose(0, 2, 1) @ a + np.eye(FEATURES)
    solved = np.linalg.solve(gram, (a.transpose(0, 2, 1) @ b)[..., None])
    return (np.sign((hidden[:, test] @ solved)[..., 0]) == y[test]).mean(axis=1)


def cross_validated(draws, folds, repeats, seeds):
    """Accuracies of the first learner and of the second: (repeats × folds, seeds) each."""
    x = draws.normal(size=(N, 2 * INPUTS))
    y = np.sign(x.sum(axis=1) / np.sqrt(2 * INPUTS) + draws.normal(size=N))
    found = ([], [])
    for _ in range(repeats):
        numbers = fold_numbers((y > 0).astype(np.int64), folds, seed=int(draws.integers(2**32)))
        for fold in range(folds):
            for half, side in zip((x[:, :INPUTS], x[:, INPUTS:]), found, strict=True):
                weights = draws.normal(size=(seeds, INPUTS, FEATURES))
                side.append(accuracy(half, y, numbers != fold, numbers == fold, weights))
    return np.array(found[0]), np.array(found[1])


@pytest.mark.slow
@pytest.mark.parametrize(("folds", "repeats", "seeds"), [(5, 1, 1), (5, 1, 3), (5, 3, 1), (10, 3, 1)])
def test_corrected_test_keeps_its_level_where_the_naive_one_does_not(folds, repeats, seeds):
    draws, times = np.random.default_rng(7), 400
    results = [cross_validated(draws, folds, repeats, seeds) for _ in range(times)]
    truth = np.mean([np.mean(a) for a, _ in results])

    def rates(values, ratio):
        """Shares of false differences, and of intervals of a mean that hold the truth."""
        wrong, held = 0, 0
        for a, b in values:
            found = paired_difference(dict(enumerate(a)), dict(enumerate(b)), test_to_train=ratio)
            interval = summarize(a, test_to_train=ratio)
            wrong += found.conclusion in ("larger", "smaller")
            held += interval.ci_low <= truth <= interval.ci_high
        return wrong / times, held / times

    wrong, held = rates([(a.mean(axis=1), b.mean(axis=1)) for a, b in results], 1 / (folds - 1))
    naive_wrong, naive_held = rates([(a.ravel(), b.ravel()) for a, b in results], 0.0)
    logging.getLogger(__name__).info(
        "%d folds, %d cuts, %d seeds: false differences %.3f, intervals that hold %.3f; naive %.3f, %.3f",
        *(folds, repeats, seeds, wrong, held, naive_wrong, naive_held),
    )
    error = math.sqrt(0.05 * 0.95 / times)
    assert wrong <= 0.05 + 3 * error
    assert held >= 0.95 - 3 * error
    if repeats > 1 or seeds > 1:
        assert naive_wrong > 0.15
        assert naive_held < 0.85
