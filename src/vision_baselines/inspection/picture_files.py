"""A figure to a PNG file, in the look that every picture of this project has."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from matplotlib.figure import Figure

from vision_baselines.plots.export import png
from vision_baselines.plots.style import house_style
from vision_baselines.storage.atomic import write_atomically


def write_png(path: Path, draw: Callable[[], Figure]) -> None:
    """Draw in the house style and write the file, with its folder if need be; the same figure, the same bytes."""
    with house_style():
        picture = png(draw())
    write_file(path, picture)


def write_file(path: Path, content: bytes) -> None:
    """Write a file whole or not at all, with its folder if need be.

    Raises:
        OSError: It cannot be written.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    write_atomically(path, content)
