"""Which class is taken for which: confusion matrices summed over a group's seeds.

Colour is the share of a row (of one true class) on a square-root scale, since the errors of a good
classifier are all below a few percent and would be invisible on a linear one; the numbers are counts.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from matplotlib.axes import Axes
from matplotlib.colors import LinearSegmentedColormap
from matplotlib.figure import Figure
from numpy.typing import NDArray

from vision_baselines.comparison.formatting import one_line, shortened
from vision_baselines.comparison.rows import GroupRow
from vision_baselines.plots.style import INK, MUTED, PALETTE, PAPER, RULE, WIDTH_IN
from vision_baselines.runs.record import RunRecord

_COUNTS_UP_TO, _NAMES_UP_TO = 12, 30
_MOST_CELLS = 500
_TRANSPARENT_TO_BLUE = LinearSegmentedColormap.from_list("share", [PALETTE[0] + "00", PALETTE[0] + "ff"])


@dataclass(frozen=True)
class Confusion:
    """Counts of shape (classes, classes), rows are targets, columns predictions, summed over `n` jobs."""

    label: str
    counts: NDArray[np.int64]
    class_names: tuple[str, ...]
    n: int

    def shares(self) -> NDArray[np.float64]:
        """Counts over the sum of their row; a class that never occurs has zeros."""
        totals = self.counts.sum(axis=1, keepdims=True)
        shares: NDArray[np.float64] = self.counts / np.maximum(totals, 1)
        return shares


def summed_confusion(row: GroupRow) -> Confusion | None:
    """The sum over a group's counted jobs, of those that name the same classes as the first; None without any."""
    found = [job.record for job in row.counted if job.record.confusion]
    if not found:
        return None
    first = found[0]
    size = len(first.confusion or ())
    same = [_counts(record.confusion or []) for record in found if record.class_names == first.class_names]
    matrices = [matrix for matrix in same if matrix is not None and matrix.shape == (size, size)]
    names = first.class_names if first.class_names and len(first.class_names) == size else map(str, range(size))
    if not matrices:
        return None
    return Confusion(row.label, np.sum(matrices, axis=0), tuple(map(one_line, names)), len(matrices))


def recorded_confusion(record: RunRecord) -> Confusion | None:
    """One run's own; None where it has none that is one of counts."""
    counts = _counts(record.confusion or [])
    if counts is None or counts.ndim != 2 or counts.shape[0] != counts.shape[1]:
        return None
    size = len(counts)
    names = record.class_names if record.class_names and len(record.class_names) == size else map(str, range(size))
    return Confusion(one_line(record.name), counts, tuple(map(one_line, names)), 1)


def _counts(confusion: Sequence[Sequence[int]]) -> NDArray[np.int64] | None:
    """A recorded matrix; None where it is not one of counts."""
    try:
        matrix = np.array(confusion, dtype=np.int64)
    except (ValueError, OverflowError):
        return None
    return matrix if matrix.size and matrix.min() >= 0 else None


def confusion_figure(confusion: Confusion) -> Figure:
    """One matrix at the common width."""
    left, below, side = _margins(confusion)
    width, height = WIDTH_IN, below + side + 0.06
    figure = Figure(figsize=(width, height))
    draw_confusion(figure.add_axes((left / width, below / height, side / width, side / height)), confusion)
    return figure


def confusions_figure(confusions: Sequence[Confusion]) -> Figure:
    """All matrices side by side, at most three in a row, each under its group's name."""
    columns = min(3, len(confusions))
    high = max(sum(_margins(confusion)[1:]) for confusion in confusions) + 0.5
    width, height = (WIDTH_IN + 0.1) * columns, high * -(-len(confusions) // columns)
    figure = Figure(figsize=(width, height))
    for position, confusion in enumerate(confusions):
        left, _, side = _margins(confusion)
        x, y = (WIDTH_IN + 0.1) * (position % columns) + left, height - high * (position // columns) - 0.4 - side
        axes = figure.add_axes((x / width, y / height, side / width, side / height))
        draw_confusion(axes, confusion)
        axes.set_title(f"{shortened(confusion.label, 36)} (n = {confusion.n})", fontsize=10, loc="left")
    return figure


def _margins(confusion: Confusion) -> tuple[float, float, float]:
    """Room at the left and below for names and labels, and the side of the matrix, in inches."""
    room = 0.085 * max(map(len, _shown_names(confusion)), default=0)
    left = 0.36 + min(room, 0.75)
    return left, 0.5 + (0.65 * room if _slanted(confusion) else 0), WIDTH_IN - left - 0.06


def _shown_names(confusion: Confusion) -> list[str]:
    fits = len(confusion.counts) <= _NAMES_UP_TO
    return [shortened(name, 11) for name in confusion.class_names] if fits else []


def _slanted(confusion: Confusion) -> bool:
    return max(map(len, _shown_names(confusion)), default=0) > 3


def draw_confusion(axes: Axes, confusion: Confusion) -> None:
    """Draw one matrix; counts and class names where there is room for them."""
    shares, size = confusion.shares(), len(confusion.counts)
    small = size <= _COUNTS_UP_TO
    step = -(-size // _MOST_CELLS)
    begins = np.arange(0, size, step)
    # of many classes, a cell is the largest share in a block: a picture has no more pixels to show
    cells = np.maximum.reduceat(np.maximum.reduceat(shares, begins, axis=0), begins, axis=1)
    edges = np.append(begins, size)
    axes.pcolormesh(edges, edges, np.sqrt(cells), cmap=_TRANSPARENT_TO_BLUE, vmin=0, vmax=1, rasterized=not small)
    axes.set_xlim(0, size)
    axes.set_ylim(size, 0)
    left, below, side = _margins(confusion)
    axes.set_xlabel("predicted")
    axes.set_ylabel("true")
    axes.xaxis.set_label_coords(0.5, -(below - 0.22) / side)
    axes.yaxis.set_label_coords(-(left - 0.16) / side, 0.5)
    axes.tick_params(length=0)
    axes.spines[:].set_visible(True)
    names, centres, font = _shown_names(confusion), np.arange(size) + 0.5, 8 if small else 6.5
    if names:
        slanted = _slanted(confusion)
        axes.set_xticks(
            centres,
            names,
            rotation=40 if slanted else 0,
            ha="right" if slanted else "center",
            rotation_mode="anchor",
            fontsize=font,
        )
        axes.set_yticks(centres, names, fontsize=font)
    if small:
        axes.hlines(range(1, size), 0, size, colors=RULE, linewidths=0.6, zorder=0.5)
        axes.vlines(range(1, size), 0, size, colors=RULE, linewidths=0.6, zorder=0.5)
        _write_counts(axes, confusion, shares)


def _write_counts(axes: Axes, confusion: Confusion, shares: NDArray[np.float64]) -> None:
    for (true, predicted), n in np.ndenumerate(confusion.counts):
        if n:
            strong = np.sqrt(shares[true, predicted]) > 0.55
            color = PAPER if strong else INK if true == predicted else MUTED
            place = (predicted + 0.5, true + 0.5)
            axes.text(*place, f"{n}", ha="center", va="center_baseline", color=color, fontsize=7)
