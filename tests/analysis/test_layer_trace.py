"""Rows of a traced net: golden table, sums, shared weights, and nothing left behind."""

import pytest
import torch
from torch import nn
from torch.utils.flop_counter import FlopCounterMode

from vision_baselines.analysis.layer_trace import (
    num_parameters,
    trace_layers,
)
from vision_baselines.analysis.net_size import net_size


class WithOwnWeight(nn.Module):
    """A module that owns a parameter beside its children and computes with it."""

    def __init__(self) -> None:
        super().__init__()
        self.mix = nn.Parameter(torch.ones(4, 4))
        self.body = nn.Linear(4, 4)
        self.unused = nn.Linear(3, 5)

    def forward(self, image: torch.Tensor) -> torch.Tensor:
        return self.body(image.flatten(1) @ self.mix)


def _cnn() -> nn.Sequential:
    return nn.Sequential(
        nn.Conv2d(3, 4, kernel_size=3, padding=1),
        nn.BatchNorm2d(4),
        nn.ReLU(),
        nn.MaxPool2d(2),
        nn.Conv2d(4, 8, kernel_size=3),
        nn.AdaptiveAvgPool2d(1),
        nn.Flatten(),
        nn.Dropout(),
        nn.Linear(8, 10),
    )


def test_table_of_a_small_cnn_matches_hand_arithmetic() -> None:
    rows = trace_layers(_cnn(), (3, 8, 8))

    columns = [
        (row.kind, row.output_shape, row.num_params, row.multiply_adds, row.receptive_field, row.jump) for row in rows
    ]
    assert columns == [
        ("Conv2d", (4, 8, 8), 27 * 4 + 4, 27 * 4 * 64, 3, 1),
        ("BatchNorm2d", (4, 8, 8), 8, 0, 3, 1),
        ("ReLU", (4, 8, 8), 0, 0, 3, 1),
        ("MaxPool2d", (4, 4, 4), 0, 0, 4, 2),
        ("Conv2d", (8, 2, 2), 36 * 8 + 8, 36 * 8 * 4, 8, 2),
        ("AdaptiveAvgPool2d", (8, 1, 1), 0, 0, None, None),
        ("Flatten", (8,), 0, 0, None, None),
        ("Dropout", (8,), 0, 0, None, None),
        ("Linear", (10,), 90, 80, None, None),
    ]
    assert [row.whole_image for row in rows] == [False] * 5 + [True] * 4
    assert [row.name for row in rows] == [str(index) for index in range(9)]


SHARED = nn.Linear(16, 16)
TIED = nn.Linear(16, 16)
TIED.weight = SHARED.weight


@pytest.mark.parametrize(
    ("net", "image_shape"),
    [
        (_cnn(), (3, 8, 8)),
        (nn.Linear(8, 2), (3, 8, 8)),
        (nn.Sequential(nn.Flatten(), SHARED, nn.ReLU(), SHARED, TIED), (1, 4, 4)),
        (WithOwnWeight(), (1, 2, 2)),
        (
            nn.Sequential(nn.Conv2d(1, 4, 2), nn.Flatten(2), nn.TransformerEncoderLayer(9, 3, 5, batch_first=True)),
            (1, 4, 4),
        ),
        (nn.Sequential(nn.utils.parametrizations.weight_norm(nn.Conv2d(1, 2, 3)), nn.PReLU()), (1, 4, 4)),
    ],
    ids=["cnn", "linear", "shared", "own weight", "attention", "parametrized"],
)
def test_columns_sum_to_the_totals_of_parameters_and_operations(
    net: nn.Module, image_shape: tuple[int, int, int]
) -> None:
    net.requires_grad_(True)
    first = next(net.parameters())
    first.requires_grad_(False)

    rows = trace_layers(net, image_shape)

    assert sum(row.num_params for row in rows) == sum(p.numel() for p in net.parameters())
    assert sum(row.num_params_trainable for row in rows) == sum(p.numel() for p in net.parameters()) - first.numel()
    assert num_parameters(net) == (
        sum(row.num_params for row in rows),
        sum(row.num_params_trainable for row in rows),
    )
    assert all(row.flops == 2 * row.multiply_adds for row in rows)
    # In training mode torch has no fused attention, whose operations the counter would miss.
    with torch.no_grad(), FlopCounterMode(display=False) as counter:
        net.train()(torch.ones(2, *image_shape))
    assert 2 * sum(row.flops for row in rows) == counter.get_total_flops()
    assert net_size(net, image_shape).flops == sum(row.flops for row in rows)


def test_a_layer_called_twice_has_two_rows_and_its_parameters_once() -> None:
    conv = nn.Conv2d(1, 1, kernel_size=3, padding=1)

    rows = trace_layers(nn.Sequential(conv, conv), (1, 8, 8))

    assert [(row.name, row.num_params, row.receptive_field) for row in rows] == [("0", 10, 3), ("0", 0, 5)]
    assert rows[0].multiply_adds == rows[1].multiply_adds == 9 * 64


def test_parameters_outside_called_layers_are_listed_with_their_owner() -> None:
    rows = {row.name: row for row in trace_layers(WithOwnWeight(), (1, 2, 2))}

    assert (rows[""].num_params, rows[""].multiply_adds, rows[""].output_shape) == (16, 16, (4,))
    assert (rows["unused"].num_params, rows["unused"].output_shape) == (20, None)


def test_tracing_leaves_the_net_and_the_random_state_as_they_were() -> None:
    net = nn.Sequential(nn.Conv2d(1, 2, 3), nn.BatchNorm2d(2), nn.Sequential(nn.Dropout(), nn.RReLU()))
    net[1].eval()  # A frozen part inside a net that is training.
    before = {name: value.clone() for name, value in net.state_dict().items()}
    random_state = torch.get_rng_state()

    trace_layers(net, (1, 8, 8))

    assert [module.training for module in net.modules()] == [True, True, False, True, True, True]
    assert all(not m._forward_hooks and not m._forward_pre_hooks for m in net.modules())
    assert all(torch.equal(value, before[name]) for name, value in net.state_dict().items())
    assert torch.equal(torch.get_rng_state(), random_state)
    assert torch.is_grad_enabled()


def test_a_draw_in_forward_does_not_move_the_random_state() -> None:
    class Noisy(nn.Module):
        def forward(self, image: torch.Tensor) -> torch.Tensor:
            return image + torch.randn_like(image)

    random_state = torch.get_rng_state()
    trace_layers(Noisy(), (1, 4, 4))

    assert torch.equal(torch.get_rng_state(), random_state)


def test_a_net_that_raises_is_reported_in_one_line_with_the_layer_and_left_clean() -> None:
    net = nn.Sequential(nn.Flatten(), nn.Sequential(nn.Linear(10, 4)))

    with pytest.raises(
        ValueError, match=r"Sequential raised in forward .* \(1, 4, 4\), in layer '1.0' \(Linear\): RuntimeError: mat1"
    ) as refusal:
        trace_layers(net, (1, 4, 4))

    assert "\n" not in str(refusal.value)
    assert all(module.training and not module._forward_hooks for module in net.modules())


def test_a_layer_whose_error_the_net_catches_does_not_upset_the_trace() -> None:
    class Tolerant(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.fragile, self.sturdy = nn.Linear(3, 3), nn.Conv2d(1, 1, 3)

        def forward(self, image: torch.Tensor) -> torch.Tensor:
            try:
                return self.fragile(image)
            except RuntimeError:
                return self.sturdy(image)

    rows = {row.name: row for row in trace_layers(Tolerant(), (1, 8, 8))}

    assert rows["fragile"].output_shape is None
    assert rows["sturdy"].receptive_field == 3


@pytest.mark.parametrize("image_shape", [(8, 8), (0, 8, 8), (1, 8.0, 8), (1, 1, 8, 8)])
def test_an_image_shape_that_is_none_is_refused(image_shape: tuple[int, ...]) -> None:
    with pytest.raises(ValueError, match=r"image_shape: expected \(channels, height, width\)"):
        trace_layers(nn.Identity(), image_shape)


def test_lazy_layers_are_refused_and_stay_lazy() -> None:
    net = nn.Sequential(nn.Flatten(), nn.LazyLinear(2))

    for call in (lambda: trace_layers(net, (1, 4, 4)), lambda: num_parameters(net)):
        with pytest.raises(ValueError, match=r"1\.weight: expected a shaped parameter, got a lazy one"):
            call()
    assert net[1].has_uninitialized_params()


def test_the_image_takes_the_nets_own_type() -> None:
    assert trace_layers(nn.Conv2d(1, 2, 3).double(), (1, 4, 4))[0].output_shape == (2, 2, 2)


def test_last_convolution_is_the_last_one_called() -> None:
    class Reversed(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.late, self.early, self.never = nn.Conv2d(1, 1, 3), nn.Conv2d(1, 1, 5), nn.Conv2d(1, 1, 7)

        def forward(self, image: torch.Tensor) -> torch.Tensor:
            return self.late(self.early(image))

    assert net_size(Reversed(), (1, 16, 16)).receptive_field_px == 7
    assert net_size(_cnn(), (3, 8, 8)).receptive_field_px == 8
    assert net_size(nn.Linear(4, 4), (1, 4, 4)).receptive_field_px is None
