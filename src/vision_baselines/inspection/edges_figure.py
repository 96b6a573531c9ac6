"""Images, kernels and responses as one picture: the images in grey, negative blue, zero white, positive red."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from numpy.typing import NDArray

from vision_baselines.plots.style import INK, MUTED, PAPER, SIGNED

_PANEL_IN, _KERNEL_IN, _GAP_IN, _EDGE_IN, _TITLE_IN = 2.0, 0.8, 0.22, 0.12, 0.34
_NUMBERED = 10
"""Side up to which the numbers are written into the cells."""


def edges_figure(
    kernels: Mapping[str, NDArray[Any]], rows: Sequence[tuple[str, NDArray[Any], Mapping[str, NDArray[Any]]]]
) -> Figure:
    """The kernels on top, then a row per image: the image, and what each kernel answers to it.

    Args:
        kernels: ``(kH, kW)`` by name.
        rows: A title, an image ``(H, W)`` or ``(H, W, 3)`` of values in [0, 1], and the response to it by the
            kernel's name.
    """
    width_in = (1 + len(kernels)) * (_PANEL_IN + _GAP_IN) - _GAP_IN + 2 * _EDGE_IN
    height_in = _KERNEL_IN + _TITLE_IN + len(rows) * (_PANEL_IN + _TITLE_IN) + _EDGE_IN
    figure = Figure(figsize=(width_in, height_in))

    def panel(column: int, bottom_in: float, side_in: float) -> Axes:
        left_in = _EDGE_IN + column * (_PANEL_IN + _GAP_IN)
        box = (left_in / width_in, bottom_in / height_in, side_in / width_in, side_in / height_in)
        return figure.add_axes(box)

    top_in = height_in - _TITLE_IN - _KERNEL_IN
    key = "Kernels and responses:\npositive red, zero white,\nnegative blue."
    figure.text(_EDGE_IN / width_in, (top_in + _KERNEL_IN) / height_in, key, va="top", fontsize=8, color=MUTED)
    for column, (name, kernel) in enumerate(kernels.items(), start=1):
        _draw_signed(panel(column, top_in, _KERNEL_IN), kernel, float(np.abs(kernel).max()) or 1.0, f"{name} kernel")
    for index, (title, image, answers) in enumerate(rows, start=1):
        bottom_in = top_in - index * (_PANEL_IN + _TITLE_IN)
        axes = panel(0, bottom_in, _PANEL_IN)
        axes.imshow(image, cmap="gray", vmin=0, vmax=1, interpolation="nearest")
        _finish(axes, image, title, dark=image < 0.5)
        strongest = max(float(np.abs(answer).max()) for answer in answers.values()) or 1.0
        for column, name in enumerate(kernels, start=1):
            _draw_signed(panel(column, bottom_in, _PANEL_IN), answers[name], strongest, f"{name} response")
    return figure


def _draw_signed(axes: Axes, values: NDArray[Any], strongest: float, title: str) -> None:
    axes.imshow(values, cmap=SIGNED, vmin=-strongest, vmax=strongest, interpolation="nearest")
    _finish(axes, values, title, dark=np.abs(values) > 0.6 * strongest)


def _finish(axes: Axes, values: NDArray[Any], title: str, *, dark: NDArray[np.bool_]) -> None:
    axes.set_title(title, loc="left", fontsize=9.5, color=INK)
    axes.set_xticks([])
    axes.set_yticks([])
    axes.spines[["top", "right"]].set_visible(True)
    if values.ndim == 2 and max(values.shape) <= _NUMBERED:
        for (row, column), value in np.ndenumerate(values):
            color = PAPER if dark[row, column] else MUTED if value == 0 else INK
            axes.text(
                column, row, f"{value:g}".replace("-", "−"), ha="center", va="center_baseline", fontsize=8, color=color
            )
