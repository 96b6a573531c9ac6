"""The matched net is within 2% of the other, whichever that is; where none can be, one line says so."""

from __future__ import annotations

import re
from functools import partial

import pytest
import torch
from torch import nn

from vision_baselines.errors import ConfigError
from vision_baselines.models.cnn import CNN
from vision_baselines.models.fc import FC
from vision_baselines.models.fc_matched import MatchedFC, matched_widths


def num_params(net):
    return sum(p.numel() for p in net.parameters())


OTHERS = ["cnn", "cnn_gap", "cnn_rgb", "cnn_stride", "fc", "gated_mlp", "residual_mlp", "resnet18"]


@pytest.mark.parametrize("image_shape", [(1, 8, 8), (1, 28, 28), (3, 32, 32)])
@pytest.mark.parametrize(
    "other",
    [pytest.param(name, marks=[] if name in ("cnn",) else [pytest.mark.slow]) for name in OTHERS],
)
def test_it_is_within_two_percent_of_any_other_model_named_on_the_command_line(net_of, other, image_shape):
    made = net_of("fc_matched", image_shape, f"model@model.match={other}")
    target = num_params(net_of(other, image_shape))
    assert abs(num_params(made) - target) <= 0.02 * target


def test_the_other_models_own_keys_count(net_of):
    made = net_of("fc_matched", (1, 8, 8), "model.match.channels=[5,7]", "model.match.hidden_features=11")
    target = num_params(CNN((1, 8, 8), 7, channels=[5, 7], hidden_features=11))
    assert abs(num_params(made) - target) <= 0.02 * target


def test_counting_the_other_net_draws_nothing(net_of):
    torch.manual_seed(3)
    made = net_of("fc_matched", (1, 8, 8), "model@model.match=resnet18")
    drawn_after = torch.rand(4)
    widths = [layer.out_features for layer in made.fc.layers if isinstance(layer, nn.Linear)][:-1]
    torch.manual_seed(3)
    plain = FC((1, 8, 8), 7, hidden_features=widths)

    assert torch.equal(torch.rand(4), drawn_after)
    assert all(torch.equal(*pair) for pair in zip(made.parameters(), plain.parameters(), strict=True))


@pytest.mark.parametrize("shape", [[1], [1, 1], [2, 1], [4, 2, 1], [1, 3]])
def test_the_hidden_layers_have_the_ratios_of_the_shape(shape):
    widths = matched_widths(500_000, 784, 10, shape=shape)
    assert all(abs(width - widths[0] * ratio / shape[0]) <= 0.5 for width, ratio in zip(widths, shape, strict=True))


@pytest.mark.parametrize("target", range(4_000, 60_000, 1_777))
def test_small_targets_on_many_inputs_are_met_by_the_last_layer(target):
    # one unit of the first layer is 785 numbers, up to a fifth of what is asked for
    first, second = matched_widths(target, 784, 2)
    assert abs(785 * first + (first + 1) * second + (second + 1) * 2 - target) <= 0.02 * target


def test_a_target_that_no_hidden_layer_can_meet_is_refused_in_one_line():
    match = partial(CNN, (3, 32, 32), 2, channels=[2], hidden_features=None, head="global_avg_pool")
    words = (
        "model.match has 66 parameters; expected a number that a fully connected net of model.shape [2, 1] on 3,072 "
        "inputs comes within 2% of: the nearest, with hidden layers of [1, 1], has 3,079"
    )
    with pytest.raises(ValueError, match=f"^{re.escape(words)}$"):
        MatchedFC((3, 32, 32), 2, match=match)


def test_one_hidden_layer_too_coarse_for_the_target_is_refused():
    with pytest.raises(ValueError, match=r"model\.match has 5,000 parameters; .* of \[6\], has 4,724$"):
        matched_widths(5_000, 784, 2, shape=[1])


def test_the_config_refuses_in_one_line_too(net_of):
    with pytest.raises(ConfigError, match=r"model\.shape is \[\]; expected a list") as error:
        net_of("fc_matched", (1, 8, 8), "model.shape=[]")
    assert "\n" not in str(error.value)
