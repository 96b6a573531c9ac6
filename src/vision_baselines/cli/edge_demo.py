"""``edge_demo.py``: what a kernel answers to a picture, in numbers, as a picture, and as a page to play with.

Exercise 1 of the tutorial, a convolution in NumPy alone, is `conv2d_loop` in `analysis.convolution`.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, NoReturn

import numpy as np
from numpy.typing import NDArray

from vision_baselines.analysis.convolution import EDGE_KERNELS, conv2d
from vision_baselines.analysis.shifting import ShiftedResponse, shifted_response
from vision_baselines.cli.arguments import (
    Parser,
    file_path,
    not_the_input,
    positive,
    whole,
)
from vision_baselines.cli.entry import exit_with
from vision_baselines.cli.kernel import FORM, parsed_kernel
from vision_baselines.cli.outputs import deliver, is_printed, writing
from vision_baselines.comparison.formatting import one_line, shortened
from vision_baselines.errors import ConfigError, TrainingError
from vision_baselines.terminal import print_prose

SHOWN = ("horizontal", "vertical")
_LONGEST_PX, _MOST_PX, _MOST_PADDING, _MOST_KERNELS = 64, 256, 64, 8
_WIDEST = 98
_CHANNELS = ("red", "green", "blue")
_DESCRIPTION = (
    "What kernels answer to a picture: by default two edge kernels to 8×8 pixels of which the top half is bright. "
    "The responses are compared with torch.nn.functional.conv2d. To write such a convolution yourself is exercise 1 "
    "of the tutorial: conv2d_loop in vision_baselines.analysis.convolution is a solution to read."
)


@dataclass(frozen=True)
class Question:
    """What is asked.

    Attributes:
        image: ``(C, H, W)``, values in [0, 1].
        caption: What the picture is.
        note: What was done to it.
        is_own: Whether it is the user's.
        kernels: ``(kH, kW)`` by name.
        stride: Pixels between neighbouring windows.
        padding: Zero pixels on each side.
    """

    image: NDArray[np.float64]
    caption: str
    note: str
    is_own: bool
    kernels: Mapping[str, NDArray[np.float64]]
    stride: int
    padding: int

    def weights(self, name: str) -> NDArray[np.float64]:
        """A kernel as ``(1, C, kH, kW)``: the same numbers in every channel."""
        kernel = self.kernels[name]
        return np.broadcast_to(kernel, (1, len(self.image), *kernel.shape))


def main(arguments: Sequence[str] | None = None) -> NoReturn:
    """Print, and perhaps draw, the responses of kernels to a picture; exits."""
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
    options = _parser().parse_args(arguments)
    out, page = options.out, options.html
    not_the_input(out, options.image, "--out")
    asked = _question(options)
    try:
        answers = {
            name: conv2d(asked.image, asked.weights(name), asked.stride, asked.padding)[0] for name in asked.kernels
        }
    except ValueError as error:
        reduced = f"; the picture was {asked.note}" if asked.note else ""
        raise ConfigError(f"the kernel does not fit the picture: {error}{reduced}") from error
    difference = _difference_to_torch(asked, answers)
    deliver(options.json, _as_json(asked, answers, difference, options.shift))
    if not is_printed(options):
        _print(asked, answers, difference, options.shift)
    written = []
    if out:
        with writing(out):
            _draw(asked, answers, out)
        written.append(out)
    if page:
        with writing(page):
            _write_page(asked, options.shift or (0, 0), page)
        written.append(page)
    if not is_printed(options):
        for path in written:
            print_prose(str(path))


def _parser() -> Parser:
    parser = Parser(prog="edge_demo.py", description=_DESCRIPTION)
    parser.add_argument("--image", type=file_path, metavar="FILE", help="a picture of your own, made grey")
    parser.add_argument(
        "--colour", "--color", action="store_true", help="keep its three channels; responses are summed"
    )
    parser.add_argument(
        "--size",
        type=positive,
        default=_LONGEST_PX,
        metavar="PX",
        help=f"longer side to which a larger picture is reduced, at most {_MOST_PX}; {_LONGEST_PX} if left out",
    )
    parser.add_argument("--kernel", action="append", metavar="KERNEL", help=f"{FORM}; may be given several times")
    parser.add_argument("--stride", type=positive, default=1, metavar="PX", help="pixels from window to window")
    parser.add_argument("--padding", type=whole, default=0, metavar="PX", help="zero pixels added on each side")
    parser.add_argument(
        "--shift",
        type=int,
        nargs=2,
        metavar=("DOWN", "RIGHT"),
        help="move the picture: does the response move with it?",
    )
    parser.add_data_options("the numbers of every kernel")
    parser.add_output(
        "--out",
        ".png",
        makes_folders=True,
        metavar="FILE.png",
        help="draw it, and by default a real digit below it",
    )
    parser.add_output(
        "--html",
        ".html",
        makes_folders=True,
        metavar="FILE.html",
        help="write a page to play with: move the window, change the kernel, shift the picture, pool instead",
    )
    return parser


def _question(options: argparse.Namespace) -> Question:
    if options.size > _MOST_PX:
        raise ConfigError(f"--size is {options.size}; expected at most {_MOST_PX}, of which one can see each")
    if options.padding > _MOST_PADDING:
        raise ConfigError(f"--padding is {options.padding}; expected at most {_MOST_PADDING}")
    if options.colour and options.image is None:
        raise ConfigError("--colour goes with --image: the picture without one is grey")
    names = tuple(EDGE_KERNELS) if options.json else SHOWN
    kernels = _named(options.kernel) if options.kernel else {name: EDGE_KERNELS[name] for name in names}
    if options.image is None:
        image, caption = bright_top_half()[np.newaxis], "8×8, bright top half"
        return Question(image, caption, "", False, kernels, options.stride, options.padding)

    from vision_baselines.inspection.own_picture import own_picture

    picture = own_picture(options.image, longest_px=options.size, colour=options.colour)
    note = f"reduced from {_size(picture.size)}; --size keeps more" if picture.was_shrunk else ""
    caption = one_line(options.image.name, 60)
    return Question(picture.pixels / 255, caption, note, True, kernels, options.stride, options.padding)


def _named(texts: Sequence[str]) -> dict[str, NDArray[np.float64]]:
    if len(texts) > _MOST_KERNELS:
        raise ConfigError(f"--kernel is given {len(texts)} times; expected at most {_MOST_KERNELS}")
    kernels = [(text.strip(), parsed_kernel(text)) for text in texts]
    own = [text for text, _ in kernels if text not in EDGE_KERNELS]
    return {
        text if text in EDGE_KERNELS else "own" if len(own) == 1 else f"own {own.index(text) + 1}": kernel
        for text, kernel in kernels
    }


def _difference_to_torch(asked: Question, answers: Mapping[str, NDArray[Any]]) -> float:
    """The largest difference to torch's own convolution.

    Raises:
        TrainingError: It is more than rounding.
    """
    import torch

    largest = 0.0
    image = torch.from_numpy(asked.image)[None]
    for name, answer in answers.items():
        weights = torch.from_numpy(asked.weights(name).copy())
        theirs = torch.nn.functional.conv2d(image, weights, stride=asked.stride, padding=asked.padding)[0, 0].numpy()
        difference = float(np.abs(theirs - answer).max())
        if difference > 1e-9 * max(1.0, float(np.abs(answer).max())):
            raise TrainingError(f"the response of {name} differs from torch.nn.functional.conv2d by {difference:.2g}")
        largest = max(largest, difference)
    return largest


def _print(
    asked: Question, answers: Mapping[str, NDArray[Any]], difference: float, shift: Sequence[int] | None
) -> None:
    size = _size(asked.image.shape[1:])
    colours = _CHANNELS if len(asked.image) > 1 else ("image",)
    for name, values in [*zip((f"{colour}, {size}" for colour in colours), asked.image, strict=True), *answers.items()]:
        print(f"{name}\n{_grid(values)}\n")
    if asked.note:
        print_prose(f"{asked.caption} is {asked.note}.")
    for shape in dict.fromkeys(kernel.shape for kernel in asked.kernels.values()):
        name = next(name for name, kernel in asked.kernels.items() if kernel.shape == shape)
        n_in, n_out = asked.image.size, answers[name].size
        weights = " × ".join(map(str, (*([3] if len(asked.image) > 1 else []), *shape)))
        print_prose(
            f"{weights} = {asked.weights(name).size} weights are shared by {n_out:,} positions; "
            f"a dense layer from {n_in:,} to {n_out:,} numbers has {n_in * n_out:,}."
        )
    print_prose(f"The largest difference to torch.nn.functional.conv2d is {difference:.1g}.")
    if shift:
        for name in asked.kernels:
            print_prose(_shift_line(asked, name, *shift))


def _as_json(
    asked: Question, answers: Mapping[str, NDArray[Any]], difference: float, shift: Sequence[int] | None
) -> dict[str, Any]:
    image = asked.image if len(asked.image) > 1 else asked.image[0]
    found: dict[str, Any] = {
        "image": image.tolist(),
        "responses": {name: answer.tolist() for name, answer in answers.items()},
        "largest_difference_to_torch": difference,
    }
    if shift:
        found["shifted"] = {name: asdict(_shifted(asked, name, *shift)) for name in asked.kernels}
    return found


def _shifted(asked: Question, name: str, down: int, right: int) -> ShiftedResponse:
    return shifted_response(
        asked.image, asked.weights(name), down=down, right=right, stride=asked.stride, padding=asked.padding
    )


def _shift_line(asked: Question, name: str, down: int, right: int) -> str:
    found = _shifted(asked, name, down, right)
    moved = f"{name}: the picture moved by {down} down and {right} right"
    if found.steps is None:
        return f"{moved} has another response: the stride of {asked.stride} does not divide the shift."
    if not found.compared:
        return f"{moved} shares no whole window with the picture before; a smaller shift can be compared."
    return (
        f"{moved} has the response moved by {found.steps[0]} and {found.steps[1]}: at {found.compared:,} positions "
        f"away from the border the largest difference is {found.max_difference:.1g}."
    )


def _size(shape: Sequence[int]) -> str:
    return "×".join(map(str, shape))


def _grid(values: NDArray[Any]) -> str:
    """All numbers where they fit on a line, else what they lie between."""
    whole_numbers = not np.any(values % 1)
    for decimals in [0] if whole_numbers else [2, 1]:
        texts = [[f"{value:.{decimals}f}" for value in row] for row in values]
        width = max(2, *(len(text) for row in texts for text in row))
        if 2 + (width + 1) * values.shape[1] <= _WIDEST and len(values) <= _WIDEST:
            return "\n".join("  " + " ".join(text.rjust(width) for text in row) for row in texts)
    low, high, mean = values.min(), values.max(), values.mean()
    return f"  {_size(values.shape)} numbers from {low:.2f} to {high:.2f}, mean {mean:.2f}; --json prints them"


def _draw(asked: Question, answers: Mapping[str, NDArray[Any]], path: Path) -> None:
    from vision_baselines.inspection.edges_figure import edges_figure
    from vision_baselines.inspection.picture_files import write_png

    image = asked.image[0] if len(asked.image) == 1 else asked.image.transpose(1, 2, 0)
    rows = [(shortened(asked.caption, 28), image, answers)]
    if not asked.is_own:
        from vision_baselines.inspection.sample_image import digit

        real = digit().numpy() / 255
        rows.append(("a scikit-learn digit", real, responses(real)))
    write_png(path, lambda: edges_figure(asked.kernels, rows))


def _write_page(asked: Question, shift: Sequence[int], path: Path) -> None:
    from vision_baselines.inspection.interactive import interactive_page
    from vision_baselines.inspection.picture_files import write_file
    from vision_baselines.inspection.sample_image import digit

    pictures = {asked.caption: asked.image * 255, "a scikit-learn digit": digit().numpy()[np.newaxis]}
    name, kernel = next(iter(asked.kernels.items()))
    kernels = {**EDGE_KERNELS, **asked.kernels}
    content = interactive_page(
        "edge_page",
        {
            "pictures": [
                {"caption": caption, "channels": pixels.round().astype(int).tolist()}
                for caption, pixels in pictures.items()
            ],
            "kernels": {known: numbers.tolist() for known, numbers in kernels.items()},
            "asked": {
                "name": name,
                "kernel": kernel.tolist(),
                "stride": asked.stride,
                "padding": asked.padding,
                "shift": list(shift),
            },
        },
    )
    write_file(path, content)
