"""A draw depends on its coordinates and on nothing else."""

from __future__ import annotations

import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from vision_baselines.seeding import draw_seed, generator, seed_default_generator

coordinates = st.lists(st.integers(-(2**40), 2**40) | st.text(max_size=6), max_size=4)


@settings(max_examples=50)
@given(coordinates, coordinates)
def test_different_coordinates_give_different_seeds(one, other):
    assert (draw_seed(*one) == draw_seed(*other)) == (one == other)


@given(coordinates)
def test_every_seed_is_one_that_torch_takes(where):
    assert 0 <= draw_seed(*where) < 2**63


def test_a_seed_is_the_same_on_every_machine_and_version():
    assert draw_seed(0, "order", 3) == 8244215730568551301


def test_a_generator_is_not_touched_by_the_global_one():
    first = torch.rand(3, generator=generator(1, "x"))
    torch.manual_seed(99)
    assert torch.equal(first, torch.rand(3, generator=generator(1, "x")))


def test_seeding_the_default_generator_equals_manual_seed_on_the_cpu():
    seed_default_generator(5, torch.device("cpu"))
    ours = torch.rand(4)
    torch.manual_seed(5)
    assert torch.equal(ours, torch.rand(4))
