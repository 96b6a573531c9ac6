"""The picture of the first layer, pixel by pixel, and the likeness of known filters to edges."""

import time

import pytest
import torch
from torch import nn

from vision_baselines.analysis.convolution import EDGE_KERNELS
from vision_baselines.analysis.filter_grid import edge_bank, edge_similarity, filter_grid, first_layer_filters


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


def test_the_picture_of_two_filters_is_as_drawn_by_hand() -> None:
    filters = torch.tensor([[[[2.0, 0.0], [-2.0, 1.0]]], [[[0.0, 0.0], [0.0, -1.0]]]])

    picture = filter_grid(filters)

    # 128 + 127 * w / 2, half rounded to even; gaps black.
    expected = torch.tensor(
        [
            [0, 0, 0, 0, 0, 0, 0],
            [0, 255, 128, 0, 128, 128, 0],
            [0, 1, 192, 0, 128, 64, 0],
            [0, 0, 0, 0, 0, 0, 0],
        ]
    )
    assert picture.dtype == torch.uint8
    assert torch.equal(picture, expected.to(torch.uint8).expand(3, -1, -1))


def test_three_channels_are_drawn_as_colours_and_others_as_the_grey_of_their_mean() -> None:
    red = torch.zeros(1, 3, 1, 1)
    red[0, 0] = 1.0
    two = torch.tensor([1.0, 0.0]).reshape(1, 2, 1, 1)

    assert filter_grid(red, padding=0).flatten().tolist() == [255, 128, 128]
    assert filter_grid(two, padding=0, scale=1.0).flatten().tolist() == [192, 192, 192]


def test_a_shared_scale_draws_the_same_weight_alike_in_two_nets() -> None:
    weak, strong = torch.full((1, 1, 2, 2), 0.5), torch.full((1, 1, 2, 2), 4.0)

    assert filter_grid(weak, padding=0, scale=2.0).unique().tolist() == [160]
    assert filter_grid(strong, padding=0, scale=2.0).unique().tolist() == [255]


def test_filters_of_zeros_are_mid_grey() -> None:
    assert filter_grid(torch.zeros(3, 1, 2, 2), padding=0, columns=3).unique().tolist() == [128]


def test_options_set_the_layout() -> None:
    filters = torch.ones(5, 1, 2, 3)

    assert filter_grid(filters, columns=5, padding=2, upscale=4).shape == (3, 2 + 8 + 2, 5 * (12 + 2) + 2)
    assert filter_grid(filters, columns=50, padding=0).shape == (3, 2, 15)
    grid = filter_grid(filters, columns=2, padding=0)
    assert grid.shape == (3, 6, 6)
    assert (grid[:, 4:, 3:] == 0).all()  # The sixth place stays empty.


def test_upscaling_repeats_each_weight() -> None:
    filters = torch.randn(4, 3, 3, 3, generator=torch.Generator().manual_seed(0))
    small, large = filter_grid(filters, padding=0), filter_grid(filters, padding=0, upscale=3)

    assert torch.equal(large, torch.kron(small, torch.ones(1, 3, 3, dtype=torch.uint8)))


@pytest.mark.parametrize(
    ("filters", "options", "message"),
    [
        (torch.ones(3, 3), {}, r"expected \(N, C, kH, kW\)"),
        (torch.ones(0, 1, 3, 3), {}, r"expected \(N, C, kH, kW\)"),
        (torch.full((1, 1, 2, 2), torch.nan), {}, "expected finite weights"),
        (torch.ones(1, 1, 2, 2), {"scale": 0.0}, "scale: expected a finite number > 0, got 0.0"),
        (torch.ones(1, 1, 2, 2), {"padding": -1}, "padding: expected an integer >= 0, got -1"),
        (torch.ones(1, 1, 2, 2), {"columns": 0}, "columns: expected an integer >= 1, got 0"),
        (torch.ones(1, 1, 2, 2), {"upscale": 0}, "upscale: expected an integer >= 1, got 0"),
    ],
)
def test_what_cannot_be_drawn_is_refused(filters: torch.Tensor, options: dict[str, int], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        filter_grid(filters, **options)


def test_512_dense_filters_are_drawn_in_less_than_a_second() -> None:
    filters = torch.randn(512, 1, 28, 28, generator=torch.Generator().manual_seed(0))
    start = time.perf_counter()

    filter_grid(filters)

    assert time.perf_counter() - start < 1  # Measured: 0.01 s.


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
