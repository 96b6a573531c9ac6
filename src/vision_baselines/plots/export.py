"""From a figure to bytes: an SVG that a page can hold and recolour, or a PNG.

The SVG is made for pasting into HTML: no header, no namespace, no metadata, no names that two figures
could both use, the same bytes every time, and every colour of the house style a CSS variable. Text stays
text, in the reader's own font; Matplotlib escapes it. What shows a group says so, and its title what it shows.
"""

from __future__ import annotations

import io
import re

import matplotlib
import numpy as np
from matplotlib import image
from matplotlib.figure import Figure
from numpy.typing import NDArray

from vision_baselines.plots.style import INK, MUTED, PALETTE, PAPER, RULE

_VARIABLES = {INK: "--ink", MUTED: "--muted", RULE: "--rule", PAPER: "--paper"} | {
    color: f"--g{index}" for index, color in enumerate(PALETTE)
}
_STYLE = re.compile(r'style="[^"]*"')
_COLOR = re.compile(r"(fill|stroke): (#[0-9a-f]{6})\b")
_NOISE = re.compile(r"<metadata>.*?</metadata>|<!--.*?-->| xmlns(?::xlink)?=\"[^\"]*\"|<style[^>]*>.*?</style>", re.S)
_GROUP_ID = re.compile(r'<g id="(?:group-(\d+):)?([^"]*)"([^>]*)>')
_FONT = re.compile(r"font: ((?:\d+ |bold )?[\d.]+px) [^;\"]*")
PNG_DPI = 110
_OF_TRIAL = "trial:"  # before the title of an artist that shows a trial of a search


def svg(figure: Figure, name: str) -> str:
    """`figure` as an ``<svg>`` element; `name`, which must be plain, keeps its definitions its own."""
    buffer = io.StringIO()
    with matplotlib.rc_context({"svg.hashsalt": f"vision_baselines/{name}"}):
        figure.savefig(buffer, format="svg", transparent=True, metadata={"Date": None})
    markup = buffer.getvalue()
    markup = _NOISE.sub("", markup[markup.index("<svg") :])
    markup = _GROUP_ID.sub(_opened, markup)
    return _STYLE.sub(lambda found: _themed(found[0]), markup).strip()


def png(figure: Figure) -> bytes:
    """`figure` as PNG on white."""
    buffer = io.BytesIO()
    figure.savefig(buffer, format="png", dpi=PNG_DPI, facecolor=PAPER, metadata={"Software": None})
    return buffer.getvalue()


def pixels_png(pixels: NDArray[np.uint8]) -> bytes:
    """RGBA `pixels` of shape (height, width, 4) as PNG, one pixel each."""
    buffer = io.BytesIO()
    image.imsave(buffer, np.ascontiguousarray(pixels), format="png", metadata={"Software": ""})
    return buffer.getvalue()


def _opened(found: re.Match[str]) -> str:
    """The start of an element without its id; a group's artist says whose it is and what it shows (`style.about`)."""
    place, text, rest = found.groups()
    if place is None and text.startswith(_OF_TRIAL):
        return f"<g{rest}><title>{text.removeprefix(_OF_TRIAL)}</title>"
    return f"<g{rest}>" if place is None else f'<g data-group="{place}"{rest}><title>{text}</title>'


def _themed(style: str) -> str:
    colored = _COLOR.sub(
        lambda found: f"{found[1]}: var({_VARIABLES[found[2]]})" if found[2] in _VARIABLES else found[0],
        style,
    )
    return _FONT.sub(r"font: \1 var(--sans)", colored)
