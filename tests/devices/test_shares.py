"""Any number of processes share the batches that one would see: nothing twice, nothing left out."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from vision_baselines.data.sampler import EpochBatches, EpochOrder, Position
from vision_baselines.data.shares import share_of

counts, processes = st.integers(0, 70), st.integers(1, 9)


def shares(count, world_size, least=1):
    return [range(count)[share_of(count, rank, world_size, least=least)] for rank in range(world_size)]


@given(counts, processes, st.integers(1, 3))
def test_the_parts_of_a_batch_follow_each_other_and_are_the_batch(count, world_size, least):
    parts = shares(count, world_size, least)
    assert [place for part in parts for place in part] == list(range(count))
    sizes = [len(part) for part in parts if part]
    assert not sizes or max(sizes) - min(sizes) <= 1
    assert all(size >= min(least, count) for size in sizes)


@given(counts, processes)
def test_only_the_last_processes_have_no_part(count, world_size):
    empty = [not part for part in shares(count, world_size, 2)]
    assert empty == sorted(empty)
    assert sum(empty) == world_size - max(min(world_size, count // 2), int(count > 0))


@given(st.integers(1, 5), st.integers(2, 60), st.integers(1, 20), st.integers(0, 3), st.integers(0, 4))
def test_the_shares_of_an_epoch_put_together_are_the_order_of_one_process(world_size, size, batch_size, epoch, done):
    def batches():
        order = EpochOrder(size, batch_size=batch_size, seed=5, position=lambda: Position(epoch, done))
        return [batch.tolist() for batch in EpochBatches(order, batch_size)]

    together = [
        [image for rank in range(world_size) for image in batch[share_of(len(batch), rank, world_size, least=2)]]
        for batch in batches()
    ]
    assert together == batches()
