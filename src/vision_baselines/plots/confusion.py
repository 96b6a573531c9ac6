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

from vision_baselines.comparison.formatting import one_line
from vision_baselines.comparison.rows import GroupRow
from vision_baselines.plots.style import INK, MUTED, PALETTE, PAPER, RULE, WIDTH_IN
from vision_baselines.runs.record import RunRecord
from vision_baselines.text import told_apart

_COUNTS_UP_TO, _NAMES_UP_TO = 12, 30
SLANT = 40
"""Of long names below, in degrees."""
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


@dataclass(frozen=True)
class Margins:
    """Room at the left and below for names and labels, and the side of the matrix, in inches.

    `slanted` says whether the names below are, as they would not fit beside each other.
    """

    left: float
    below: float
    side: float
    slanted: bool


def margins(confusion: Confusion) -> Margins:
    """Where a matrix stands at the common width."""
    longest = max(map(len, names_of(confusion)), default=0)
    left, slanted = 0.36 + min(0.085 * longest, 0.75), longest > 3
    return Margins(left, 0.5 + (0.65 * 0.085 * longest if slanted else 0), WIDTH_IN - left - 0.06, slanted)


def names_of(confusion: Confusion) -> list[str]:
    """What stands beside the rows and columns; nothing where there are too many."""
    if len(confusion.counts) > _NAMES_UP_TO:
        return []
    shown = told_apart(confusion.class_names, 11)
    return [shown[name] for name in confusion.class_names]


def has_counts(confusion: Confusion) -> bool:
    """Whether there is room for the numbers."""
    return len(confusion.counts) <= _COUNTS_UP_TO


def cells(confusion: Confusion, most: int = _MOST_CELLS) -> tuple[NDArray[np.float64], NDArray[np.int64]]:
    """The shares that are drawn (cells, cells), and the edges of the cells (cells + 1,) in classes.

    Of more than `most` classes a cell is the largest share in a block: a picture has no more pixels to show.
    """
    shares, size = confusion.shares(), len(confusion.counts)
    begins = np.arange(0, size, -(-size // most))
    largest = np.maximum.reduceat(np.maximum.reduceat(shares, begins, axis=0), begins, axis=1)
    return largest, np.append(begins, size)


def color_of_count(confusion: Confusion, true: int, predicted: int) -> str:
    """Of a number, so that it can be read on its cell; a mistake is paler than what is right."""
    row = confusion.counts[true]
    is_strong = np.sqrt(row[predicted] / max(row.sum(), 1)) > 0.55
    return PAPER if is_strong else INK if true == predicted else MUTED


def confusion_figure(confusion: Confusion) -> Figure:
    """One matrix at the common width; counts and class names where there is room for them."""
    room = margins(confusion)
    width, height = WIDTH_IN, room.below + room.side + 0.06
    figure = Figure(figsize=(width, height))
    axes = figure.add_axes((room.left / width, room.below / height, room.side / width, room.side / height))
    _draw(axes, confusion, room)
    return figure


def _draw(axes: Axes, confusion: Confusion, room: Margins) -> None:
    size, small = len(confusion.counts), has_counts(confusion)
    shares, edges = cells(confusion)
    axes.pcolormesh(edges, edges, np.sqrt(shares), cmap=_TRANSPARENT_TO_BLUE, vmin=0, vmax=1, rasterized=not small)
    axes.set_xlim(0, size)
    axes.set_ylim(size, 0)
    axes.set_xlabel("predicted")
    axes.set_ylabel("true")
    axes.xaxis.set_label_coords(0.5, -(room.below - 0.22) / room.side)
    axes.yaxis.set_label_coords(-(room.left - 0.16) / room.side, 0.5)
    axes.tick_params(length=0)
    axes.spines[:].set_visible(True)
    names, centres, font = names_of(confusion), np.arange(size) + 0.5, 8 if small else 6.5
    if names:
        axes.set_xticks(
            centres,
            names,
            rotation=SLANT if room.slanted else 0,
            ha="right" if room.slanted else "center",
            rotation_mode="anchor",
            fontsize=font,
        )
        axes.set_yticks(centres, names, fontsize=font)
    if small:
        axes.hlines(range(1, size), 0, size, colors=RULE, linewidths=0.6, zorder=0.5)
        axes.vlines(range(1, size), 0, size, colors=RULE, linewidths=0.6, zorder=0.5)
        for (true, predicted), n in np.ndenumerate(confusion.counts):
            if n:
                color = color_of_count(confusion, true, predicted)
                place = (predicted + 0.5, true + 0.5)
                axes.text(*place, f"{n}", ha="center", va="center_baseline", color=color, fontsize=7)
