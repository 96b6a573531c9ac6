"""Each number of the tutorial this project grew from, with the statement it belongs to."""

import pytest
from torch import nn

from vision_baselines.analysis.conv_arithmetic import output_size, receptive_field, trace_chain
from vision_baselines.analysis.dense_equivalent import dense_equivalent
from vision_baselines.analysis.layer_trace import num_parameters
from vision_baselines.analysis.net_size import net_size


def _cnn() -> nn.Sequential:
    return nn.Sequential(
        nn.Conv2d(1, 32, kernel_size=3, padding=1),
        nn.BatchNorm2d(32),
        nn.ReLU(),
        nn.MaxPool2d(2),
        nn.Conv2d(32, 64, kernel_size=3, padding=1),
        nn.BatchNorm2d(64),
        nn.ReLU(),
        nn.MaxPool2d(2),
        nn.Flatten(),
        nn.Linear(3136, 128),
        nn.ReLU(),
        nn.Dropout(),
        nn.Linear(128, 10),
    )


def _fc() -> nn.Sequential:
    return nn.Sequential(
        nn.Flatten(), nn.Linear(784, 512), nn.ReLU(), nn.Linear(512, 256), nn.ReLU(), nn.Linear(256, 10)
    )


def test_a_dense_layer_from_an_mnist_digit_to_1000_units_has_784000_weights() -> None:
    assert num_parameters(nn.Linear(28 * 28, 1000, bias=False)) == (784_000, 784_000)


def test_with_its_bias_that_layer_has_785000_parameters() -> None:
    assert num_parameters(nn.Linear(28 * 28, 1000)) == (785_000, 785_000)


def test_a_dense_layer_from_a_224_pixel_colour_image_to_1000_units_has_150528000_weights() -> None:
    # On the meta device: 600 MB of weights need not exist to be counted.
    assert num_parameters(nn.Linear(224 * 224 * 3, 1000, bias=False, device="meta"))[0] == 150_528_000


def test_a_3x3_convolution_from_3_to_16_channels_has_448_parameters_whatever_the_image() -> None:
    assert num_parameters(nn.Conv2d(3, 16, kernel_size=3))[0] == 448


def test_its_dense_equivalent_on_a_32_pixel_image_has_50348032_parameters() -> None:
    twin = dense_equivalent(nn.Conv2d(3, 16, kernel_size=3, padding=1), (3, 32, 32))

    assert (twin.conv_params, twin.dense_params) == (448, 50_348_032)


def test_the_dense_equivalent_has_116508_times_the_weights() -> None:
    # Weights by weights; with both biases the ratio is 112,384, which the tutorial does not mean.
    twin = dense_equivalent(nn.Conv2d(3, 16, kernel_size=3, padding=1), (3, 32, 32))

    assert (twin.dense_weights, twin.conv_weights) == (50_331_648, 432)
    assert round(twin.weight_ratio) == 116_508
    assert round(twin.dense_params / twin.conv_params) == 112_384


def test_padding_1_keeps_32_pixels_at_32_under_a_3x3_kernel() -> None:
    assert output_size(32, kernel_size=3, padding=1) == 32


def test_stride_2_halves_32_pixels_to_16() -> None:
    assert output_size(32, kernel_size=3, stride=2, padding=1) == 16
    assert output_size(32, kernel_size=2, stride=2) == 16


@pytest.mark.parametrize(("depth", "field"), [(1, 3), (3, 7), (5, 11), (10, 21), (20, 41), (50, 101)])
def test_stacked_3x3_layers_see_two_more_pixels_each(depth: int, field: int) -> None:
    assert receptive_field([(3, 1, 1)] * depth) == field


def test_with_pooling_the_field_grows_faster_from_layer_to_layer() -> None:
    steps = trace_chain([(3, 1, 1), (2, 2, 0), (3, 1, 1), (2, 2, 0)], input_size=32)

    assert [step.output_size for step in steps] == [32, 16, 16, 8]
    assert [step.jump for step in steps] == [1, 2, 2, 4]
    assert [step.receptive_field for step in steps] == [3, 4, 8, 10]


def test_the_tutorials_short_formula_is_right_only_while_every_stride_is_1() -> None:
    def short_formula(layers: list[tuple[int, int, int]]) -> int:
        return 1 + sum((kernel_size - 1) * stride for kernel_size, stride, _ in layers)

    pooled = [(3, 1, 1), (2, 2, 0), (3, 1, 1), (2, 2, 0)]
    assert short_formula([(3, 1, 1)] * 10) == receptive_field([(3, 1, 1)] * 10) == 21
    assert (short_formula(pooled), receptive_field(pooled)) == (9, 10)


def test_the_cnn_has_421834_parameters() -> None:
    assert num_parameters(_cnn())[0] == 421_834


def test_the_fc_net_has_535818_parameters() -> None:
    assert num_parameters(_fc())[0] == 535_818


def test_the_cnn_has_fewer_parameters_than_the_fc_net_by_a_factor_of_0_79() -> None:
    # So "the CNN has more parameters" is false of these two nets.
    assert num_parameters(_cnn())[0] / num_parameters(_fc())[0] == pytest.approx(0.79, abs=0.005)


def test_nearly_all_the_cnns_parameters_are_in_its_dense_layers() -> None:
    dense = sum(num_parameters(layer)[0] for layer in _cnn() if isinstance(layer, nn.Linear))

    assert dense == 402_826
    assert dense / 421_834 > 0.95


def test_what_the_cnn_has_more_of_is_work_eight_times_as_many_operations() -> None:
    # 9*32*784 + 288*64*196 + 3136*128 + 1280 multiply-adds against 784*512 + 512*256 + 2560.
    cnn, fc = (net_size(net, (1, 28, 28)).multiply_adds for net in (_cnn(), _fc()))

    assert (cnn, fc) == (4_241_152, 535_040)
