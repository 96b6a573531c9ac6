"""The order of an epoch is a function of (seed, epoch), whoever asks and wherever it is entered."""

from __future__ import annotations

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch.utils.data import BatchSampler, SequentialSampler

from vision_baselines.data.sampler import EpochBatches, EpochOrder, Position

sizes = st.integers(1, 60)


def order(num_samples, *, epoch=0, batches_done=0, batch_size=4, seed=0):
    position = Position(epoch, batches_done)
    return list(EpochOrder(num_samples, batch_size=batch_size, seed=seed, position=lambda: position))


@given(sizes, st.integers(0, 5), st.integers(0, 5))
def test_an_epoch_sees_every_sample_exactly_once(num_samples, seed, epoch):
    assert sorted(order(num_samples, seed=seed, epoch=epoch)) == list(range(num_samples))


def test_the_order_depends_on_seed_and_epoch():
    orders = {tuple(order(50, seed=seed, epoch=epoch)) for seed in range(3) for epoch in range(3)}
    assert len(orders) == 9


def test_the_order_does_not_depend_on_the_global_generator():
    first = order(50)
    torch.manual_seed(123)
    torch.rand(7)
    assert order(50) == first


@given(sizes, st.integers(1, 9), st.integers(0, 8))
def test_entering_at_a_batch_gives_exactly_what_is_left(num_samples, batch_size, batches_done):
    whole = order(num_samples, batch_size=batch_size)
    assert order(num_samples, batch_size=batch_size, batches_done=batches_done) == whole[batches_done * batch_size :]


def test_the_position_is_asked_for_anew_each_time_it_is_iterated():
    epochs = iter([0, 1])
    sampler = EpochOrder(30, batch_size=4, seed=0, position=lambda: Position(next(epochs), 0))
    assert list(sampler) == order(30, epoch=0)
    assert list(sampler) == order(30, epoch=1)


def test_the_length_is_that_of_a_whole_epoch():
    assert len(EpochOrder(11, batch_size=4, seed=0, position=lambda: Position(0, 2))) == 11


@pytest.mark.parametrize(("num_samples", "batch_size", "batches_done"), [(100, 7, 0), (100, 7, 3), (64, 64, 0)])
def test_batches_as_tensors_are_the_batches_that_torch_cuts(num_samples, batch_size, batches_done):
    order = EpochOrder(num_samples, batch_size=batch_size, seed=3, position=lambda: Position(2, batches_done))
    for drop_last in (False, True):
        expected = list(BatchSampler(order, batch_size, drop_last))
        found = [batch.tolist() for batch in EpochBatches(order, batch_size, drop_last)]
        assert found == expected
        assert len(EpochBatches(order, batch_size, drop_last)) == len(BatchSampler(order, batch_size, drop_last))


def test_batches_of_another_sampler_are_those_of_torch():
    assert list(EpochBatches(SequentialSampler(range(5)), 2)) == [[0, 1], [2, 3], [4]]
