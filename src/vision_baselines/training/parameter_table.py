"""How big the net is: a table in text and the numbers as scalars, in total and layer by layer."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import pytorch_lightning as pl
from torch import nn

from vision_baselines.analysis.layer_trace import LayerInfo
from vision_baselines.analysis.net_size import NetSize, net_size
from vision_baselines.comparison.formatting import aligned


class ParameterTable(pl.Callback):
    """Logs ``parameters/…`` scalars and a ``parameters`` text table when training starts."""

    def on_train_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Trace the net once; a resumed run has the table already."""
        if trainer.global_step > 0:
            return
        net: nn.Module = pl_module.net  # type: ignore[assignment]
        size = net_size(net, trainer.datamodule.image_shape)  # type: ignore[attr-defined]
        for logger in trainer.loggers:
            logger.log_metrics(scalars(size), step=0)
            if hasattr(logger, "log_run_text"):
                logger.log_run_text("parameters", text_table(size))
                continue
            experiment: Any = getattr(logger, "experiment", None)
            if hasattr(experiment, "add_text"):
                experiment.add_text("parameters", text_table(size), global_step=0)


def scalars(size: NetSize) -> dict[str, float]:
    """The numbers by tag; the receptive field of the last convolution only where it is a number."""
    found = {f"parameters/layer/{layer.name}": float(layer.num_params) for layer in size.layers if layer.num_params}
    found["parameters/total"] = float(size.num_params)
    found["parameters/trainable"] = float(size.num_params_trainable)
    found["parameters/flops_per_image"] = float(size.flops)
    if size.receptive_field_px is not None:
        found["parameters/receptive_field_px"] = float(size.receptive_field_px)
    return found


def text_table(size: NetSize) -> str:
    """Layers as text of a fixed width, with the totals in its last rows, indented as Markdown's code.

    TensorBoard breaks words in the cells of a table of Markdown's.
    """
    heads = ["layer", "kind", "output shape", "parameters", "FLOPs per image", "receptive field"]
    rows = [
        [
            layer.name,
            layer.kind,
            shape_text(layer.output_shape),
            f"{layer.num_params:,}",
            f"{layer.flops:,}",
            field_text(layer),
        ]
        for layer in size.layers
    ]
    totals = [
        ["total", "", "", f"{size.num_params:,}", f"{size.flops:,}", ""],
        ["trainable", "", "", f"{size.num_params_trainable:,}", "", ""],
    ]
    lines = aligned([heads, [], *rows, [], *totals], [False, False, False, True, True, True])
    return "\n".join(f"    {line}" for line in lines)


def shape_text(shape: Sequence[int] | None) -> str:
    """A shape as people write it.

    >>> shape_text((64, 14, 14))
    '64×14×14'
    """
    return "not called" if shape is None else "×".join(map(str, shape))


def field_text(layer: LayerInfo) -> str:
    """What a unit sees: pixels, the whole image, or nothing that is defined."""
    if layer.whole_image:
        return "whole image"
    return "–" if layer.receptive_field is None else f"{layer.receptive_field} px"
