"""How far a result made again elsewhere may lie: false alarms are as rare as is said."""

from __future__ import annotations

import math

import numpy as np
import pytest

from vision_baselines.analysis.reproduction import reproduction_margin


@pytest.mark.slow
@pytest.mark.ci(every=4)
@pytest.mark.parametrize("groups", [1, 7, 28])
@pytest.mark.parametrize(("n", "accuracy", "size"), [(3, 0.97, 360), (3, 0.5, 100), (5, 0.9, 10_000)])
def test_a_baseline_of_any_number_of_groups_raises_a_false_alarm_in_one_of_twenty_at_most(groups, n, accuracy, size):
    rng = np.random.default_rng(0)
    tries, alarms = 300, 0
    for _ in range(tries):
        runs = rng.binomial(size, accuracy, (groups, 2, n)) / size
        for recorded, found in runs:
            margin = reproduction_margin(
                recorded.mean(), std=recorded.std(ddof=1), n=n, n_new=n, test_size=size, level=0.05 / groups
            )
            if abs(recorded.mean() - found.mean()) > margin:
                alarms += 1
                break
    assert alarms / tries < 0.05 + 3 * math.sqrt(0.05 * 0.95 / tries)


def test_runs_that_all_gave_the_same_still_have_a_margin_from_the_size_of_the_test():
    assert reproduction_margin(0.9, std=0.0, n=3, n_new=3, test_size=100) > 0.01
    assert 0 < reproduction_margin(1.0, test_size=50) < 0.1


def test_by_hand_and_nothing_where_nothing_is_known():
    assert reproduction_margin(0.5, test_size=100) == pytest.approx(1.959964 * math.sqrt(2 * 0.25 / 100), rel=1e-6)
    assert reproduction_margin(2.0, std=0.1, n=2, n_new=2) == pytest.approx(12.7062 * 0.1, rel=1e-4)
    assert reproduction_margin(2.0) is None
