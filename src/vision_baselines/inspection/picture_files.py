"""A figure to a PNG file, in the look that every picture of this project has."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from matplotlib.figure import Figure

from vision_baselines.plots.export import png
from vision_baselines.plots.style import house_style


def write_png(path: Path, draw: Callable[[], Figure]) -> None:
    """Draw in the house style and write the file, with its folder if need be; the same figure, the same bytes."""
    with house_style():
        picture = png(draw())
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(picture)
