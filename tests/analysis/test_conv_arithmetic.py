"""Chain arithmetic against torch's shapes, against gradients, and by hand."""

import random

import pytest
import torch
from torch.nn.functional import conv1d

from vision_baselines.analysis.conv_arithmetic import LayerStep, output_size, receptive_field, trace_chain

Chain = list[tuple[int, int, int, int]]


def _random_chain(rng: random.Random) -> Chain:
    return [
        (rng.randint(1, 5), rng.randint(1, 3), rng.randint(0, 3), rng.randint(1, 3)) for _ in range(rng.randint(1, 5))
    ]


def _torch_sizes(chain: Chain, input_size: int) -> list[int] | None:
    """Sizes by torch itself; None where torch refuses."""
    signal, sizes = torch.ones(1, 1, input_size), []
    for kernel_size, stride, padding, dilation in chain:
        try:
            signal = conv1d(signal, torch.ones(1, 1, kernel_size), None, stride, padding, dilation)
        except RuntimeError:
            return None
        sizes.append(signal.shape[-1])
    return sizes


@pytest.mark.slow
@pytest.mark.ci
def test_500_random_chains_have_torchs_sizes_and_are_refused_where_torch_refuses() -> None:
    rng, refused = random.Random(0), 0
    for _ in range(500):
        chain, input_size = _random_chain(rng), rng.randint(1, 80)
        expected = _torch_sizes(chain, input_size)
        if expected is None:
            refused += 1
            with pytest.raises(ValueError, match="leaves no pixel"):
                trace_chain(chain, input_size)
        else:
            assert [step.output_size for step in trace_chain(chain, input_size)] == expected, chain
    assert 50 < refused < 450  # Both sides of the claim were tried.


def _pixels_with_gradient(chain: Chain, input_size: int, unit: int) -> tuple[int, int]:
    """First and last pixel that one output unit depends on, by backpropagation."""
    image = torch.ones(1, 1, input_size, dtype=torch.float64, requires_grad=True)
    signal: torch.Tensor = image
    for kernel_size, stride, padding, dilation in chain:
        signal = conv1d(signal, torch.ones(1, 1, kernel_size, dtype=torch.float64), None, stride, padding, dilation)
    (gradient,) = torch.autograd.grad(signal[0, 0, unit], image)
    pixels = gradient[0, 0].nonzero().flatten()
    return int(pixels[0]), int(pixels[-1])


@pytest.mark.slow
@pytest.mark.ci
def test_500_random_chains_see_the_pixels_that_have_a_gradient() -> None:
    rng = random.Random(1)
    for _ in range(500):
        chain = _random_chain(rng)
        field = receptive_field(chain)
        # Wide enough that a unit in the middle sees no padding.
        last = trace_chain(chain, input_size=4 * field + 200)[-1]
        unit = last.output_size // 2
        center = last.center + unit * last.jump

        assert last.receptive_field == field
        assert _pixels_with_gradient(chain, 4 * field + 200, unit) == (
            center - (field - 1) / 2,
            center + (field - 1) / 2,
        ), chain


def test_pooled_chain_matches_hand_arithmetic() -> None:
    steps = trace_chain([(3, 1, 1), (2, 2, 0), (3, 1, 1), (2, 2, 0)], input_size=32)

    assert steps == [
        LayerStep(3, 1, 1, 1, output_size=32, jump=1, receptive_field=3, center=0.0, unused=0),
        LayerStep(2, 2, 0, 1, output_size=16, jump=2, receptive_field=4, center=0.5, unused=0),
        LayerStep(3, 1, 1, 1, output_size=16, jump=2, receptive_field=8, center=0.5, unused=0),
        LayerStep(2, 2, 0, 1, output_size=8, jump=4, receptive_field=10, center=1.5, unused=0),
    ]


def test_a_stride_counts_for_the_layers_after_it_and_not_for_its_own() -> None:
    # The short formula, (k - 1) * stride, would give 1 + 2*2 + 2*1 = 7.
    assert receptive_field([(3, 2, 1), (3, 1, 1)]) == 1 + 2 * 1 + 2 * 2


def test_an_empty_chain_sees_its_own_pixel() -> None:
    assert receptive_field([]) == 1
    assert trace_chain([], input_size=5) == []


def test_a_chain_that_leaves_no_pixel_names_the_layer() -> None:
    with pytest.raises(ValueError, match=r"layer 3 \(kernel_size=5, stride=2, padding=1, dilation=1\) leaves no pixel"):
        trace_chain([(3, 1, 1), (2, 4, 0), (5, 2, 1)], input_size=8)


@pytest.mark.parametrize(
    ("layer", "message"),
    [
        ((3, 0, 1), "layer 1: stride: expected an integer >= 1, got 0"),
        ((3, 1, -1), "layer 1: padding: expected an integer >= 0, got -1"),
        ((0, 1, 1), "layer 1: kernel_size: expected an integer >= 1, got 0"),
        ((3, 1, 1, 0), "layer 1: dilation: expected an integer >= 1, got 0"),
        ((3.0, 1, 1), "layer 1: kernel_size: expected an integer >= 1, got 3.0"),
        (("a", 1, 1), "layer 1: kernel_size: expected an integer >= 1, got 'a'"),
        ((True, 1, 1), "layer 1: kernel_size: expected an integer >= 1, got True"),
        ((3, 1), "layer 1: expected (kernel_size, stride, padding) and perhaps dilation, got (3, 1)"),
        ("311", "layer 1: expected (kernel_size, stride, padding) and perhaps dilation, got '311'"),
    ],
)
def test_a_malformed_layer_is_refused_with_what_was_given_and_expected(layer: tuple[int, ...], message: str) -> None:
    for call in (lambda: trace_chain([layer], 8), lambda: receptive_field([layer])):
        with pytest.raises(ValueError, match=r"layer 1") as refusal:
            call()
        assert str(refusal.value) == message


@pytest.mark.parametrize("input_size", [0, -3, 2.5, "8"])
def test_an_input_size_that_is_no_count_of_pixels_is_refused(input_size: int) -> None:
    with pytest.raises(ValueError, match="input_size: expected an integer >= 1"):
        output_size(input_size, kernel_size=1)
