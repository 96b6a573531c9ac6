"""One look for every figure: few colours, thin rules, text in two weights of ink.

Colours are Okabe and Ito's (2008, "Color Universal Design"), told apart by all common kinds of colour
blindness; their yellow, too faint on white, is left out. Past eight groups the marker changes, so colour
is never the only sign, and colours stand for some of them only (`recolored`). The page replaces each colour by a
variable of its own, lighter in dark mode (`svg`).
"""

from __future__ import annotations

import re
import warnings
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import matplotlib
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.font_manager import FontProperties
from matplotlib.lines import Line2D
from matplotlib.textpath import text_to_path

from vision_baselines.comparison.formatting import shortened
from vision_baselines.plots.scale import name_axis

INK, MUTED, RULE, PAPER = "#1c2127", "#66707c", "#dfe3e8", "#ffffff"
PALETTE = ("#0072b2", "#d55e00", "#009e73", "#cc79a7", "#e69f00", "#56b4e9", "#7a5195", "#5b6570")
OTHER = "#b4bbc4"
"""Of a group whose colour stands for another."""
MARKERS = ("o", "s", "D", "^", "v", "P")
SIGNED = "RdBu_r"
"""Colours of signed values everywhere: blue below 0, white at 0, red above."""
WIDTH_IN = 4.8
_LEGEND_LINE_IN = 0.165
_TITLE_IN = 0.26
_TITLE_LINE_IN = 0.17
_TITLE_FONT: dict[str, Any] = {"size": 10, "weight": "bold"}
_RC: dict[Any, Any] = {
    "font.size": 9.0,
    "font.family": ["sans-serif"],
    "font.sans-serif": ["DejaVu Sans"],
    "text.color": INK,
    "text.parse_math": False,  # a label may hold a dollar sign
    "axes.edgecolor": RULE,
    "axes.labelcolor": MUTED,
    "axes.linewidth": 0.8,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.axisbelow": True,
    "axes.unicode_minus": True,
    "axes.formatter.use_mathtext": False,
    "axes.formatter.useoffset": False,
    "xtick.color": RULE,
    "ytick.color": RULE,
    "xtick.labelcolor": MUTED,
    "ytick.labelcolor": MUTED,
    "xtick.major.size": 3.0,
    "ytick.major.size": 0.0,
    "grid.color": RULE,
    "grid.linewidth": 0.6,
    "lines.linewidth": 1.6,
    "lines.solid_capstyle": "round",
    "svg.fonttype": "none",
    "svg.hashsalt": "vision_baselines",
}


@dataclass(frozen=True)
class Look:
    """How a group appears in every figure and table."""

    color: str
    marker: str

    @classmethod
    def of(cls, index: int) -> Look:
        """The look of the group at `index` in the table."""
        return cls(PALETTE[index % len(PALETTE)], MARKERS[index // len(PALETTE) % len(MARKERS)])


def about(place: int | None, text: str) -> str | None:
    """The id of an artist that shows the group at `place` of the table, and what the page says when it is pointed at.

    >>> about(3, "model=cnn")
    'group-3:model=cnn'
    """
    return None if place is None else f"group-{place}:{text}"


def recolored(figure: Figure, colors: Mapping[int, str]) -> None:
    """Give what shows a group (`about`) the colour of its place, a line, marks or an area."""
    for artist in figure.findobj():
        found = re.match(r"group-(\d+):", artist.get_gid() or "")
        if found and hasattr(artist, "set_color"):
            artist.set_color(colors[int(found[1])])


@contextmanager
def house_style() -> Iterator[None]:
    """Draw inside this; Matplotlib's own settings are back afterwards.

    A letter that Matplotlib's font lacks is drawn as a box in a PNG and by the reader's own fonts in the
    page, so its warning is of no use.
    """
    with matplotlib.rc_context(_RC), warnings.catch_warnings():
        warnings.filterwarnings("ignore", message=r"Glyph .* missing from")
        yield


def new_axes(
    height_in: float,
    *,
    left_in: float = 0.62,
    bottom_in: float = 0.5,
    top_in: float = 0.1,
    right_in: float = 0.12,
) -> tuple[Figure, Axes]:
    """A figure of the common width with one axes at fixed margins, so that figures line up side by side."""
    figure = Figure(figsize=(WIDTH_IN, height_in))
    width, height = WIDTH_IN - left_in - right_in, height_in - bottom_in - top_in
    box = (left_in / WIDTH_IN, bottom_in / height_in, width / WIDTH_IN, height / height_in)
    return figure, figure.add_axes(box)


def finish(axes: Axes, x_label: str, y_label: str) -> None:
    """Rules across, no left edge, and what the axes are."""
    axes.grid(axis="y")
    axes.spines["left"].set_visible(False)
    name_axis(axes.xaxis, x_label)
    name_axis(axes.yaxis, y_label)


def _lines_of(title: str, width_in: float) -> list[str]:
    """A title in as many lines as a figure of this width needs."""
    font = FontProperties(family=_RC["font.sans-serif"], **_TITLE_FONT)

    def fits(text: str) -> bool:
        return bool(text_to_path.get_text_width_height_descent(text, font, ismath=False)[0] <= 0.95 * 72 * width_in)

    lines: list[str] = []
    for word in title.split():
        if lines and fits(longer := f"{lines[-1]} {word}"):
            lines[-1] = longer
        else:
            lines.append(word if fits(word) else shortened(word, 28))
    return lines


def add_legend(figure: Figure, entries: list[tuple[str, Look]], title: str) -> None:
    """Make room above the axes and name the groups there, as a picture that stands alone needs, under its title."""
    names = [" " + shortened(label, 58) for label, _ in entries]  # Matplotlib hides a name that starts with "_"
    columns = max(1, min(4, int(66 / (max(map(len, names), default=1) + 5))))
    lines = -(-len(names) // columns)
    old = float(figure.get_figheight())
    titled = _lines_of(title, float(figure.get_figwidth()))
    headed = _TITLE_IN + _TITLE_LINE_IN * (len(titled) - 1) if titled else 0.04
    extra = headed + 0.04 + _LEGEND_LINE_IN * lines
    figure.set_size_inches(float(figure.get_figwidth()), old + extra)
    scale = old / (old + extra)
    for axes in figure.axes:
        box = axes.get_position()
        axes.set_position((box.x0, box.y0 * scale, box.width, box.height * scale))
    handles = [Line2D([], [], color=look.color, marker=look.marker, markersize=5, linewidth=1.6) for _, look in entries]
    head = "\n".join(titled)
    figure.text(0.02, 1 - 0.09 / (old + extra), head, ha="left", va="top", **_TITLE_FONT)
    figure.legend(
        handles,
        names,
        loc="upper left",
        bbox_to_anchor=(0.005, 1 - headed / (old + extra)),
        ncols=columns,
        frameon=False,
        fontsize=8.5,
        handlelength=1.6,
        columnspacing=1.4,
        labelspacing=0.35,
        borderaxespad=0.0,
    )
