"""Shifted pictures answer with shifted responses, and where that ends."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from vision_baselines.analysis.convolution import conv2d
from vision_baselines.analysis.shifting import shifted, shifted_response


@settings(max_examples=60, database=None, derandomize=True)
@given(st.integers(-9, 9), st.integers(-9, 9), st.integers(1, 3), st.integers(0, 2), st.integers(1, 3))
def test_the_response_moves_with_the_picture_or_it_is_said_why_not(down, right, stride, padding, side):
    rng = np.random.default_rng(abs(down) * 20 + abs(right))
    image, kernels = rng.normal(size=(2, 7, 9)), rng.normal(size=(1, 2, side, side))

    found = shifted_response(image, kernels, down=down, right=right, stride=stride, padding=padding)

    assert found.max_difference < 1e-12  # a matrix product may add up in another order
    if down % stride or right % stride:
        assert (found.steps, found.compared) == (None, 0)
    else:
        assert found.steps == (down // stride, right // stride)
        assert found.compared <= conv2d(image, kernels, stride, padding)[0].size


def test_every_window_inside_what_both_pictures_share_is_compared():
    image = np.arange(64.0).reshape(8, 8)

    # 6 of 8 rows and all columns stay: (6 - 3 + 1) × (8 - 3 + 1) windows.
    assert shifted_response(image, np.ones((3, 3)), down=2, right=0).compared == 24
    assert shifted_response(image, np.ones((3, 3)), down=0, right=0).compared == 36
    assert shifted_response(image, np.ones((3, 3)), down=6, right=0).compared == 0


@pytest.mark.parametrize(
    ("down", "right", "expected"),
    [(0, 0, [[1, 2], [3, 4]]), (-1, 0, [[3, 4], [0, 0]]), (0, 1, [[0, 1], [0, 3]]), (5, -5, [[0, 0], [0, 0]])],
)
def test_what_leaves_the_picture_is_lost_and_what_enters_is_zero(down, right, expected):
    np.testing.assert_array_equal(shifted(np.array([[1, 2], [3, 4]]), down, right), expected)
