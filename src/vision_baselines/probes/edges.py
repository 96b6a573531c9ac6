"""How much the first layer's filters look like oriented edges, bars and blobs, and whether training made them so.

A filter's figure is its best cosine with a bank of such kernels (`analysis.filter_grid`); small filters look like an
edge by chance, so the mean over the trained filters stands beside the same mean over the filters that this run began
with and over random ones of their size. What a run on noise learns is a run of its own: ``data=noise``.

A fully connected layer is measured too: each unit's weights, laid out as the image. The bank then holds patterns as
large as the image and at its centre, so a unit that found a small stroke elsewhere scores low.
"""

from __future__ import annotations

import logging

import pytorch_lightning as pl
import torch
from torch import Tensor

from vision_baselines.analysis.filter_grid import edge_similarity, random_filters
from vision_baselines.probes.filters import filters_of
from vision_baselines.probes.probe import Probe, draw_curves
from vision_baselines.runs.record import Curve

log = logging.getLogger(__name__)

NAME = "edges/similarity"
_SHARES = tuple(range(0, 101, 5))


class Edges(Probe):
    """Logs ``edges/trained``, ``edges/untrained`` and ``edges/random``: means of the best cosine, from 0 to 1.

    The curve ``edges/similarity`` is the trained filters' figures in order, by the share of filters that lie below. A
    net whose first layer has no filters of at least 2×2 is passed over with a line in the log.

    Args:
        init_from: Where the run's first weights come from if not from its seed; ``edges/untrained`` is then left out.
    """

    def __init__(self, init_from: str | None = None) -> None:
        super().__init__()
        self._is_drawn = not init_from
        self._initial: Tensor | None = None

    def setup(self, trainer: pl.Trainer, pl_module: pl.LightningModule, stage: str) -> None:
        """Keep the filters as they were drawn.

        Lightning comes by before it puts a checkpoint's weights in, so they are the initial ones also in a run that is
        resumed and in one that is only tested.
        """
        if self._initial is None:
            self._initial = filters_of(trainer, pl_module)

    def on_test_epoch_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Measure, log and draw."""
        trained = filters_of(trainer, pl_module)
        if trained is None or self._initial is None or min(trained.shape[2:]) < 2:
            shape = "no filters" if trained is None else "filters of one pixel"
            log.info("probe.edges: nothing to measure, the first layer of this net has %s", shape)
            return
        measured = {"trained": trained, "untrained": self._initial, "random": random_filters(trained)}
        if not self._is_drawn:
            del measured["untrained"]
        found = {name: edge_similarity(filters.cpu()) for name, filters in measured.items()}
        self.log_metrics(pl_module, {f"edges/{name}": float(values.mean()) for name, values in found.items()})
        lines = [(name, ordered(values)) for name, values in found.items()]
        self.curves = {NAME: lines[0][1]}
        draw_curves(trainer, NAME, "Best cosine of first-layer filters with an edge, bar or blob", lines)


def ordered(values: Tensor) -> Curve:
    """Values (n,) in order: the value that 0, 5, 10 … 100 percent of them do not exceed, interpolated between two."""
    at = torch.tensor(_SHARES, dtype=torch.float64) / 100
    quantiles = torch.quantile(values.double(), at)
    return Curve(
        x=[float(share) for share in _SHARES],
        y=quantiles.tolist(),
        x_label="share of filters, %",
        y_label="best cosine with an edge",
    )
