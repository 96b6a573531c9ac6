"""The one pass against the functions that each count one thing, and what TensorBoard shows of it."""

import pytest
from torch import nn

from vision_baselines.analysis.layer_trace import num_parameters, trace_layers
from vision_baselines.analysis.net_size import net_size
from vision_baselines.models.cnn import CNN
from vision_baselines.models.fc import FC
from vision_baselines.training.parameter_table import scalars, text_table

SHAPE = (1, 28, 28)


@pytest.mark.parametrize("net", [CNN(SHAPE, 10), FC(SHAPE, 10)])
def test_one_pass_says_what_each_count_says_alone(net):
    net.requires_grad_(False)
    next(net.parameters()).requires_grad_()
    size = net_size(net, SHAPE)

    assert (size.num_params, size.num_params_trainable) == num_parameters(net)
    assert size.flops == sum(row.flops for row in trace_layers(net, SHAPE)) == 2 * size.multiply_adds
    assert sum(layer.num_params for layer in size.layers) == size.num_params


def test_tensorboard_is_reported_totals_flops_field_and_layers():
    found = scalars(net_size(CNN(SHAPE, 10), SHAPE))

    assert found.pop("parameters/total") == found.pop("parameters/trainable") == 421_834
    assert found.pop("parameters/flops_per_image") == 8_482_304
    assert found.pop("parameters/receptive_field_px") == 8
    assert sum(found.values()) == 421_834


def test_a_net_without_convolutions_has_no_field_to_log():
    assert "parameters/receptive_field_px" not in scalars(net_size(FC(SHAPE, 10), SHAPE))


def test_the_text_table_has_a_row_per_layer_and_the_totals():
    text = text_table(net_size(nn.Sequential(nn.Conv2d(1, 2, 3), nn.Flatten(), nn.Linear(72, 3)), (1, 8, 8)))

    assert [line.removeprefix("    ") for line in text.splitlines()] == [
        "layer      kind     output shape  parameters  FLOPs per image  receptive field",
        "──────────────────────────────────────────────────────────────────────────────",
        "0          Conv2d   2×6×6                 20            1,296             3 px",
        "1          Flatten  72                     0                0      whole image",
        "2          Linear   3                    219              432      whole image",
        "──────────────────────────────────────────────────────────────────────────────",
        "total                                    239            1,728",
        "trainable                                239",
    ]
