"""``conv_arithmetic.py --input-size 32 3,1,1 2,2,0``: a chain of layers along one side, by arithmetic alone."""

from __future__ import annotations

import json
import re
import sys
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import NoReturn

from rich.table import Table

from vision_baselines.analysis.conv_arithmetic import LayerStep, trace_chain
from vision_baselines.cli.arguments import Parser, checked_png, console
from vision_baselines.cli.entry import exit_with
from vision_baselines.errors import ConfigError
from vision_baselines.inspection.text import number_table

_FORM = "KERNEL,STRIDE,PADDING or KERNEL,STRIDE,PADDING,DILATION in whole numbers, such as 3,1,1"


def main(arguments: Sequence[str] | None = None) -> NoReturn:
    """Print, and perhaps draw, what becomes of an image's side in a chain of layers; exits."""
    given = sys.argv[1:] if arguments is None else list(arguments)
    exit_with(lambda: _run(given))


def _run(arguments: list[str]) -> None:
    for text in arguments:
        if re.match(r"-[0-9]+,", text):  # argparse would take it for an option and say something else is missing
            raise ConfigError(f"layer {text!r} begins with a negative number; expected {_FORM}")
    parser = Parser(prog="conv_arithmetic.py", description="Output size and receptive field of a chain of layers.")
    parser.add_argument("layers", nargs="+", metavar="LAYER", help=_FORM)
    parser.add_argument("--input-size", type=int, required=True, metavar="PX", help="side of the image in pixels")
    parser.add_argument("--json", action="store_true", help="print JSON and nothing else")
    parser.add_argument("--out", type=Path, metavar="FILE.png", help="draw the growth by depth")
    options = parser.parse_intermixed_args(arguments)
    picture = checked_png(options.out)
    steps = chain(options.layers, options.input_size)
    if options.json:
        print(json.dumps({"input_size": options.input_size, "layers": [asdict(step) for step in steps]}, indent=2))
    else:
        _print(steps, options.input_size)
    if picture:
        _draw(steps, options.input_size, picture)
        if not options.json:
            console().print(f"\n{picture}", soft_wrap=True)


def chain(layers: Sequence[str], input_size: int) -> list[LayerStep]:
    """Trace layers that are written as text.

    Raises:
        ConfigError: A layer is not written as expected, is out of range, or leaves no pixel; it is named.

    >>> chain(["3,1,1", "2,2,0"], 32)[-1].output_size
    16
    """
    numbers = [_numbers(index, text) for index, text in enumerate(layers, start=1)]
    try:
        return trace_chain(numbers, input_size)
    except ValueError as error:
        raise ConfigError(str(error)) from error


def _numbers(index: int, text: str) -> list[int]:
    parts = text.split(",")
    if len(parts) not in (3, 4) or not all(re.fullmatch(r"[+-]?[0-9]{1,9}", part) for part in parts):
        raise ConfigError(f"layer {index} is {text!r}; expected {_FORM}")
    return [int(part) for part in parts]


def _print(steps: Sequence[LayerStep], input_size: int) -> None:
    out = console()
    out.print(_table(steps))
    last = steps[-1]
    beyond = ", padding included" if last.receptive_field > input_size else ""
    out.print(
        f"{input_size} px become {last.output_size}; each of them sees {last.receptive_field} px{beyond}, "
        f"{last.jump} px from the next."
    )


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
