"""The measured field against the arithmetic one, which shares no code with it."""

import pytest
import torch
from torch import nn

from vision_baselines.analysis.influence import Box, influence, nonzero_box
from vision_baselines.analysis.layer_trace import trace_layers
from vision_baselines.models.cnn import CNN


@pytest.mark.few(1)
@pytest.mark.parametrize("channels", [(4,), (8, 8), (8, 8, 8)])
def test_measured_and_computed_fields_agree_through_pooling_and_relu(channels):
    torch.manual_seed(0)
    net = CNN((1, 64, 64), 10, channels=channels)

    for row in trace_layers(net, (1, 64, 64)):
        if row.kind in ("Conv2d", "MaxPool2d"):
            box = nonzero_box(influence(net, (1, 64, 64), row.name))
            assert (box.height, box.width) == (row.receptive_field, row.receptive_field), row.name


def test_influence_of_one_convolution_is_its_absolute_kernel_around_the_unit():
    net = nn.Conv2d(1, 1, 3, padding=1)

    pixels = influence(nn.Sequential(net), (1, 9, 9), "0")

    assert nonzero_box(pixels) == Box(top=3, left=3, height=3, width=3)
    assert torch.allclose(pixels[3:6, 3:6], net.weight.detach()[0, 0].abs())


def test_a_dense_layer_is_moved_by_every_pixel():
    net = nn.Sequential(nn.Flatten(), nn.Linear(12, 5))

    assert nonzero_box(influence(net, (1, 3, 4), "1")) == Box(0, 0, 3, 4)


def test_the_net_is_left_as_it_was():
    net = CNN((1, 16, 16), 10)
    net.features[0].eval()
    modes = [module.training for module in net.modules()]
    state = {name: value.clone() for name, value in net.state_dict().items()}
    before = torch.get_rng_state()

    influence(net, (1, 16, 16), "features.1.0")

    assert [module.training for module in net.modules()] == modes
    assert all(torch.equal(value, state[name]) for name, value in net.state_dict().items())
    assert all(parameter.grad is None for parameter in net.parameters())
    assert all(not module._forward_hooks for module in net.modules())
    assert torch.equal(torch.get_rng_state(), before)


def test_a_layer_that_is_not_called_is_refused():
    net = nn.Sequential(nn.Conv2d(1, 1, 3))
    net.spare = nn.Conv2d(1, 1, 3)
    net.forward = net[0].forward

    with pytest.raises(ValueError, match="layer 'spare': expected the net to call it"):
        influence(net, (1, 8, 8), "spare")


def test_an_activation_that_works_in_place_leaves_the_unit_before_it_alone():
    conv = nn.Conv2d(1, 1, 3, bias=False)
    nn.init.constant_(conv.weight, -1)
    apart = influence(nn.Sequential(conv, nn.ReLU()), (1, 7, 7), "0")

    assert torch.equal(influence(nn.Sequential(conv, nn.ReLU(inplace=True)), (1, 7, 7), "0"), apart)
    assert nonzero_box(apart) == Box(2, 2, 3, 3)


def test_a_part_without_gradient_is_moved_by_nothing():
    class Frozen(nn.Module):
        def __init__(self):
            super().__init__()
            self.conv, self.head = nn.Conv2d(1, 2, 3), nn.Conv2d(2, 2, 3)

        def forward(self, images):
            with torch.no_grad():
                features = self.conv(images)
            return self.head(features)

    assert nonzero_box(influence(Frozen(), (1, 8, 8), "conv")) is None
    assert nonzero_box(influence(Frozen(), (1, 8, 8), "head")) is None


def test_nothing_has_no_box():
    assert nonzero_box(torch.zeros(3, 3)) is None
