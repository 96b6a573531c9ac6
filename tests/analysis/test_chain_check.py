"""A chain built in PyTorch against the arithmetic, on generated chains, and what rounding down drops."""

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from vision_baselines.analysis.chain_check import measured_chain
from vision_baselines.analysis.conv_arithmetic import conv_params, trace_chain


@st.composite
def chains(draw):
    """A chain and an image that it leaves a pixel of; strides beyond kernels, dilations and wide padding among them."""
    layers = draw(
        st.lists(st.tuples(*(st.integers(low, high) for low, high in ((1, 5), (1, 3), (0, 3), (1, 3)))), max_size=5)
    )
    input_size = draw(st.integers(1, 60))
    while layers:
        try:
            trace_chain(layers, input_size)
        except ValueError:
            layers.pop()
        else:
            break
    return [*layers, (1, 1, 0)], input_size


@settings(max_examples=15, database=None, derandomize=True)
@given(chains())
def test_pytorch_gives_the_sizes_and_the_fields_of_the_arithmetic(case):
    layers, input_size = case
    steps = trace_chain(layers, input_size)

    measured = measured_chain(steps, input_size)

    assert [(m.output_size, m.receptive_field) for m in measured] == [(s.output_size, s.receptive_field) for s in steps]


@settings(max_examples=40, database=None, derandomize=True)
@given(chains())
def test_unused_units_are_those_after_the_last_window(case):
    layers, size = case
    for step in trace_chain(layers, size):
        last_seen = (step.output_size - 1) * step.stride + (step.kernel_size - 1) * step.dilation
        assert step.unused == size + 2 * step.padding - 1 - last_seen
        size = step.output_size


def test_a_deep_chain_agrees_too_and_nothing_random_is_drawn():
    before = torch.get_rng_state()

    measured = measured_chain(trace_chain([(5, 1, 2)] * 50, 5), 5)

    assert measured[-1].receptive_field == 201
    assert torch.equal(before, torch.get_rng_state())


def test_a_chain_too_large_to_build_is_refused():
    with pytest.raises(ValueError, match="at most 1,000,000 pixels"):
        measured_chain(trace_chain([(3, 1, 1, 10**8)], 10**9), 10**9)


@pytest.mark.parametrize(("kernel_size", "channels"), [((3), (3, 16)), (5, (32, 64)), (1, (7, 2))])
def test_parameters_are_those_of_conv2d(kernel_size, channels):
    assert conv_params(kernel_size, *channels) == sum(
        parameter.numel() for parameter in torch.nn.Conv2d(*channels, kernel_size).parameters()
    )
