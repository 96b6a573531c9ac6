"""ResNet-18 for small images has the published size, keeps their resolution, and is torchvision's but for the stem."""

from __future__ import annotations

import pytest
import torch
from torch import nn
from torchvision.models import resnet18

from vision_baselines.models.resnet import ResNet18


@pytest.fixture(scope="module")
def net():
    torch.manual_seed(0)
    return ResNet18((3, 32, 32), 10)


def test_it_has_exactly_the_published_number_of_parameters_on_cifar10(net):
    assert sum(p.numel() for p in net.parameters()) == 11_173_962


def test_the_first_blocks_see_the_image_at_full_resolution_and_the_last_an_eighth_of_it(net):
    seen = {}
    for name in ("layer1", "layer4"):
        net.resnet.get_submodule(name).register_forward_hook(
            lambda module, args, output, name=name: seen.update({name: tuple(output.shape[1:])})
        )
    with torch.no_grad():
        net.eval()(torch.zeros(1, 3, 32, 32))
    assert seen == {"layer1": (64, 32, 32), "layer4": (512, 4, 4)}


def test_behind_the_stem_it_is_the_function_of_torchvisions(net):
    plain = resnet18(num_classes=10).eval()
    plain.load_state_dict({k: v for k, v in net.resnet.state_dict().items() if k != "conv1.weight"}, strict=False)
    plain.conv1, plain.maxpool = nn.Identity(), nn.Identity()
    images = torch.randn(2, 3, 16, 16)
    with torch.no_grad():
        stem = nn.functional.conv2d(images, net.resnet.conv1.weight, padding=1)
        torch.testing.assert_close(net.eval()(images), plain(stem))


def test_the_stem_is_drawn_with_the_spread_of_torchvisions_other_convolutions(net):
    weight = net.resnet.conv1.weight.detach()
    assert float(weight.std()) == pytest.approx((2 / (64 * 9)) ** 0.5, rel=0.1)


@pytest.mark.parametrize("image_shape", [(1, 8, 8), (5, 11, 7), (2, 1, 1)])
def test_it_maps_any_image_shape_and_class_count_to_logits(image_shape):
    with torch.no_grad():
        assert ResNet18(image_shape, 3)(torch.zeros(2, *image_shape)).shape == (2, 3)
