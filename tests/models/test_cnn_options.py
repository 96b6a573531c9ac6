"""Every option of the CNN makes the layers it says, in the order it says, and refuses what is no option."""

from __future__ import annotations

import re

import pytest
import torch
from torch import nn

from vision_baselines.models.cnn import CNN

IMAGE = (3, 12, 12)


def conv(in_channels, out_channels, **options):
    return nn.Conv2d(in_channels, out_channels, 3, padding=1, **options)


def as_by_default(*, channels=(4, 6)):
    """Convolution, normalisation, ReLU and only then pooling, which is how it is stated."""
    a, b = channels
    first = [conv(3, a), nn.BatchNorm2d(a), nn.ReLU(), nn.MaxPool2d(2)]
    return [*first, conv(a, b), nn.BatchNorm2d(b), nn.ReLU(), nn.MaxPool2d(2)]


def top(features):
    return [nn.Flatten(), nn.Linear(features, 5), nn.ReLU(), nn.Linear(5, 7)]


STATED = {
    "": [*as_by_default(), *top(6 * 9)],
    "downsample=avg_pool": [
        *(conv(3, 4), nn.BatchNorm2d(4), nn.ReLU(), nn.AvgPool2d(2)),
        *(conv(4, 6), nn.BatchNorm2d(6), nn.ReLU(), nn.AvgPool2d(2), *top(6 * 9)),
    ],
    "downsample=stride": [
        *(conv(3, 4, stride=2), nn.BatchNorm2d(4), nn.ReLU()),
        *(conv(4, 6, stride=2), nn.BatchNorm2d(6), nn.ReLU(), *top(6 * 9)),
    ],
    "downsample=none": [
        *(conv(3, 4), nn.BatchNorm2d(4), nn.ReLU(), conv(4, 6), nn.BatchNorm2d(6), nn.ReLU(), *top(6 * 144)),
    ],
    "norm=none": [
        *(conv(3, 4), nn.ReLU(), nn.MaxPool2d(2), conv(4, 6), nn.ReLU(), nn.MaxPool2d(2), *top(6 * 9)),
    ],
    "norm=group channels=32,6": [
        *(conv(3, 32), nn.GroupNorm(2, 32), nn.ReLU(), nn.MaxPool2d(2)),
        *(conv(32, 6), nn.GroupNorm(1, 6), nn.ReLU(), nn.MaxPool2d(2), *top(6 * 9)),
    ],
    "conv_per_block=2 channels=4": [
        *(conv(3, 4), nn.BatchNorm2d(4), nn.ReLU(), conv(4, 4), nn.BatchNorm2d(4), nn.ReLU(), nn.MaxPool2d(2)),
        *top(4 * 36),
    ],
    "conv_per_block=2 downsample=stride channels=4": [
        *(conv(3, 4), nn.BatchNorm2d(4), nn.ReLU(), conv(4, 4, stride=2), nn.BatchNorm2d(4), nn.ReLU()),
        *top(4 * 36),
    ],
    "head=global_avg_pool": [*as_by_default(), nn.AvgPool2d(3), *top(6)],
    "head=global_avg_pool hidden_features=": [*as_by_default(), nn.AvgPool2d(3), nn.Flatten(), nn.Linear(6, 7)],
    "hidden_features=": [*as_by_default(), nn.Flatten(), nn.Linear(6 * 9, 7)],
    "kernel_size=5 channels=4": [
        *(nn.Conv2d(3, 4, 5, padding=2), nn.BatchNorm2d(4), nn.ReLU(), nn.MaxPool2d(2), *top(4 * 36)),
    ],
}


def options_of(text):
    chosen = {"channels": (4, 6), "hidden_features": 5, "dropout": 0.0}
    for key, value in (word.split("=") for word in text.split()):
        if key in ("channels", "kernel_size", "conv_per_block", "hidden_features"):
            numbers = tuple(int(number) for number in value.split(",") if number)
            chosen[key] = numbers if key == "channels" else numbers[0] if numbers else None
        else:
            chosen[key] = value
    return chosen


@pytest.mark.parametrize("options", STATED)
def test_the_net_has_the_values_and_gradients_of_the_layers_as_stated(options, as_stated):
    torch.manual_seed(0)
    net = CNN(IMAGE, 7, **options_of(options)).train()
    reference = as_stated(net, *STATED[options]).train()
    images = torch.randn(8, *IMAGE)

    ours, theirs = net(images), reference(images)
    ours.square().mean().backward()
    theirs.square().mean().backward()

    torch.testing.assert_close(ours, theirs)
    for mine, stated in zip(net.parameters(), reference.parameters(), strict=True):
        torch.testing.assert_close(mine.grad, stated.grad)
    for mine, stated in zip(net.buffers(), reference.buffers(), strict=True):
        torch.testing.assert_close(mine, stated)


@pytest.mark.parametrize("downsample", ["max_pool", "avg_pool", "stride", "none"])
@pytest.mark.parametrize("head", ["flatten", "global_avg_pool"])
@pytest.mark.parametrize("image_shape", [(1, 28, 28), (3, 33, 17), (2, 5, 9)])
def test_every_way_to_halve_and_to_end_maps_any_image_to_logits(downsample, head, image_shape):
    net = CNN(image_shape, 3, channels=[4, 4], hidden_features=None, downsample=downsample, head=head)
    assert net(torch.zeros(2, *image_shape)).shape == (2, 3)


def test_dropout_stands_before_the_last_layer_whether_or_not_there_is_a_hidden_one():
    for hidden_features in (5, None):
        net = CNN(IMAGE, 7, hidden_features=hidden_features, dropout=0.25)
        assert [type(module).__name__ for module in net.head][-2:] == ["Dropout", "Linear"]
        assert net.head[-2].p == 0.25


@pytest.mark.parametrize("downsample", ["max_pool", "avg_pool", "stride"])
def test_an_image_too_small_for_the_blocks_is_refused_however_they_halve_it(downsample):
    with pytest.raises(ValueError, match=r"^data\.image_shape is \[1, 4, 4\]: too small for the 4 blocks.*halves it$"):
        CNN((1, 4, 4), 2, channels=[2, 2, 2, 2], downsample=downsample)
    CNN((1, 4, 4), 2, channels=[2, 2, 2, 2], downsample="none")


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"downsample": "maxpool"}, "model.downsample is 'maxpool'; expected max_pool, avg_pool, stride or none; did"),
        ({"downsample": "strided"}, "did you mean stride?"),
        ({"head": "gap"}, "model.head is 'gap'; expected flatten or global_avg_pool"),
        ({"norm": None}, "model.norm is None; expected batch, group or none"),
        ({"norm": "batch_norm"}, "did you mean batch?"),
        ({"channels": []}, "model.channels is []; expected a list, such as [32, 64], of whole numbers of at least 1"),
        ({"channels": 32}, "model.channels is 32; expected a list"),
        ({"channels": (8, -1)}, "model.channels is [8, -1]; expected a list"),
        ({"conv_per_block": 0}, "model.conv_per_block is 0; expected a whole number of at least 1"),
        ({"kernel_size": 3.0}, "model.kernel_size is 3.0; expected a whole number of at least 1"),
        ({"hidden_features": True}, "model.hidden_features is True; expected a whole number of at least 1"),
    ],
)
def test_what_is_no_option_is_refused_in_one_line_with_its_key(options, words):
    with pytest.raises(ValueError, match=re.escape(words)) as error:
        CNN(IMAGE, 2, **options)
    assert "\n" not in str(error.value)
