"""Receptive fields followed through nets, against the pixels that backpropagation reaches."""

import random
from collections.abc import Callable

import pytest
import torch
from torch import nn
from torch.nn import functional as F  # noqa: N812 (torch's own convention)

from vision_baselines.analysis.layer_trace import LayerInfo, trace_layers


class Residual(nn.Module):
    """Sum of two branches."""

    def __init__(self, body: nn.Module, shortcut: nn.Module) -> None:
        super().__init__()
        self.body, self.shortcut = body, shortcut

    def forward(self, image: torch.Tensor) -> torch.Tensor:
        return F.relu(self.body(image) + self.shortcut(image))


class Function(nn.Module):
    """Any function of the image as a layer."""

    def __init__(self, function: Callable[[torch.Tensor], object]) -> None:
        super().__init__()
        self.function = function

    def forward(self, image: torch.Tensor) -> object:
        return self.function(image)


def _last(net: nn.Module, image_shape: tuple[int, int, int]) -> LayerInfo:
    return trace_layers(nn.Sequential(net, nn.Identity()), image_shape)[-1]


def _extent(net: nn.Module, image_shape: tuple[int, int, int]) -> tuple[int, int]:
    """Height and width of the pixels with a gradient from one central unit.

    Weights and pixels are positive, so that no gradient cancels.
    """
    net = net.eval().double()
    with torch.no_grad():
        for parameter in net.parameters():
            parameter.abs_().add_(0.01)
    image = torch.ones(1, *image_shape, dtype=torch.float64, requires_grad=True)
    output = net(image)
    unit = output[0, :, output.shape[2] // 2, output.shape[3] // 2].sum()
    (gradient,) = torch.autograd.grad(unit, image)
    rows, columns = gradient[0].sum(0).nonzero(as_tuple=True)
    return int(rows.max() - rows.min()) + 1, int(columns.max() - columns.min()) + 1


def _random_layer(rng: random.Random) -> nn.Module:
    kernel_size, stride, dilation = rng.randint(1, 4), rng.choice([1, 1, 2]), rng.choice([1, 1, 2])
    padding = rng.randint(0, kernel_size // 2)
    odd = rng.choice([1, 3])
    return rng.choice(
        [
            nn.Conv2d(1, 1, kernel_size, stride, padding, dilation),
            nn.Conv2d(1, 1, odd, padding="same", dilation=dilation),
            nn.AvgPool2d(kernel_size, stride, padding),
            nn.Sequential(nn.BatchNorm2d(1), nn.ReLU(), nn.Dropout()),
            Residual(nn.Conv2d(1, 1, odd, stride, padding=odd // 2), nn.Conv2d(1, 1, 1, stride)),
            Residual(nn.Sequential(nn.Conv2d(1, 1, 3, padding=1), nn.Conv2d(1, 1, odd, padding="same")), nn.Identity()),
        ]
    )


@pytest.mark.slow
def test_500_random_nets_see_the_pixels_that_have_a_gradient() -> None:
    rng = random.Random(0)
    fields = []
    for _ in range(500):
        net = nn.Sequential(*(_random_layer(rng) for _ in range(rng.randint(1, 6))))
        side = 2 * (_last(net, (1, 64, 64)).receptive_field or 0) + 16  # A central unit sees no border.
        row = _last(net, (1, side, side))

        assert _extent(net, (1, side, side)) == (row.receptive_field, row.receptive_field), net
        fields.append(row.receptive_field)
    assert max(fields) > 30  # The nets were not all trivial.


def test_jump_is_how_far_the_field_moves_from_one_unit_to_the_next() -> None:
    net = nn.Sequential(nn.Conv2d(1, 1, 3, stride=2), nn.AvgPool2d(3, stride=2), nn.Conv2d(1, 1, 3, dilation=2))
    nn.init.ones_(net[0].weight), nn.init.ones_(net[2].weight)
    image = torch.ones(1, 1, 65, 65, requires_grad=True)
    output = net(image)
    tops = [
        int(torch.autograd.grad(output[0, 0, row, 0], image, retain_graph=True)[0].nonzero()[0, 2]) for row in (3, 4)
    ]

    assert _last(net, (1, 65, 65)).jump == tops[1] - tops[0]


@pytest.mark.parametrize(
    "net",
    [
        nn.Conv2d(2, 2, kernel_size=(3, 5), stride=(1, 2), dilation=(2, 1)),
        nn.Conv2d(2, 4, kernel_size=(1, 5), padding="same", groups=2),
        nn.Sequential(nn.AvgPool2d((2, 1)), nn.Conv2d(2, 2, kernel_size=(3, 2))),
    ],
)
def test_a_net_that_is_not_square_reports_its_longer_side(net: nn.Module) -> None:
    assert _last(net, (2, 33, 33)).receptive_field == max(_extent(net, (2, 33, 33)))


@pytest.mark.parametrize(
    "options",
    [{"kernel_size": 3}, {"kernel_size": 2, "stride": 1}, {"kernel_size": (3, 2), "stride": (2, 1), "padding": 1}],
)
def test_max_pooling_grows_the_field_as_average_pooling_does(options: dict[str, int]) -> None:
    maximum, average = _last(nn.MaxPool2d(**options), (1, 9, 9)), _last(nn.AvgPool2d(**options), (1, 9, 9))

    assert maximum.receptive_field is not None
    assert (maximum.receptive_field, maximum.jump) == (average.receptive_field, average.jump)


def test_max_pooling_spreads_with_its_dilation() -> None:
    assert _last(nn.MaxPool2d(3, dilation=2), (1, 9, 9)).receptive_field == 5


CONV = nn.Conv2d(4, 4, kernel_size=3, padding=1)


@pytest.mark.parametrize(
    ("function", "field", "jump"),
    [
        (lambda x: F.gelu(x) * 2 + torch.sigmoid(x), 3, 1),
        (lambda x: x + CONV(x), 5, 1),
        (lambda x: torch.cat([x, CONV(CONV(x))], dim=1), 7, 1),
        (lambda x: torch.cat(x.chunk(2, dim=1)[::-1], dim=1), 3, 1),
        (lambda x: F.glu(x, dim=1), 3, 1),
        (lambda x: x[:, :, ::2, ::2], 3, 2),
        (lambda x: x[:, 0], 3, 1),
        (lambda x: x.mean(dim=1, keepdim=True), 3, 1),
        (lambda x: F.pad(x, (1, 1, 1, 1)), 3, 1),
        (lambda x: F.adaptive_avg_pool2d(x, 4), 4, 2),
        (lambda x: F.layer_norm(x.permute(0, 2, 3, 1), (4,)).permute(0, 3, 1, 2), 3, 1),
        (lambda x: F.linear(x.movedim(1, -1), torch.ones(2, 4)), 3, 1),
        (lambda x: x.view(1, 2, 2, 8, 8).transpose(1, 2).reshape(1, 4, 8, 8), 3, 1),
        (lambda x: x.flatten(2).transpose(1, 2), 3, 1),
        (lambda x: torch.zeros_like(x).copy_(x), 3, 1),
        (lambda x: x + torch.randn_like(x), 3, 1),
        (lambda x: F.dropout(x, 0.5, training=True), 3, 1),
    ],
)
def test_functions_that_leave_units_in_place_keep_a_field(
    function: Callable[[torch.Tensor], object], field: int, jump: int
) -> None:
    row = _last(nn.Sequential(nn.Conv2d(1, 4, kernel_size=3, padding=1), Function(function)), (1, 8, 8))

    assert (row.receptive_field, row.jump, row.whole_image) == (field, jump, False)


@pytest.mark.parametrize(
    "function",
    [
        lambda x: x.flatten(1),
        lambda x: x.mean(dim=(2, 3)),
        lambda x: x.mean(3).mean(2),
        lambda x: x.amax(dim=(-1, -2), keepdim=True),
        lambda x: F.adaptive_max_pool2d(x, 1),
        lambda x: x * torch.sigmoid(x.mean(dim=(2, 3), keepdim=True)),
        lambda x: F.group_norm(x, 2),
        lambda x: F.layer_norm(x, (4, 8, 8)),
        lambda x: F.batch_norm(x, None, None, training=True),
        lambda x: F.linear(x.flatten(2), torch.ones(3, 64)),
        lambda x: F.scaled_dot_product_attention(x.flatten(2), x.flatten(2), x.flatten(2)),
        lambda x: CONV(x) + x.sum(),
    ],
)
def test_functions_that_mix_all_positions_see_the_whole_image_from_then_on(
    function: Callable[[torch.Tensor], torch.Tensor],
) -> None:
    row = _last(nn.Sequential(nn.Conv2d(1, 4, 3, padding=1), Function(function), nn.ReLU()), (1, 8, 8))

    assert (row.receptive_field, row.jump, row.whole_image) == (None, None, True)


@pytest.mark.parametrize(
    "function",
    [
        lambda x: F.interpolate(x, scale_factor=2),
        lambda x: x.flip(2),
        lambda x: F.adaptive_avg_pool2d(x, 3),
        lambda x: F.conv_transpose2d(x, torch.ones(4, 1, 2, 2), stride=2),
        lambda x: x.mean(dim=2),
        lambda x: x.softmax(dim=-1),
        lambda x: x @ x,
        lambda x: x + x.transpose(2, 3),
    ],
)
def test_functions_without_a_rule_leave_the_field_undefined(function: Callable[[torch.Tensor], object]) -> None:
    row = _last(nn.Sequential(nn.Conv2d(1, 4, 3, padding=1), Function(function), nn.ReLU()), (1, 8, 8))

    assert (row.receptive_field, row.jump, row.whole_image) == (None, None, False)


@pytest.mark.parametrize(
    "activation",
    [
        nn.ReLU(inplace=True),
        nn.GELU(),
        nn.SiLU(),
        nn.Hardswish(),
        nn.PReLU(),
        nn.RReLU(),
        nn.Softplus(),
        nn.LogSigmoid(),
    ],
)
def test_activations_keep_the_field(activation: nn.Module) -> None:
    assert _last(nn.Sequential(nn.Conv2d(1, 1, 3), activation), (1, 8, 8)).receptive_field == 3


def test_what_is_not_made_from_the_image_has_no_field_and_does_not_disturb_one() -> None:
    position = torch.ones(1, 1, 6, 6)
    net = nn.Sequential(nn.Conv2d(1, 1, 3), Function(lambda x: x + position.mean()))

    assert _last(net, (1, 8, 8)).receptive_field == 3
    assert _last(Function(lambda x: position * 2), (1, 8, 8)).receptive_field is None


def test_a_loop_decided_by_the_data_is_followed_as_it_ran() -> None:
    class UntilLarge(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.conv = nn.Conv2d(1, 1, 3, padding=1, bias=False)
            nn.init.ones_(self.conv.weight)

        def forward(self, image: torch.Tensor) -> torch.Tensor:
            while image.max() < 50:
                image = self.conv(image)
            return image

    rows = [row for row in trace_layers(UntilLarge(), (1, 8, 8)) if row.kind == "Conv2d"]

    assert [row.receptive_field for row in rows] == [3 + 2 * step for step in range(len(rows))]
    assert len(rows) > 1
