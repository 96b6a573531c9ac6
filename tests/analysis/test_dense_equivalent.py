"""The dense twin of a convolution against a real nn.Linear."""

import pytest
from torch import nn

from vision_baselines.analysis.dense_equivalent import dense_equivalent


@pytest.mark.parametrize(
    ("conv", "input_shape", "output_shape"),
    [
        (nn.Conv2d(2, 3, kernel_size=3), (2, 6, 5), (3, 4, 3)),
        (
            nn.Conv2d(2, 4, kernel_size=(3, 1), stride=(2, 1), padding=(1, 0), bias=False),
            (2, 6, 5),
            (4, 3, 5),
        ),
        (nn.Conv2d(4, 4, kernel_size=3, padding="same", dilation=2, groups=2), (4, 6, 6), (4, 6, 6)),
        (nn.Conv2d(1, 2, kernel_size=3, padding="valid"), (1, 6, 6), (2, 4, 4)),
    ],
)
def test_dense_equivalent_counts_what_a_built_linear_layer_holds(
    conv: nn.Conv2d, input_shape: tuple[int, int, int], output_shape: tuple[int, int, int]
) -> None:
    linear = nn.Linear(
        input_shape[0] * input_shape[1] * input_shape[2],
        output_shape[0] * output_shape[1] * output_shape[2],
        bias=conv.bias is not None,
    )

    twin = dense_equivalent(conv, input_shape)

    assert twin.output_shape == output_shape
    assert twin.dense_weights == linear.weight.numel()
    assert twin.dense_params == sum(p.numel() for p in linear.parameters())
    assert twin.conv_params == sum(p.numel() for p in conv.parameters())
    assert twin.weight_ratio == linear.weight.numel() / conv.weight.numel()


@pytest.mark.parametrize("input_shape", [(3, 8, 8), (2, 8), (2, 2, 2)])
def test_an_input_the_convolution_cannot_take_is_refused(input_shape: tuple[int, ...]) -> None:
    with pytest.raises(ValueError, match="expected"):
        dense_equivalent(nn.Conv2d(2, 3, kernel_size=3), input_shape)
