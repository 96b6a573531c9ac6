"""conv2d in NumPy against torch, and against hand arithmetic on the tutorial's picture."""

import statistics
import time
from collections.abc import Callable

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from vision_baselines.analysis.convolution import EDGE_KERNELS, conv2d, conv2d_loop


@st.composite
def convolutions(draw: st.DrawFn) -> tuple[np.ndarray, np.ndarray, int, int, int]:
    """Image, kernels, stride, padding and dilation that fit each other."""
    stride, padding, dilation = draw(st.integers(1, 3)), draw(st.integers(0, 3)), draw(st.integers(1, 3))
    kernel_height, kernel_width = draw(st.integers(1, 4)), draw(st.integers(1, 4))
    height = draw(st.integers(max(1, dilation * (kernel_height - 1) + 1 - 2 * padding), 16))
    width = draw(st.integers(max(1, dilation * (kernel_width - 1) + 1 - 2 * padding), 16))
    in_channels, out_channels = draw(st.integers(1, 4)), draw(st.integers(1, 4))
    rng = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
    dtype = draw(st.sampled_from([np.float32, np.float64]))
    image = rng.normal(size=(in_channels, height, width)).astype(dtype)
    kernels = rng.normal(size=(out_channels, in_channels, kernel_height, kernel_width)).astype(dtype)
    return image, kernels, stride, padding, dilation


@settings(max_examples=100, database=None, derandomize=True)
@given(convolutions())
def test_conv2d_matches_torch_on_random_shapes(case: tuple[np.ndarray, np.ndarray, int, int, int]) -> None:
    image, kernels, stride, padding, dilation = case
    expected = torch.nn.functional.conv2d(
        torch.from_numpy(image)[None],
        torch.from_numpy(kernels),
        stride=stride,
        padding=padding,
        dilation=dilation,
    )[0].numpy()

    response = conv2d(image, kernels, stride, padding, dilation)

    assert response.dtype == image.dtype
    np.testing.assert_allclose(response, expected, rtol=1e-5, atol=1e-5)


@settings(max_examples=40, database=None, derandomize=True)
@given(convolutions())
def test_the_loop_to_read_gives_what_conv2d_gives(case: tuple[np.ndarray, np.ndarray, int, int, int]) -> None:
    image, kernels, stride, padding, _ = case
    if kernels.shape[2] > image.shape[1] + 2 * padding or kernels.shape[3] > image.shape[2] + 2 * padding:
        return

    by_hand = conv2d_loop(image, kernels, stride, padding)

    np.testing.assert_allclose(by_hand, conv2d(image, kernels, stride, padding), rtol=1e-4, atol=1e-4)
    np.testing.assert_array_equal(
        conv2d_loop(image[0], kernels[0, 0], stride, padding),
        conv2d_loop(image[:1], kernels[:1, :1], stride, padding)[0],
    )


def test_the_loop_answers_exercise_1_as_torch_does() -> None:
    rng = np.random.default_rng(0)
    image, filters = rng.normal(size=(3, 32, 32)), rng.normal(size=(8, 3, 3, 3))
    conv = torch.nn.Conv2d(3, 8, kernel_size=3, bias=False, dtype=torch.float64)
    conv.weight.data = torch.from_numpy(filters)

    response = conv2d_loop(image, filters)

    assert response.shape == (8, 30, 30)
    np.testing.assert_allclose(response, conv(torch.from_numpy(image)).detach().numpy(), atol=1e-12)


def test_the_loop_does_not_overflow_in_the_type_of_a_picture() -> None:
    white = np.full((4, 4), 255, dtype=np.uint8)

    np.testing.assert_array_equal(conv2d_loop(white, np.full((2, 2), 255, dtype=np.uint8)), np.full((3, 3), 4 * 255**2))


@pytest.mark.parametrize(
    ("name", "rows"),
    [("horizontal", [[-1, -1, -1], [0, 0, 0], [1, 1, 1]]), ("vertical", [[-1, 0, 1]] * 3)],
)
def test_the_edge_kernels_have_the_signs_of_the_tutorial(name: str, rows: list[list[int]]) -> None:
    np.testing.assert_array_equal(EDGE_KERNELS[name], rows)


def test_single_channel_form_is_the_same_convolution_without_the_channel_axes() -> None:
    rng = np.random.default_rng(0)
    image, kernel = rng.normal(size=(7, 9)), rng.normal(size=(3, 2))

    np.testing.assert_array_equal(
        conv2d(image, kernel, stride=2, padding=1),
        conv2d(image[None], kernel[None, None], stride=2, padding=1)[0],
    )


BRIGHT_TOP_HALF = np.repeat([1.0, 0.0], 4)[:, None] * np.ones(8)


def test_horizontal_kernel_answers_only_at_the_edge_of_the_bright_top_half() -> None:
    # Rows 2 and 3 of the output cover image rows 2-4 and 3-5: one row of three ones above, zeros below.
    expected = np.array([[0] * 6, [0] * 6, [-3] * 6, [-3] * 6, [0] * 6, [0] * 6])

    np.testing.assert_array_equal(conv2d(BRIGHT_TOP_HALF, EDGE_KERNELS["horizontal"]), expected)


def test_vertical_kernel_does_not_answer_to_a_horizontal_edge() -> None:
    np.testing.assert_array_equal(conv2d(BRIGHT_TOP_HALF, EDGE_KERNELS["vertical"]), np.zeros((6, 6)))


def test_sobel_and_laplacian_answer_the_bright_top_half_as_by_hand() -> None:
    sobel_y = conv2d(BRIGHT_TOP_HALF, EDGE_KERNELS["sobel_y"])
    laplacian = conv2d(BRIGHT_TOP_HALF, EDGE_KERNELS["laplacian"])

    # -(1 + 2 + 1) where the row above is bright and the row below dark.
    np.testing.assert_array_equal(sobel_y[:, 0], [0, 0, -4, -4, 0, 0])
    np.testing.assert_array_equal(conv2d(BRIGHT_TOP_HALF, EDGE_KERNELS["sobel_x"]), np.zeros((6, 6)))
    # The last bright row lacks one neighbour of four, the first dark row has one.
    np.testing.assert_array_equal(laplacian[:, 0], [0, 0, -1, 1, 0, 0])


@pytest.mark.parametrize("name", EDGE_KERNELS)
def test_edge_kernels_sum_to_zero_and_cannot_be_changed(name: str) -> None:
    assert EDGE_KERNELS[name].sum() == 0
    with pytest.raises(ValueError, match="read-only"):
        EDGE_KERNELS[name][0, 0] = 7


def test_the_kernel_is_not_flipped() -> None:
    np.testing.assert_array_equal(conv2d([[1, 2, 3]], [[1, 0]]), [[1, 2]])


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ((np.ones((3, 8, 8)), np.ones((2, 1, 3, 3))), r"3 channels, got kernels for 1"),
        ((np.ones((8, 8)), np.ones((2, 1, 3, 3))), r"got image \(8, 8\) with kernels \(2, 1, 3, 3\)"),
        ((np.ones((2, 2)), np.ones((3, 3))), r"spans 3 pixels: expected at most the padded input of 2"),
        ((np.ones((4, 4)), np.ones((3, 3)), 0), r"stride: expected an integer >= 1, got 0"),
        ((np.ones((4, 4)), np.ones((3, 3)), 1, -1), r"padding: expected an integer >= 0, got -1"),
        ((np.ones((4, 4)), np.ones((3, 3)), 1, 0, 0), r"dilation: expected an integer >= 1, got 0"),
        ((np.ones((4, 4)), np.ones((3, 3)), 1.5), r"stride: expected an integer >= 1, got 1.5"),
        (([["a", "b"]], np.ones((1, 1))), r"image: expected an array of real numbers"),
        (([[1, 2], [3]], np.ones((1, 1))), r"image: expected a rectangular array"),
    ],
)
def test_bad_input_is_refused_in_one_line(arguments: tuple[object, ...], message: str) -> None:
    for function in (conv2d, conv2d_loop) if len(arguments) < 5 else (conv2d,):
        with pytest.raises(ValueError, match=message) as refusal:
            function(*arguments)
        assert "\n" not in str(refusal.value)


def _median_s(call: Callable[[], object], repeats: int = 15) -> float:
    durations = []
    for _ in range(repeats):
        start = time.perf_counter()
        call()
        durations.append(time.perf_counter() - start)
    return statistics.median(durations)


@pytest.mark.slow
def test_conv2d_takes_at_most_twenty_times_as_long_as_torch() -> None:
    rng = np.random.default_rng(0)
    image = rng.normal(size=(3, 224, 224)).astype(np.float32)
    kernels = rng.normal(size=(8, 3, 3, 3)).astype(np.float32)
    batch, weight = torch.from_numpy(image)[None], torch.from_numpy(kernels)
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        conv2d(image, kernels), torch.nn.functional.conv2d(batch, weight)  # Neither pays for a first call.
        numpy_s = _median_s(lambda: conv2d(image, kernels))
        torch_s = _median_s(lambda: torch.nn.functional.conv2d(batch, weight))
    finally:
        torch.set_num_threads(threads)

    assert numpy_s <= 20 * torch_s, f"NumPy {numpy_s * 1e3:.2f} ms, torch {torch_s * 1e3:.2f} ms"
