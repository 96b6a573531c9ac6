"""An inspection for people, as tables of at most 100 columns, and for programs, as plain data."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import asdict
from typing import Any

from rich.console import RenderableType
from rich.table import Table
from rich.text import Text

from vision_baselines.analysis.net_size import NetSize
from vision_baselines.inspection.model import Inspection
from vision_baselines.inspection.number_table import number_table
from vision_baselines.training.parameter_table import field_text, shape_text


def plain_inspection(found: Inspection) -> dict[str, Any]:
    """Everything that is printed, as JSON can hold it."""
    return {
        "net": type(found.net).__name__,
        "image_shape": list(found.image_shape),
        "layers": [asdict(layer) for layer in found.size.layers],
        "totals": {
            **_totals(found.size),
            "last_convolution": _name_of_last_map(found.size) if _ends_in_convolution(found.size) else None,
            "last_feature_map": _name_of_last_map(found.size),
            "receptive_field_px": found.size.receptive_field_px,
            "measured_field_px": [found.measured_field.height, found.measured_field.width]
            if found.measured_field
            else None,
        },
        "against": {
            name: {
                **_totals(size),
                "parameter_ratio": found.size.num_params / size.num_params,
                "multiply_add_ratio": found.size.multiply_adds / size.multiply_adds,
            }
            for name, size in found.against.items()
        },
        "other_size": asdict(found.other_size),
        "first_convolution": {"name": found.first_conv, **asdict(found.dense)} if found.dense else None,
    }


def console_inspection(found: Inspection) -> Iterator[RenderableType]:
    """The table of layers, the totals, and the two comparisons, in the order they are read."""
    yield Text(f"{type(found.net).__name__} on one image of {shape_text(found.image_shape)}")
    yield _layer_table(found.size)
    yield _total_lines(found)
    yield Text(f"\nAgainst {', '.join(f'model={name}' for name in found.against)} on the same images")
    yield _against_table(found)
    if found.dense:
        shapes = f"{shape_text(found.image_shape)} → {shape_text(found.dense.output_shape)}"
        yield Text(f"\nThe first convolution, {found.first_conv} ({shapes}), as a dense layer")
        yield _dense_table(found)


def _totals(size: NetSize) -> dict[str, int]:
    return {
        "parameters": size.num_params,
        "trainable": size.num_params_trainable,
        "flops": size.flops,
        "multiply_adds": size.multiply_adds,
    }


def _layer_table(size: NetSize) -> Table:
    # In two lines, so that a row of an ordinary net has one.
    shapes, output, work, field = "weights\n+ biases", "output\nshape", "multiply-\nadds", "receptive\nfield"
    table = number_table("layer", "kind", shapes, output, "parameters", work, field, "jump", words=4)
    for layer in size.layers:
        table.add_row(
            Text(layer.name or "(the net itself)"),
            layer.kind,
            " + ".join(map(shape_text, layer.param_shapes.values())),
            shape_text(layer.output_shape),
            f"{layer.num_params:,}",
            f"{layer.multiply_adds:,}",
            field_text(layer),
            "–" if layer.jump is None else str(layer.jump),
        )
    table.add_section()
    table.add_row("total", "", "", "", f"{size.num_params:,}", f"{size.multiply_adds:,}", "", "", style="bold")
    return table


def _total_lines(found: Inspection) -> Table:
    size, table = found.size, Table.grid(padding=(0, 2, 0, 0))
    table.add_row("parameters", f"{size.num_params:,}, of them trainable {size.num_params_trainable:,}")
    table.add_row("FLOPs per image", f"{size.flops:,}, two for each of {size.multiply_adds:,} multiply-adds")
    table.add_row("other sizes", _other_size_text(found))
    if size.last_map:
        place = "after the last convolution" if _ends_in_convolution(size) else "in the last feature map"
        table.add_row("receptive field", f"{field_text(size.last_map)} {place}, {size.last_map.name}".rstrip(", "))
        if size.last_map.name:
            table.add_row("", _measurement(found))
    return table


def _name_of_last_map(size: NetSize) -> str | None:
    return size.last_map.name if size.last_map else None


def _ends_in_convolution(size: NetSize) -> bool:
    return size.last_map is not None and size.last_map.kind == "Conv2d"


def _measurement(found: Inspection) -> str:
    measured = found.measured_field
    if measured is None:
        return "no pixel has a gradient from its central unit"
    sides = shape_text((measured.height, measured.width))
    return f"{sides} px have a gradient from its central unit, of {shape_text(found.image_shape[1:])}"


def _other_size_text(found: Inspection) -> str:
    other = found.other_size
    size = shape_text(other.image_shape[1:])
    if other.output_shape is None:
        return f"not taken: an image of {size} ends in {other.reason}"
    return f"taken: an image of {size} also gives {shape_text(other.output_shape)} numbers"


def _against_table(found: Inspection) -> Table:
    table = number_table("", "this net", *(title for name in found.against for title in (name, "ratio")))

    def row(name: str, ours: int, theirs: Sequence[int]) -> None:
        table.add_row(
            name, f"{ours:,}", *(text for number in theirs for text in (f"{number:,}", f"{ours / number:,.2f}"))
        )

    sizes = found.against.values()
    row("parameters", found.size.num_params, [size.num_params for size in sizes])
    row("multiply-adds", found.size.multiply_adds, [size.multiply_adds for size in sizes])
    return table


def _dense_table(found: Inspection) -> Table:
    assert found.dense is not None
    dense, table = found.dense, number_table("", "dense layer", "convolution", "ratio")
    table.add_row("weights", f"{dense.dense_weights:,}", f"{dense.conv_weights:,}", f"{dense.weight_ratio:,.0f}")
    if dense.conv_params != dense.conv_weights:
        with_bias = dense.dense_params / dense.conv_params
        table.add_row("with biases", f"{dense.dense_params:,}", f"{dense.conv_params:,}", f"{with_bias:,.0f}")
    return table
