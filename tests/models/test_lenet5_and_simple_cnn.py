"""Both are the layers that are stated of them, sizes add up by hand, and what is too small is refused."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from vision_baselines.models.lenet5 import LeNet5
from vision_baselines.models.simple_cnn import SimpleCNN

M3 = [32, 48, 64, 80, 96, 112, 128, 144, 160, 176]


@pytest.mark.parametrize(
    ("activation", "pool"), [("relu", "max"), ("tanh", "avg"), *(("relu", "avg"), ("tanh", "max"))]
)
@pytest.mark.parametrize(("side", "padding", "left"), [(28, 2, 5), (32, 0, 5), (12, 2, 1), (31, 2, 5)])
def test_lenet5_is_two_convolutions_two_poolings_and_three_linear_layers(
    as_stated, activation, pool, side, padding, left
):
    torch.manual_seed(0)
    act = nn.ReLU() if activation == "relu" else nn.Tanh()
    half = nn.MaxPool2d(2) if pool == "max" else nn.AvgPool2d(2)
    net = LeNet5((3, side, side), 10, activation=activation, pool=pool)
    stated = as_stated(
        net,
        *(nn.Conv2d(3, 6, 5, padding=padding), act, half, nn.Conv2d(6, 16, 5), act, half, nn.Flatten()),
        *(nn.Linear(16 * left * left, 120), act, nn.Linear(120, 84), act, nn.Linear(84, 10)),
    )
    images = torch.randn(4, 3, side, side)
    assert torch.equal(net(images), stated(images))


def test_lenet5_has_the_parameters_that_add_up_by_hand():
    by_hand = (25 + 1) * 6 + (6 * 25 + 1) * 16 + (16 * 25 + 1) * 120 + 121 * 84 + 85 * 10
    assert sum(p.numel() for p in LeNet5((1, 28, 28), 10).parameters()) == by_hand == 61_706


@pytest.mark.parametrize(
    ("channels", "kernel_size", "left"), [(M3, 3, 8), ([32, 64, 96, 128, 160], 5, 8), ([48, 96, 144, 192], 7, 4)]
)
def test_simple_cnn_is_convolutions_and_batch_norm_alone(as_stated, channels, kernel_size, left):
    torch.manual_seed(0)
    net = SimpleCNN((1, 28, 28), 10, channels=channels, kernel_size=kernel_size)
    layers, before = [], 1
    for after in channels:
        layers += [nn.Conv2d(before, after, kernel_size, bias=False), nn.BatchNorm2d(after), nn.ReLU()]
        before = after
    layers += [nn.Flatten(), nn.Linear(before * left * left, 10, bias=False), nn.BatchNorm1d(10)]
    stated = as_stated(net, *layers).train()
    images = torch.randn(3, 1, 28, 28)
    assert torch.equal(net.train()(images), stated(images))


def test_m3_has_the_parameters_that_add_up_by_hand():
    widths = [1, *M3]
    convolutions = sum(9 * a * b + 2 * b for a, b in zip(widths, M3, strict=False))
    by_hand = convolutions + M3[-1] * 8 * 8 * 10 + 20
    assert sum(p.numel() for p in SimpleCNN((1, 28, 28), 10).parameters()) == by_hand == 1_124_180


@pytest.mark.parametrize("sides", [(8, 8), (11, 28), (28, 11), (1, 1)])
def test_lenet5_refuses_what_two_convolutions_leave_nothing_of(sides):
    with pytest.raises(ValueError, match=r"expected at least 12×12, such as data\.resize=28"):
        LeNet5((1, *sides), 10)


@pytest.mark.parametrize(("side", "num_channels", "kernel_size"), [(8, 4, 3), (20, 10, 3), (4, 1, 5), (28, 5, 7)])
def test_simple_cnn_says_how_many_convolutions_an_image_is_large_enough_for(side, num_channels, kernel_size):
    fit = (side - 1) // (kernel_size - 1)
    with pytest.raises(ValueError, match=rf"expected at most {fit} of them, or data\.resize=28"):
        SimpleCNN((1, side, side), 10, channels=[4] * num_channels, kernel_size=kernel_size)
    if fit:
        SimpleCNN((1, side, side), 10, channels=[4] * fit, kernel_size=kernel_size)


@pytest.mark.parametrize(
    ("net", "options", "said"),
    [
        (LeNet5, {"activation": "sigmoid"}, "model.activation is 'sigmoid'; expected relu or tanh"),
        (LeNet5, {"pool": "mean"}, "model.pool is 'mean'; expected max or avg"),
        (SimpleCNN, {"channels": []}, r"model.channels is \[\]; expected a list"),
        (SimpleCNN, {"kernel_size": 0}, "model.kernel_size is 0; expected a whole number"),
    ],
)
def test_an_argument_out_of_range_is_named(net, options, said):
    with pytest.raises(ValueError, match=said):
        net((1, 28, 28), 10, **options)
