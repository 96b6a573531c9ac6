"""2-D convolution in NumPy alone: `conv2d_loop` to be read, `conv2d` to be used.

What deep-learning libraries call convolution is cross-correlation: the kernel is not flipped
(Goodfellow, Bengio & Courville 2016, *Deep Learning*, eq. 9.6), and so it is here. It has no
gradients, groups or batches: `torch.nn.functional.conv2d` has those.
"""

from collections.abc import Mapping
from types import MappingProxyType
from typing import Any, Final

import numpy as np
from numpy.lib.stride_tricks import sliding_window_view
from numpy.typing import ArrayLike, NDArray

from vision_baselines.analysis.conv_arithmetic import output_size


def _constant(rows: list[list[float]]) -> NDArray[np.float64]:
    kernel = np.array(rows, dtype=np.float64)
    kernel.setflags(write=False)
    return kernel


EDGE_KERNELS: Final[Mapping[str, NDArray[np.float64]]] = MappingProxyType(
    {
        # Prewitt 1970. In all of them, brightness that grows downwards (to the right) answers positive.
        "horizontal": _constant([[-1, -1, -1], [0, 0, 0], [1, 1, 1]]),
        "vertical": _constant([[-1, 0, 1], [-1, 0, 1], [-1, 0, 1]]),
        # Sobel & Feldman 1968.
        "sobel_x": _constant([[-1, 0, 1], [-2, 0, 2], [-1, 0, 1]]),
        "sobel_y": _constant([[-1, -2, -1], [0, 0, 0], [1, 2, 1]]),
        # The discrete Laplacian of four neighbours.
        "laplacian": _constant([[0, 1, 0], [1, -4, 1], [0, 1, 0]]),
    }
)
"""Hand-made 3x3 edge detectors by name, read-only; each sums to zero, so flat areas answer 0."""


def conv2d(
    image: ArrayLike, kernels: ArrayLike, stride: int = 1, padding: int = 0, dilation: int = 1
) -> NDArray[np.floating[Any]]:
    """Response of each kernel at each position of the image, as `torch.nn.functional.conv2d` gives it.

    The image is unrolled into one column per output pixel (``C_in * kH * kW`` times its memory at
    stride 1) and multiplied once: a matrix product is where NumPy is as fast as torch.

    Args:
        image: ``(C_in, H, W)``, or ``(H, W)`` with one kernel ``(kH, kW)``.
        kernels: ``(C_out, C_in, kH, kW)``, or ``(kH, kW)``.
        stride: Pixels between neighbouring outputs, both ways.
        padding: Zero pixels added on each of the four sides.
        dilation: Pixels between neighbouring kernel taps, both ways.

    Returns:
        ``(C_out, H_out, W_out)``, or ``(H_out, W_out)`` for the single-channel form, in the inputs'
        common type, float32 at least.

    Raises:
        ValueError: The shapes do not fit each other, an array is not of real numbers, the kernel is
            larger than the padded image, or stride, padding or dilation is out of range.

    >>> conv2d([[1, 1], [1, 1], [0, 0]], [[1, 1], [-1, -1]])
    array([[0.],
           [2.]])
    """
    image, kernels, is_plain = _with_channels(image, kernels)
    (_, height, width), (out_channels, _, kernel_height, kernel_width) = image.shape, kernels.shape
    out_height = output_size(height, kernel_height, stride, padding, dilation)
    out_width = output_size(width, kernel_width, stride, padding, dilation)

    dtype = np.result_type(image, kernels, np.float32)
    padded = np.pad(image.astype(dtype, copy=False), ((0, 0), (padding, padding), (padding, padding)))
    span = (dilation * (kernel_height - 1) + 1, dilation * (kernel_width - 1) + 1)
    windows = sliding_window_view(padded, span, axis=(1, 2))[:, ::stride, ::stride, ::dilation, ::dilation]
    # Kernel axes before image axes: the copy then runs along image rows. Gathering one 3x3 window after
    # another took six times as long (2.9 ms against 0.5 ms, 3x224x224).
    columns = windows.transpose(0, 3, 4, 1, 2).reshape(-1, out_height * out_width)
    responses: NDArray[np.floating[Any]] = kernels.astype(dtype, copy=False).reshape(out_channels, -1) @ columns
    return responses.reshape((out_height, out_width) if is_plain else (out_channels, out_height, out_width))


def conv2d_loop(image: ArrayLike, kernels: ArrayLike, stride: int = 1, padding: int = 0) -> NDArray[np.floating[Any]]:
    """The same as `conv2d`, written as one does it by hand (exercise 1 of the tutorial): slow, and made to be read.

    A window slides over the padded image. At each position, in every channel, its pixels are multiplied by the
    kernel's numbers, and all products are added up. The same numbers are used at every position: shared weights.

    Args:
        image: ``(C_in, H, W)``, or ``(H, W)`` with one kernel ``(kH, kW)``.
        kernels: ``(C_out, C_in, kH, kW)``, or ``(kH, kW)``.
        stride: Pixels between neighbouring windows, both ways.
        padding: Zero pixels added on each of the four sides.

    Returns:
        As `conv2d`, in float64.

    Raises:
        ValueError: As `conv2d`.

    >>> conv2d_loop(np.ones((3, 32, 32)), np.ones((8, 3, 3, 3))).shape
    (8, 30, 30)
    """
    image, kernels, is_plain = _with_channels(image, kernels)
    (_, height, width), (out_channels, _, kernel_height, kernel_width) = image.shape, kernels.shape
    out_height = output_size(height, kernel_height, stride, padding)
    out_width = output_size(width, kernel_width, stride, padding)

    padded = np.pad(image.astype(np.float64), ((0, 0), (padding, padding), (padding, padding)))
    responses = np.zeros((out_channels, out_height, out_width))
    for row in range(out_height):
        for column in range(out_width):
            top, left = row * stride, column * stride
            window = padded[:, top : top + kernel_height, left : left + kernel_width]
            for channel in range(out_channels):
                responses[channel, row, column] = np.sum(window * kernels[channel])
    return responses[0] if is_plain else responses


def _with_channels(image: ArrayLike, kernels: ArrayLike) -> tuple[NDArray[Any], NDArray[Any], bool]:
    """The image as ``(C_in, H, W)``, the kernels as ``(C_out, C_in, kH, kW)``, and whether both came without channels.

    Raises:
        ValueError: The shapes do not fit each other, or an array is not of real numbers.
    """
    image, kernels = _real_array("image", image), _real_array("kernels", kernels)
    if image.ndim == 2 and kernels.ndim == 2:
        return image[np.newaxis], kernels[np.newaxis, np.newaxis], True
    if image.ndim != 3 or kernels.ndim != 4:
        raise ValueError(
            "expected image (C_in, H, W) with kernels (C_out, C_in, kH, kW), or (H, W) with (kH, kW), "
            f"got image {image.shape} with kernels {kernels.shape}"
        )
    if image.shape[0] != kernels.shape[1]:
        raise ValueError(
            f"expected kernels for the image's {image.shape[0]} channels, "
            f"got kernels for {kernels.shape[1]} (image {image.shape}, kernels {kernels.shape})"
        )
    return image, kernels, False


def _real_array(name: str, values: ArrayLike) -> NDArray[Any]:
    try:
        array = np.asarray(values)
    except ValueError as error:
        raise ValueError(f"{name}: expected a rectangular array of real numbers, got ragged rows") from error
    if array.dtype.kind not in "biuf":
        raise ValueError(f"{name}: expected an array of real numbers, got dtype {array.dtype}")
    return array
