"""``edge_demo.py``: what hand-made edge kernels answer to a picture with one edge, and to a real digit."""

from __future__ import annotations

import json
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NoReturn

import numpy as np
from numpy.typing import NDArray

from vision_baselines.analysis.convolution import EDGE_KERNELS, conv2d
from vision_baselines.cli.arguments import Parser, checked_png, console
from vision_baselines.cli.entry import exit_with

SHOWN = ("horizontal", "vertical")


def main(arguments: Sequence[str] | None = None) -> NoReturn:
    """Print, and perhaps draw, the responses of the two kernels the tutorial shows; exits."""
    given = sys.argv[1:] if arguments is None else list(arguments)
    exit_with(lambda: _run(given))


def bright_top_half(side: int = 8) -> NDArray[np.float64]:
    """The tutorial's picture, ``(side, side)``: ones in the upper half, zeros below.

    >>> bright_top_half(2).tolist()
    [[1.0, 1.0], [0.0, 0.0]]
    """
    image = np.zeros((side, side))
    image[: side // 2] = 1
    return image


def responses(image: NDArray[Any], names: Sequence[str] = SHOWN) -> dict[str, NDArray[Any]]:
    """Response of each kernel to an image ``(H, W)``, ``(H - 2, W - 2)``, by the kernel's name."""
    return {name: conv2d(image, EDGE_KERNELS[name]) for name in names}


def _run(arguments: list[str]) -> None:
    parser = Parser(prog="edge_demo.py", description="Edge kernels on an 8×8 image with a bright top half.")
    parser.add_argument("--json", action="store_true", help="print JSON and nothing else, of every kernel")
    parser.add_argument("--out", type=Path, metavar="FILE.png", help="draw it, and a real digit below it")
    options = parser.parse_args(arguments)
    out = checked_png(options.out)
    image = bright_top_half()
    if options.json:
        answers = {name: answer.tolist() for name, answer in responses(image, tuple(EDGE_KERNELS)).items()}
        print(json.dumps({"image": image.tolist(), "responses": answers}))
    else:
        for name, answer in {"image, 8×8": image, **responses(image)}.items():
            console().print(f"{name}\n{_grid(answer)}\n")
    if out:
        _draw(image, out)
        if not options.json:
            console().print(str(out), soft_wrap=True)


def _grid(values: NDArray[Any]) -> str:
    return "\n".join("  " + " ".join(f"{value:2.0f}" for value in row) for row in values)


def _draw(image: NDArray[np.float64], path: Path) -> None:
    from vision_baselines.inspection.edges_figure import edges_figure
    from vision_baselines.inspection.picture_files import write_png
    from vision_baselines.inspection.sample_image import digit

    real = digit().numpy() / 255
    kernels = {name: EDGE_KERNELS[name] for name in SHOWN}
    rows = [("8×8, bright top half", image, responses(image)), ("a scikit-learn digit", real, responses(real))]
    write_png(path, lambda: edges_figure(kernels, rows))
