"""The graph of a net for TensorBoard's tab of graphs, for `logger.tensorboard.graph`."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from typing import Any

import pytorch_lightning as pl
from tensorboard.compat.proto.attr_value_pb2 import AttrValue
from tensorboard.compat.proto.event_pb2 import Event
from tensorboard.compat.proto.graph_pb2 import GraphDef
from tensorboard.compat.proto.node_def_pb2 import NodeDef
from tensorboard.compat.proto.tensor_shape_pb2 import TensorShapeProto
from tensorboard.compat.proto.versions_pb2 import VersionDef

from vision_baselines.analysis.call_graph import CallNode, call_graph

log = logging.getLogger(__name__)
_PRODUCER = 22  # as torch writes it; TensorBoard shows graphs of any


class NetGraph(pl.Callback):
    """Logs the graph when training starts.

    Args:
        logger: A `RunTensorBoardLogger`.
    """

    def __init__(self, logger: Any) -> None:
        self._logger = logger

    def on_train_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Run the net once; a resumed run has the graph already."""
        if trainer.global_step > 0:
            return
        try:
            nodes = call_graph(pl_module.net, trainer.datamodule.image_shape)  # type: ignore[arg-type, attr-defined]
        except ValueError as error:
            log.warning("logger.tensorboard.graph: no graph, %s", error)
            return
        self._logger.log_event(Event(graph_def=graph_def(nodes).SerializeToString()))


def graph_def(nodes: Sequence[CallNode]) -> GraphDef:
    """The nodes as TensorBoard's message."""
    return GraphDef(
        node=[
            NodeDef(name=node.name, op=node.kind, input=node.inputs, attr={"_output_shapes": _shapes(node)})
            for node in nodes
        ],
        versions=VersionDef(producer=_PRODUCER),
    )


def _shapes(node: CallNode) -> AttrValue:
    shapes = [TensorShapeProto(dim=[TensorShapeProto.Dim(size=size) for size in (-1, *shape)]) for shape in node.shapes]
    return AttrValue(list=AttrValue.ListValue(shape=shapes))
