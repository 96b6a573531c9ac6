"""How much too good the reported figure of a chosen setting is, in made-up sweeps of equal settings.

The figures in docs/statistics.md are logged:
python -m pytest -m slow tests/comparison/test_null_sweep.py -o log_cli=true -o log_cli_level=INFO
"""

from __future__ import annotations

import logging
import math
from dataclasses import dataclass

import numpy as np
import pytest

from vision_baselines.comparison.selection import best_to_worst

log = logging.getLogger(__name__)

SWEEPS, SETTINGS, SEEDS = 10_000, 30, 3
ACCURACY, LUCK = 0.98, 0.005  # of every setting, and the standard deviation of its runs about it
IMAGES = {"digits": (180, 360), "mnist": (5_000, 10_000)}  # of validation and of test


@dataclass(frozen=True)
class Optimism:
    """Mean over sweeps, in points, of a reported accuracy minus a true one, and its Monte Carlo standard error."""

    mean: float
    error: float

    @classmethod
    def of(cls, differences):
        return cls(100 * float(np.mean(differences)), 100 * float(np.std(differences, ddof=1)) / math.sqrt(SWEEPS))

    def __str__(self):
        return f"{self.mean:+.3f} ± {self.error:.3f}"


def null_sweeps(images, *, luck=LUCK, seed=0):
    """What each way of reporting says too much, over sweeps whose settings are all equal.

    A run's true accuracy is that of its setting plus a seed's luck, which both splits share; given the run, the two
    splits are independent.
    """
    rng = np.random.default_rng(seed)
    n_val, n_test = IMAGES[images]

    def runs(*shape):
        truth = np.clip(ACCURACY + luck * rng.standard_normal(shape), 0, 1)
        return truth, rng.binomial(n_val, truth) / n_val, rng.binomial(n_test, truth) / n_test

    truth, val, test = runs(SWEEPS, SETTINGS, SEEDS)
    truth_of_fresh, _, fresh = runs(SWEEPS, SEEDS)
    setting = truth.mean() if luck else ACCURACY
    mean_truth, mean_test = truth.mean(axis=2), test.mean(axis=2)
    by_val = [best_to_worst(list(means), lower_is_better=False)[0] for means in val.mean(axis=2)]
    by_test = [best_to_worst(list(means), lower_is_better=False)[0] for means in mean_test]
    every = np.arange(SWEEPS)
    return {
        "one run's standard deviation": 100 * float(test.std(ddof=1)),
        "by test, for the setting": Optimism.of(mean_test[every, by_test] - setting),
        "by validation, for the runs": Optimism.of(mean_test[every, by_val] - mean_truth[every, by_val]),
        "by validation, for the setting": Optimism.of(mean_test[every, by_val] - setting),
        "fresh seeds, for the setting": Optimism.of(fresh.mean(axis=1) - setting),
        "fresh seeds, for the runs": Optimism.of((fresh - truth_of_fresh).mean(axis=1)),
    }


@pytest.fixture(scope="module", params=IMAGES)
def found(request):
    figures = null_sweeps(request.param)
    log.info("%s: %s", request.param, "; ".join(f"{name} {value}" for name, value in figures.items()))
    return figures


@pytest.mark.slow
def test_the_test_figure_of_runs_chosen_on_validation_is_not_too_good(found):
    for way in ("by validation, for the runs", "fresh seeds, for the runs"):
        assert abs(found[way].mean) <= 3 * found[way].error


@pytest.mark.slow
def test_choosing_on_test_is_too_good_by_about_a_standard_deviation_of_a_run(found):
    """The largest of 30 normal means of 3 lies 2.04 / √3 = 1.18 standard deviations above their mean."""
    ratio = found["by test, for the setting"].mean / found["one run's standard deviation"]
    assert ratio == pytest.approx(2.04 / math.sqrt(3), abs=0.15)


@pytest.mark.slow
def test_luck_that_both_splits_share_makes_the_chosen_setting_too_good_and_fresh_seeds_do_not(found):
    shared = found["by validation, for the setting"]
    assert shared.mean > 0.15
    assert shared.mean > 3 * shared.error
    assert abs(found["fresh seeds, for the setting"].mean) <= 3 * found["fresh seeds, for the setting"].error


@pytest.mark.slow
def test_with_as_few_validation_images_as_digits_has_it_is_a_quarter_of_a_point():
    assert null_sweeps("digits")["by validation, for the setting"].mean == pytest.approx(0.25, abs=0.03)


@pytest.mark.slow
def test_without_shared_luck_choosing_on_validation_costs_nothing():
    found = null_sweeps("digits", luck=0.0)["by validation, for the setting"]
    assert abs(found.mean) <= 3 * found.error
