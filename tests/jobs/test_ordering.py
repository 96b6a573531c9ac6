"""Longest jobs first, where that ends sooner; every job once, and the order given where nothing is known."""

from __future__ import annotations

import random

import pytest

from vision_baselines.jobs.ordering import makespan, start_order

# Seconds of real sweeps, in the order in which they were typed: 2 nets × 3 seeds on MNIST, 3 nets on digits, 30 trials.
MNIST = [14.1, 14.3, 14.0, 42.4, 42.0, 42.5]
DIGITS = [1.1, 1.2, 1.1, 6.3, 6.1, 6.4, 2.2, 2.1, 2.3]


@pytest.mark.parametrize("case", range(60))
def test_an_order_holds_every_job_once_and_is_never_later_than_the_one_given(case):
    draw = random.Random(case)
    slots = draw.randint(1, 6)
    lengths = [draw.choice([draw.random(), draw.randint(0, 3), 40.0]) for _ in range(draw.randint(0, 30))]
    order = start_order(lengths, slots)
    assert sorted(order) == list(range(len(lengths)))
    assert makespan([lengths[place] for place in order], slots) <= makespan(lengths, slots)
    assert max([0.0, sum(lengths) / slots, *lengths]) <= makespan(lengths, slots) * (1 + 1e-9)
    if lengths:
        lengths[draw.randrange(len(lengths))] = None
        assert start_order(lengths, slots) == list(range(len(lengths)))


def test_of_two_nets_the_slow_one_begins_where_it_was_typed_last():
    order = start_order(MNIST, 2)
    assert [MNIST[place] for place in order[:3]] == [42.5, 42.4, 42.0]
    assert makespan([MNIST[place] for place in order], 2) < 0.9 * makespan(MNIST, 2)
    assert start_order(MNIST[::-1], 2) == [0, 1, 2, 3, 4, 5]
    assert makespan([DIGITS[place] for place in start_order(DIGITS, 2)], 2) <= makespan(DIGITS, 2)


def test_jobs_of_one_length_stay_as_they_are():
    assert start_order([3.0] * 7, 2) == list(range(7))
