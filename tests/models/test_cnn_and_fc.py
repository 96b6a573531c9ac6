"""The nets have the published sizes, are built for any image, and refuse images they cannot take."""

from __future__ import annotations

import re

import pytest
import torch
from torch import nn

from vision_baselines.models.cnn import CNN
from vision_baselines.models.fc import FC


@pytest.mark.parametrize(("net", "parameters"), [(CNN, 421_834), (FC, 535_818)])
def test_nets_have_exactly_the_published_number_of_parameters_on_28_pixels(net, parameters):
    made = net((1, 28, 28), 10)
    assert sum(p.numel() for p in made.parameters()) == parameters
    assert all(p.requires_grad for p in made.parameters())


def test_cnn_parameters_add_up_by_hand():
    conv = (1 * 9 + 1) * 32 + (32 * 9 + 1) * 64
    norm = 2 * 32 + 2 * 64
    head = (64 * 7 * 7 + 1) * 128 + (128 + 1) * 10
    assert sum(p.numel() for p in CNN((1, 28, 28), 10).parameters()) == conv + norm + head


def block(in_channels, out_channels):
    conv = nn.Conv2d(in_channels, out_channels, 3, padding=1)
    return nn.Sequential(conv, nn.BatchNorm2d(out_channels), nn.ReLU(), nn.MaxPool2d(2))


def test_cnn_is_the_function_of_two_blocks_and_a_head(as_stated):
    net = CNN((1, 28, 28), 10)
    net(torch.randn(8, 1, 28, 28))  # so that the running statistics are not those of nothing
    head = [nn.Flatten(), nn.Linear(64 * 7 * 7, 128), nn.ReLU(), nn.Dropout(0.5), nn.Linear(128, 10)]
    images = torch.randn(4, 1, 28, 28)
    expected = as_stated(net, block(1, 32), block(32, 64), *head).eval()(images)
    torch.testing.assert_close(net.eval()(images), expected)


def test_fc_is_the_function_of_flatten_and_three_linear_layers(as_stated):
    net = FC((1, 28, 28), 10)
    sizes = [(784, 512), (512, 256)]
    hidden = [layer for a, b in sizes for layer in (nn.Linear(a, b), nn.ReLU(), nn.Dropout(0.5))]
    images = torch.randn(4, 1, 28, 28)
    expected = as_stated(net, nn.Flatten(), *hidden, nn.Linear(256, 10)).eval()(images)
    torch.testing.assert_close(net.eval()(images), expected)


@pytest.mark.parametrize(("net", "layers"), [(CNN, 1), (FC, 2)])
def test_dropout_stands_between_the_hidden_layers(net, layers):
    assert sum(isinstance(m, nn.Dropout) for m in net((1, 8, 8), 2).modules()) == layers


def test_in_training_dropout_zeroes_half_and_doubles_the_rest():
    dropout = next(m for m in FC((1, 8, 8), 2).modules() if isinstance(m, nn.Dropout))
    torch.manual_seed(0)
    out = dropout.train()(torch.ones(100, 1001))
    assert set(out.unique().tolist()) == {0.0, 2.0}
    assert float((out == 0).float().mean()) == pytest.approx(0.5, abs=0.01)  # six standard deviations


def test_dropout_is_one_half_by_default():
    for net in (CNN((1, 8, 8), 2), FC((1, 8, 8), 2)):
        assert {m.p for m in net.modules() if isinstance(m, nn.Dropout)} == {0.5}


@pytest.mark.parametrize("net", [CNN, FC])
@pytest.mark.parametrize("image_shape", [(3, 32, 32), (1, 16, 16), (2, 5, 9), (3, 4, 4)])
def test_nets_map_any_image_shape_to_logits(net, image_shape):
    logits = net(image_shape, 7)(torch.zeros(2, *image_shape))
    assert logits.shape == (2, 7)


@pytest.mark.parametrize("image_shape", [(1, 3, 3), (1, 28, 2), (2, 1, 1)])
def test_cnn_refuses_an_image_too_small_for_two_poolings_in_one_line(image_shape):
    with pytest.raises(ValueError, match=r"\S") as error:
        CNN(image_shape, 10)
    assert "\n" not in str(error.value)


def test_the_refusal_of_a_small_image_names_the_image_and_what_to_change():
    with pytest.raises(ValueError, match="image") as error:
        CNN((1, 3, 3), 10)
    assert "3" in str(error.value)
    assert "channels" in str(error.value)


def test_cnn_refuses_an_even_kernel_and_names_its_key():
    with pytest.raises(ValueError, match=r"model\.kernel_size is 4; expected an odd number"):
        CNN((1, 8, 8), 2, kernel_size=4)


@pytest.mark.parametrize(
    ("given", "words"),
    [
        (512, "model.hidden_features is 512; expected a list, which may be empty, of whole numbers of at least 1"),
        ([512, 0], "model.hidden_features is [512, 0]; expected"),
        ("512", "model.hidden_features is '512'; expected"),
    ],
)
def test_fc_refuses_widths_that_are_none_and_names_their_key(given, words):
    with pytest.raises(ValueError, match=re.escape(words)):
        FC((1, 8, 8), 2, hidden_features=given)


@pytest.mark.parametrize("net", [CNN, FC])
@pytest.mark.parametrize("image_shape", [(8, 8), (1, 8, 0), [1, 8, 8.0], "188"])
def test_an_image_shape_that_is_none_is_refused_by_its_key(net, image_shape):
    with pytest.raises(ValueError, match=r"^data\.image_shape is .*; expected \[channels, height, width\]"):
        net(image_shape, 2)


def test_fc_without_hidden_layers_is_softmax_regression():
    assert sum(p.numel() for p in FC((1, 4, 4), 3, hidden_features=()).parameters()) == 16 * 3 + 3


def test_convolutions_keep_the_image_size_so_only_pooling_halves_it():
    features = CNN((1, 28, 20), 10).features(torch.zeros(1, 1, 28, 20))
    assert features.shape == (1, 64, 7, 5)
