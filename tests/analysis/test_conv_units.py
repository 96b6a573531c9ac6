"""Where units look, held against their gradients; and what is cut out there."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional as F  # noqa: N812 (torch's own convention)

from vision_baselines.analysis.conv_units import ConvUnits, conv_units, cut_out, watched, windows
from vision_baselines.analysis.influence import Box, nonzero_box
from vision_baselines.models.cnn import CNN
from vision_baselines.models.resnet import ResNet18


class Branches(nn.Module):
    """As an Inception block: three branches that look at windows of different sizes, then a convolution of all."""

    def __init__(self) -> None:
        super().__init__()
        self.stem = nn.Conv2d(1, 4, 3, stride=2, padding=1)
        self.narrow, self.wide = nn.Conv2d(4, 3, 1), nn.Conv2d(4, 3, 5, padding=2)
        self.join = nn.Conv2d(10, 4, 3, padding=1)
        self.head = nn.Linear(4, 3)

    def forward(self, x: Tensor) -> Tensor:
        x = self.stem(x).relu()
        x = torch.cat([self.narrow(x), self.wide(x), F.max_pool2d(x, 3, 1, 1)], dim=1)
        return self.head(self.join(x).mean((2, 3)))


class Residual(nn.Module):
    """A skip beside two convolutions, and another one through a convolution of stride 2."""

    def __init__(self) -> None:
        super().__init__()
        self.stem, self.first, self.second = (nn.Conv2d(c, 4, 3, padding=1) for c in (1, 4, 4))
        self.down, self.skip = nn.Conv2d(4, 6, 3, stride=2, padding=1), nn.Conv2d(4, 6, 1, stride=2)
        self.last = nn.Conv2d(6, 6, 3, padding=1)

    def forward(self, x: Tensor) -> Tensor:
        x = self.stem(x).relu()
        x = x + self.second(self.first(x).relu())
        return self.last((self.down(x) + self.skip(x)).relu()).mean((2, 3))


class Shared(nn.Module):
    """One convolution, called three times, with a pooling before the last."""

    def __init__(self) -> None:
        super().__init__()
        self.stem, self.conv = nn.Conv2d(1, 4, 3, padding=1), nn.Conv2d(4, 4, 3, padding=1)

    def forward(self, x: Tensor) -> Tensor:
        x = self.conv(self.conv(self.stem(x)).relu()).relu()
        return self.conv(F.avg_pool2d(x, 2)).mean((2, 3))


class Odd(nn.Module):
    """A user's net: it crops, pads on one side, has kernels that are not square, and works in place."""

    def __init__(self) -> None:
        super().__init__()
        self.tall, self.flat = nn.Conv2d(1, 4, (5, 2), stride=(1, 2)), nn.Conv2d(4, 4, (1, 4))
        self.act = nn.ReLU(inplace=True)

    def forward(self, x: Tensor) -> Tensor:
        x = self.act(self.tall(F.pad(x[:, :, 1:], (2, 0, 0, 1))))
        return self.flat(x).amax((2, 3))


def sequential(*layers: nn.Module) -> nn.Module:
    return nn.Sequential(*layers, nn.AdaptiveAvgPool2d(1), nn.Flatten())


NETS = {
    "one convolution": (lambda: nn.Conv2d(1, 3, 3, padding=1), (1, 9, 9)),
    "strided": (lambda: sequential(nn.Conv2d(1, 4, 3, 2, 1), nn.ReLU(), nn.Conv2d(4, 4, 3, 2, 1)), (1, 21, 17)),
    "dilated": (
        lambda: sequential(nn.Conv2d(1, 4, 3, dilation=2), nn.Conv2d(4, 4, 3, padding=3, dilation=3)),
        (1, 20, 20),
    ),
    "padded": (lambda: sequential(nn.Conv2d(1, 4, 3, padding=4), nn.Conv2d(4, 4, 5, padding="same")), (1, 14, 14)),
    "pooled": (lambda: CNN((1, 28, 28), 10, channels=(4, 6, 8)), (1, 28, 28)),
    "7x7 kernels": (lambda: CNN((1, 28, 28), 10, channels=(4, 6), kernel_size=7), (1, 28, 28)),
    "overlapping pools": (
        lambda: sequential(nn.Conv2d(2, 4, 3), nn.MaxPool2d(3, 2, 1), nn.Conv2d(4, 4, 3), nn.AvgPool2d(3, 1)),
        (2, 19, 23),
    ),
    "ceiling": (lambda: sequential(nn.MaxPool2d(2, ceil_mode=True), nn.Conv2d(1, 4, 2)), (1, 11, 13)),
    "even kernels": (lambda: sequential(nn.Conv2d(1, 4, 2), nn.ReLU(), nn.Conv2d(4, 4, 4, 2, 1)), (1, 15, 18)),
    "grouped": (lambda: sequential(nn.Conv2d(4, 8, 3, groups=4), nn.Conv2d(8, 8, 3, groups=8, stride=2)), (4, 13, 13)),
    "branches": (Branches, (1, 23, 19)),
    "residual": (Residual, (1, 18, 21)),
    "shared": (Shared, (1, 17, 16)),
    "a user's": (Odd, (1, 16, 15)),
    "reflected": (lambda: sequential(nn.Conv2d(1, 4, 3, padding=1, padding_mode="reflect")), (1, 9, 9)),
}
SLOW_NETS = {"resnet18": (lambda: ResNet18((3, 24, 24), 10), (3, 24, 24))}


def gradients(net: nn.Module, unit: ConvUnits, image_shape, place) -> Tensor:
    """How much each pixel moves the unit at a place: absolute gradients, summed over channels and images of noise."""
    count = 3 if unit.channels > 16 else 12
    noise = torch.randn(count, *image_shape, generator=torch.Generator().manual_seed(1)).requires_grad_()
    found = []
    with watched(net, [unit], lambda _, output: found.append(output[:, :, place[0], place[1]])):
        net(noise)
    total = torch.zeros(image_shape[1:])
    for channel in range(1 if unit.channels > 16 else 3):
        (gradient,) = torch.autograd.grad(found[0][:, channel].sum(), noise, retain_graph=True)
        total += gradient.abs().sum((0, 1))
    return total


def clipped(box: Box, image_shape) -> Box | None:
    """The part inside the image; a unit may see nothing but padding."""
    top, left = max(box.top, 0), max(box.left, 0)
    bottom, right = min(box.top + box.height, image_shape[1]), min(box.left + box.width, image_shape[2])
    return Box(top, left, bottom - top, right - left) if bottom > top and right > left else None


@pytest.mark.few(2)
@pytest.mark.parametrize("name", [*NETS, *(pytest.param(name, marks=pytest.mark.slow) for name in SLOW_NETS)])
def test_the_gradient_of_a_unit_fills_its_box_in_the_middle_and_at_every_edge(name):
    make, image_shape = (NETS | SLOW_NETS)[name]
    torch.manual_seed(0)
    net = make().eval()
    units = conv_units(net, image_shape)
    assert len(units) >= sum(isinstance(module, nn.Conv2d) for module in net.modules())
    for unit in units:
        rows, columns = unit.size
        for place in {(0, 0), unit.centre, (rows - 1, columns - 1), (0, columns // 3)}:
            if place != unit.centre and name in SLOW_NETS:
                continue
            expected = clipped(unit.box(*place), image_shape)
            assert unit.field is not None or name == "reflected"
            if "reflected" not in name:
                assert nonzero_box(gradients(net, unit, image_shape, place)) == expected, (unit.label, place)


def test_a_shared_convolution_stands_there_once_a_call_and_sees_more_each_time():
    units = conv_units(Shared(), (1, 16, 16))

    assert [unit.label for unit in units] == ["stem", "conv", "conv, call 2", "conv, call 3"]
    assert [unit.field_size for unit in units] == [(3, 3), (5, 5), (7, 7), (12, 12)]
    assert [unit.size for unit in units] == [(16, 16), (16, 16), (16, 16), (8, 8)]


def test_where_the_field_is_not_known_or_is_the_whole_image_the_box_is_the_image():
    class Rolled(nn.Module):
        def __init__(self):
            super().__init__()
            self.first, self.second = nn.Conv2d(1, 2, 3), nn.Conv2d(2, 2, 3)

        def forward(self, x):
            return self.second(self.first(x.roll(1, 2)))

    whole = nn.Sequential(nn.GroupNorm(1, 1), nn.Conv2d(1, 2, 3))
    for net in (Rolled(), whole):
        for unit in conv_units(net, (1, 9, 7)):
            assert unit.field_size is None
            assert unit.box(2, 3) == Box(0, 0, 9, 7)


def test_a_net_without_convolutions_has_no_units():
    assert conv_units(nn.Sequential(nn.Flatten(), nn.Linear(9, 2)), (1, 3, 3)) == []


def test_what_is_watched_is_handed_over_before_a_layer_in_place_changes_it_and_nothing_is_left_behind():
    conv = nn.Conv2d(1, 2, 3)
    net = nn.Sequential(conv, nn.ReLU(inplace=True))
    units, images, seen = conv_units(net, (1, 6, 6)), torch.randn(4, 1, 6, 6), []
    with torch.no_grad(), watched(net, units, lambda place, output: seen.append((place, output.clone()))):
        net(images)
        net(images)

        assert [place for place, _ in seen] == [0, 0]
        assert torch.equal(seen[1][1], conv(images))
    assert not conv._forward_hooks
    assert not net._forward_pre_hooks


def test_a_patch_is_the_image_where_the_box_is_inside_and_the_centre_stays_the_centre():
    image = torch.arange(30.0).view(1, 5, 6)
    patch, inside = cut_out(image, Box(-1, 3, 3, 5))

    assert torch.equal(patch[0, 1:, :3], image[0, :2, 3:])
    assert inside.tolist() == [[False] * 5, [True, True, True, False, False], [True, True, True, False, False]]
    assert not patch[:, ~inside].any()
    assert not cut_out(image, Box(7, 7, 2, 2))[1].any()


@pytest.mark.parametrize("boxes", [[Box(-2, -3, 5, 5)], [Box(-2, -1, 5, 3), Box(-1, -1, 5, 3)], [Box(2, 2, 3, 3)]])
def test_only_border_that_no_patch_needs_is_cut_and_centres_stay(boxes):
    image = torch.rand(1, 6, 5)
    for box, window in zip(boxes, windows(boxes, (6, 5)), strict=True):
        assert cut_out(image, box)[1].sum() == cut_out(image, window)[1].sum()
        assert 2 * box.top + box.height == 2 * window.top + window.height
        assert 2 * box.left + box.width == 2 * window.left + window.width


@pytest.mark.parametrize("boxes", [[Box(-9, -3, 21, 9)], [Box(-9, 1, 21, 3), Box(-5, 2, 21, 3)]])
def test_a_box_that_is_longer_than_the_image_is_shown_on_the_image(boxes):
    for box, window in zip(boxes, windows(boxes, (6, 5)), strict=True):
        assert (window.top, window.height) == (0, 6)
        assert window.width <= min(box.width, 5)
