"""``conv_arithmetic.py --input-size 32 3,1,1 2,2,0``: a chain of layers along one side, by arithmetic alone.

To write it, and to hold it against PyTorch (``--check``), is exercise 3 of the tutorial.
"""

from __future__ import annotations

import re
import sys
from collections.abc import Sequence
from dataclasses import asdict, astuple
from pathlib import Path
from typing import TYPE_CHECKING, Any, NoReturn

from rich.table import Table

from vision_baselines.analysis.conv_arithmetic import LayerStep, trace_chain
from vision_baselines.cli.arguments import Parser, file_path, not_the_input
from vision_baselines.cli.entry import exit_with
from vision_baselines.cli.outputs import deliver, is_printed, writing
from vision_baselines.comparison.formatting import one_line
from vision_baselines.errors import ConfigError, TrainingError
from vision_baselines.inspection.chain_text import cost_lines, layer_params, single_layer_params, unused_lines
from vision_baselines.inspection.number_table import number_table
from vision_baselines.terminal import console, print_prose

if TYPE_CHECKING:
    from vision_baselines.analysis.chain_check import Measured

_FORM = "KERNEL,STRIDE,PADDING or KERNEL,STRIDE,PADDING,DILATION in whole numbers, such as 3,1,1"
_PAGE_MOST = {"size": 4096, "number": 999, "layers": 40}
_PICTURE_PX = 256
_DESCRIPTION = (
    "Output size and receptive field of a chain of convolutions and poolings, along one side. With --check, exercise 3 "
    "of the tutorial: the same chain in PyTorch."
)


def main(arguments: Sequence[str] | None = None) -> NoReturn:
    """Print, and perhaps draw, what becomes of an image's side in a chain of layers; exits."""
    given = sys.argv[1:] if arguments is None else list(arguments)
    exit_with(lambda: _run(given))


def _run(arguments: list[str]) -> None:
    for text in arguments:
        if re.match(r"-[0-9]+,", text):  # argparse would take it for an option and say something else is missing
            raise ConfigError(f"layer {text!r} begins with a negative number; expected {_FORM}")
    parser = Parser(prog="conv_arithmetic.py", description=_DESCRIPTION)
    parser.add_argument("layers", nargs="+", metavar="LAYER", help=f"{_FORM}; or as tuples: '(3,1,1), (2,2,0)'")
    parser.add_argument("--input-size", type=int, required=True, metavar="PX", help="side of the image in pixels")
    parser.add_argument(
        "--channels",
        metavar="N,N,…",
        help="count parameters: channels of the image and of each layer's output, - for a pooling, such as 3,32,-,64,-",
    )
    parser.add_argument("--check", action="store_true", help="build the chain in PyTorch and compare sizes and fields")
    parser.add_data_options("the layers")
    parser.add_output("--out", ".png", makes_folders=True, metavar="FILE.png", help="draw the growth by depth")
    parser.add_output(
        "--html",
        ".html",
        makes_folders=True,
        metavar="FILE.html",
        help="write a page to play with: change, add and remove layers",
    )
    parser.add_argument("--image", type=file_path, metavar="FILE", help="the picture of that page; a digit if left out")
    options = parser.parse_intermixed_args(arguments)
    picture, page, is_data = options.out, options.html, is_printed(options)
    if options.image and not page:
        raise ConfigError("--image is the picture of a page; expected --html FILE.html beside it")
    not_the_input(picture, options.image, "--out")
    steps = chain(options.layers, options.input_size)
    channels = _channels(options.channels, len(steps)) if options.channels is not None else None
    pools = [index for index, number in enumerate((channels or [])[1:]) if number is None]
    measured = _measured(steps, options.input_size, pools) if options.check else []
    if options.json:
        found: dict[str, Any] = {"input_size": options.input_size, "layers": [asdict(step) for step in steps]}
        if channels:
            found["parameters"] = layer_params(steps, channels)
            found["single_layer_parameters"] = single_layer_params(steps, channels)
        if options.check:
            found["pytorch"] = [asdict(step) for step in measured]
        deliver(options.json, found)
    if not is_data:
        _print(steps, options.input_size, channels)
        if options.check:
            sizes, fields = (", ".join(map(str, numbers)) for numbers in zip(*map(astuple, measured), strict=True))
            print_prose(f"PyTorch agrees: its layers give {sizes} px, and a gradient reaches {fields} px.")
    if picture:
        with writing(picture):
            _draw(steps, options.input_size, picture)
        if not is_data:
            print_prose(f"\n{picture}")
    if page:
        from vision_baselines.inspection.picture_files import write_file

        content = _page(steps, options.input_size, options.image)
        with writing(page):
            write_file(page, content)
        if not is_data:
            print_prose(f"\n{page}")


def chain(layers: Sequence[str], input_size: int) -> list[LayerStep]:
    """Trace layers that are written as text.

    Raises:
        ConfigError: A layer is not written as expected, is out of range, or leaves no pixel; it is named.

    >>> chain(["3,1,1", "2,2,0"], 32)[-1].output_size
    16
    """
    words = [word for text in layers for word in _words(text)]
    numbers = [_numbers(index, text) for index, text in enumerate(words, start=1)]
    try:
        return trace_chain(numbers, input_size)
    except ValueError as error:
        raise ConfigError(str(error)) from error


def _words(text: str) -> list[str]:
    """The layers in an argument: one, or tuples as Python writes them.

    >>> _words("[(3, 1, 1), (2, 2, 0)]"), _words("3,1,1")
    (['3,1,1', '2,2,0'], ['3,1,1'])
    """
    if not re.fullmatch(r"[\s\[]*(\([^()]*\)[\s,]*)+[\s\]]*", text):
        return [text]
    return ["".join(inside.split()).rstrip(",") for inside in re.findall(r"\(([^()]*)\)", text)]


def _numbers(index: int, text: str) -> list[int]:
    parts = text.split(",")
    if len(parts) not in (3, 4) or not all(re.fullmatch(r"[+-]?[0-9]{1,9}", part) for part in parts):
        raise ConfigError(f"layer {index} is {text!r}; expected {_FORM}")
    return [int(part) for part in parts]


def _channels(text: str, num_layers: int) -> list[int | None]:
    parts = text.split(",")
    if not all(re.fullmatch(r"-|[1-9][0-9]{0,5}", part) for part in parts) or parts[0] == "-":
        raise ConfigError(
            f"--channels is {text!r}; expected whole numbers from 1 to 999999, - for a pooling, such as 3,32,-,64,-"
        )
    if len(parts) != num_layers + 1:
        raise ConfigError(
            f"--channels has {len(parts)} entries; expected {num_layers + 1}: the image's channels, then one a layer"
        )
    return [None if part == "-" else int(part) for part in parts]


def _measured(steps: Sequence[LayerStep], input_size: int, pools: Sequence[int]) -> list[Measured]:
    """What PyTorch gives, which is what the arithmetic gives.

    Raises:
        ConfigError: The chain is too large to be built.
        TrainingError: They differ.
    """
    from vision_baselines.analysis.chain_check import measured_chain

    try:
        measured = measured_chain(steps, input_size, pools)
    except ValueError as error:
        raise ConfigError(f"--check: {error}") from error
    for number, (step, theirs) in enumerate(zip(steps, measured, strict=True), start=1):
        ours = (step.output_size, step.receptive_field)
        if ours != astuple(theirs):
            raise TrainingError(
                f"PyTorch differs at layer {number}: {theirs.output_size} px that see {theirs.receptive_field} px, "
                f"by arithmetic {ours[0]} that see {ours[1]}"
            )
    return measured


def _print(steps: Sequence[LayerStep], input_size: int, channels: Sequence[int | None] | None) -> None:
    console().print(_table(steps))
    last = steps[-1]
    beyond = ", padding included" if last.receptive_field > input_size else ""
    print_prose(
        f"{input_size} px become {last.output_size}; each of them sees {last.receptive_field} px{beyond}, "
        f"{last.jump} px from the next."
    )
    for line in [*unused_lines(steps, input_size), *(cost_lines(steps, channels) if channels else [])]:
        print_prose(line)


def _table(steps: Sequence[LayerStep]) -> Table:
    titles = ("kernel", "stride", "padding", "dilation", "output size", "jump", "receptive field", "centre")
    table = number_table("layer", *titles, words=0)
    for index, step in enumerate(steps, start=1):
        table.add_row(
            str(index),
            *(str(number) for number in (step.kernel_size, step.stride, step.padding, step.dilation)),
            *(str(number) for number in (step.output_size, step.jump, step.receptive_field)),
            f"{step.center:g}",
        )
    return table


def _draw(steps: Sequence[LayerStep], input_size: int, path: Path) -> None:
    from vision_baselines.inspection.growth_figure import Stage, growth_figure
    from vision_baselines.inspection.picture_files import write_png

    stages = [Stage(_label(step), step.output_size, step.receptive_field) for step in steps]
    write_png(path, lambda: growth_figure(stages, input_size=input_size))


def _label(step: LayerStep) -> str:
    size = f"{step.kernel_size}×{step.kernel_size}"
    return size if step.stride == 1 else f"{size}\nstride {step.stride}"


def _page(steps: Sequence[LayerStep], input_size: int, image: Path | None) -> bytes:
    """The chain as a page.

    Raises:
        ConfigError: It has more than the page's fields can hold, or numbers that JavaScript cannot count exactly.
        DataError: The picture cannot be read.
    """
    layers = [[step.kernel_size, step.stride, step.padding, step.dilation] for step in steps]
    last = steps[-1]
    for name, number, most in (
        ("image side", input_size, _PAGE_MOST["size"]),
        ("number of a layer", max(map(max, layers)), _PAGE_MOST["number"]),
        ("number of layers", len(layers), _PAGE_MOST["layers"]),
        ("receptive field", max(last.receptive_field, last.jump), 2**53 - 1),
    ):
        if number > most:
            raise ConfigError(f"--html: the {name} is {number:,}; expected at most {most:,} on a page")

    from vision_baselines.inspection.interactive import interactive_page
    from vision_baselines.inspection.own_picture import own_picture
    from vision_baselines.inspection.sample_image import digit

    pixels = own_picture(image, longest_px=_PICTURE_PX, colour=True).pixels if image else digit().numpy()[None]
    return interactive_page(
        "chain_page",
        {
            "picture": pixels.tolist(),
            "caption": one_line(image.name, 60) if image else "A scikit-learn digit",
            "asked": {"input_size": input_size, "layers": layers},
            "most": _PAGE_MOST,
        },
    )
