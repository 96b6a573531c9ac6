"""What a run tells a logger beside Lightning's own calls; a logger does of it what it can show."""

from __future__ import annotations

import io
from collections.abc import Mapping
from typing import Any

from PIL import Image
from pytorch_lightning.callbacks import Callback

from vision_baselines.runs.dotted import walk
from vision_baselines.runs.record import RunRecord


class RunLogger:
    """Mixed into a logger of Lightning's; every method may be left as it is, and then does nothing.

    Pictures come by `log_picture`, text by `log_text`, both with a tag and a step.
    """

    pictures = True
    """Whether the confusion matrix and feature maps are drawn for it once a run is tested."""

    def callbacks(self) -> list[Callback]:
        """What looks at the run for this logger, to be among the trainer's callbacks."""
        return []

    def rewind(self, step: int) -> None:
        """Continue a run whose state is one before `step`: what is logged from there on comes again; 0 begins anew."""

    def begin(self, record: RunRecord) -> None:
        """Log the run's hyper-parameters, tags and notes, after `rewind` and before the first metric."""

    def log_png(self, tag: str, png: bytes, *, step: int) -> None:
        """Show a PNG file."""
        if hasattr(self, "log_picture"):
            self.log_picture(tag, Image.open(io.BytesIO(png)).convert("RGB"), step=step)

    def log_end(self, record: RunRecord) -> None:
        """Log what the finished run has to show."""

    def close(self) -> None:
        """Write what is left, however the run ended."""


def hyperparameters(record: RunRecord) -> dict[str, Any]:
    """The leaves of a record's config by dotted key, and the net's size; places of this machine stay references."""
    leaves = {key: value for key, value in walk(record.config, into_lists=False) if not isinstance(value, Mapping)}
    size = record.parameters
    found = {} if size is None else {"parameters/total": size.total, "parameters/trainable": size.trainable}
    if size is not None and size.flops_per_image is not None:
        found["parameters/flops_per_image"] = size.flops_per_image
    return {**leaves, **found, "fingerprint": record.fingerprint}
