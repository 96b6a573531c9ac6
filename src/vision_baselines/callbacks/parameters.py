"""How big the net is: a table in text and the numbers as scalars, in total and layer by layer."""

from __future__ import annotations

from collections.abc import Sequence

import pytorch_lightning as pl
from pytorch_lightning.callbacks import Callback
from torch import nn

from vision_baselines.analysis.layer_trace import LayerInfo, trace_layers


class ParameterTable(Callback):
    """Logs ``parameters/…`` scalars and a ``parameters`` text table when training starts."""

    def on_train_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Trace the net once; a resumed run has the table already."""
        if trainer.global_step > 0:
            return
        net: nn.Module = pl_module.net
        layers = trace_layers(net, trainer.datamodule.image_shape)
        trainable = sum(p.numel() for p in net.parameters() if p.requires_grad)
        scalars = {f"parameters/layer/{layer.name}": float(layer.num_params) for layer in layers if layer.num_params}
        scalars["parameters/total"] = float(sum(layer.num_params for layer in layers))
        scalars["parameters/trainable"] = float(trainable)
        for logger in trainer.loggers:
            logger.log_metrics(scalars, step=0)
            experiment = getattr(logger, "experiment", None)
            if hasattr(experiment, "add_text"):
                experiment.add_text("parameters", markdown_table(layers, trainable), global_step=0)


def markdown_table(layers: Sequence[LayerInfo], trainable: int) -> str:
    """Layers as a Markdown table, with the totals in its last rows."""
    lines = ["| layer | kind | output shape | parameters |", "|---|---|---|---:|"]
    lines += [f"| {x.name} | {x.kind} | {'×'.join(map(str, x.output_shape))} | {x.num_params:,} |" for x in layers]
    total = sum(layer.num_params for layer in layers)
    lines += [f"| **total** | | | **{total:,}** |", f"| **trainable** | | | **{trainable:,}** |"]
    return "\n".join(lines)
