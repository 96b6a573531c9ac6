"""The filters of the first layer, and the likeness of known filters to edges."""

import pytest
import torch
from torch import nn

from vision_baselines.analysis.convolution import EDGE_KERNELS
from vision_baselines.analysis.filter_grid import edge_bank, edge_similarity, first_layer_filters


def _kernel(name: str) -> torch.Tensor:
    return torch.tensor(EDGE_KERNELS[name], dtype=torch.float32)[None, None]


def test_first_filters_of_a_convolution_are_its_weights() -> None:
    net = nn.Sequential(nn.Identity(), nn.Sequential(nn.Conv2d(3, 5, kernel_size=3)), nn.Linear(2, 2))

    filters = first_layer_filters(net, (3, 8, 8))

    assert torch.equal(filters, net[1][0].weight)
    assert not filters.requires_grad


def test_first_filters_of_a_dense_layer_are_its_rows_as_images() -> None:
    net = nn.Sequential(nn.Flatten(), nn.Linear(2 * 3 * 4, 7), nn.Linear(7, 2))

    filters = first_layer_filters(net, (2, 3, 4))

    assert filters.shape == (7, 2, 3, 4)
    assert torch.equal(filters[5].flatten(), net[1].weight[5])


def test_changing_the_filters_leaves_the_net_alone() -> None:
    net = nn.Conv2d(1, 1, kernel_size=2)
    before = net.weight.detach().clone()

    first_layer_filters(net, (1, 4, 4)).zero_()

    assert torch.equal(net.weight, before)


@pytest.mark.parametrize(
    ("net", "message"),
    [
        (nn.Sequential(nn.ReLU()), "got Sequential without one"),
        (nn.Linear(10, 2), r"expected 16 inputs to draw as images of shape \(1, 4, 4\), got 10"),
        (nn.LazyLinear(2), "got a lazy one"),
    ],
)
def test_a_net_without_filters_to_draw_is_refused(net: nn.Module, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        first_layer_filters(net, (1, 4, 4))


@pytest.mark.parametrize("kernel_size", [(2, 2), (3, 3), (5, 7), (28, 28)])
def test_bank_kernels_have_no_mean_and_unit_norm(kernel_size: tuple[int, int]) -> None:
    bank = edge_bank(kernel_size)

    torch.testing.assert_close(bank.mean(dim=(1, 2)), torch.zeros(len(bank)), atol=1e-6, rtol=0)
    torch.testing.assert_close(bank.flatten(1).norm(dim=1), torch.ones(len(bank)))


@pytest.mark.parametrize(
    ("name", "least"), [("sobel_x", 0.99), ("sobel_y", 0.99), ("horizontal", 0.9), ("vertical", 0.9)]
)
def test_known_edge_kernels_are_alike_to_an_edge(name: str, least: float) -> None:
    assert edge_similarity(_kernel(name)).item() >= least


def test_similarity_ignores_sign_size_brightness_and_colour() -> None:
    sobel = _kernel("sobel_x")
    plain = edge_similarity(sobel)
    red_against_green = torch.cat([sobel, -sobel, 0 * sobel], dim=1)

    for same in (-3 * sobel, sobel + 10, red_against_green):
        torch.testing.assert_close(edge_similarity(same), plain)


def test_one_channel_similarity_is_the_largest_absolute_cosine() -> None:
    filters = torch.randn(20, 1, 5, 5, generator=torch.Generator().manual_seed(0))
    centred = (filters - filters.mean(dim=(2, 3), keepdim=True)).flatten(1)
    expected = torch.stack(
        [torch.cosine_similarity(row[None], edge_bank((5, 5)).flatten(1)).abs().max() for row in centred]
    )

    torch.testing.assert_close(edge_similarity(filters), expected)


def test_a_constant_filter_is_not_alike_to_any_edge() -> None:
    assert edge_similarity(torch.full((1, 3, 3, 3), 0.1)).item() == 0


def test_noise_is_less_alike_than_edges() -> None:
    noise = torch.randn(500, 1, 7, 7, generator=torch.Generator().manual_seed(0))

    assert edge_similarity(noise).max() < 0.7


@pytest.mark.parametrize("shape", [(2, 1, 1, 1), (2, 1, 1, 5)])
def test_filters_too_small_to_hold_an_edge_are_refused(shape: tuple[int, ...]) -> None:
    with pytest.raises(ValueError, match="expected two sides >= 2"):
        edge_similarity(torch.ones(shape))
