"""What all probes are: callbacks that act once a net has been tested, and keep the curves that they measured.

By then the best epoch's weights are loaded, the net is in evaluation mode and no gradient is kept; so a probe runs the
same way at the end of a run and on a checkpoint. What it logs with ``pl_module.log`` arrives in the test's results, and
from there in the record and with every logger. A probe draws no random number from a global generator and changes no
weight: a run with it ends with the weights of the run without.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import pytorch_lightning as pl

from vision_baselines.runs.record import Curve


class Probe(pl.Callback):
    """Base class; `curves` holds what was measured, by name, once the test is over."""

    def __init__(self) -> None:
        self.curves: dict[str, Curve] = {}

    def log_metrics(self, pl_module: pl.LightningModule, metrics: Mapping[str, float]) -> None:
        """Add numbers to the test's results."""
        for name, value in metrics.items():
            pl_module.log(name, value, sync_dist=False)


def curves_of(callbacks: Iterable[Any]) -> dict[str, Curve]:
    """What the probes among `callbacks` measured, by name."""
    return {
        name: curve for probe in callbacks if isinstance(probe, Probe) for name, curve in sorted(probe.curves.items())
    }


def draw_curves(trainer: pl.Trainer, tag: str, title: str, lines: Sequence[tuple[str, Curve]]) -> None:
    """Draw `lines`, which share their axes, to every logger that takes pictures.

    Args:
        trainer: Its loggers are written to, at its present step.
        tag: Name of the picture; its unit is that of the metric of this name.
        title: Written above.
        lines: The curves and what the legend calls them.
    """
    experiments: list[Any] = [getattr(logger, "experiment", None) for logger in trainer.loggers]
    takers = [experiment for experiment in experiments if hasattr(experiment, "add_image")]
    if not takers:
        return
    from vision_baselines.probes.picture import curves_picture  # a run without pictures need not wait for Matplotlib

    picture = curves_picture(tag, title, lines)
    for experiment in takers:
        experiment.add_image(tag, picture, global_step=trainer.global_step)
