"""Pictures of what a run misclassified, kept beside its predictions while the test images are in memory."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytorch_lightning as pl
import torch
from numpy.typing import NDArray
from PIL import Image
from torch import Tensor

from vision_baselines.analysis.mistakes import worth_keeping
from vision_baselines.comparison.collection import Job
from vision_baselines.comparison.mistakes import group_mistakes
from vision_baselines.data.datamodule import ImageDataModule
from vision_baselines.data.displayed import displayed
from vision_baselines.probes.probe import add_image
from vision_baselines.runs.mistake_pictures import (
    MOST_BYTES,
    MOST_IMAGES,
    PICTURES_FILE,
    SIDE_PX,
    SMALLEST_PX,
    packed_pictures,
)
from vision_baselines.runs.record import RunRecord
from vision_baselines.storage.atomic import write_atomically

TAG = "mistakes"


def keep_mistakes(record: RunRecord, folder: Path, trainer: pl.Trainer, data: ImageDataModule) -> None:
    """Write small pictures of the test images that are misclassified, and show the first to every logger.

    Nothing is written for a run that keeps no predictions, or whose images are too small to see something.

    Args:
        record: Of the run.
        folder: The run's, with its predictions.
        trainer: Its loggers are written to.
        data: What was tested on.
    """
    if record.predictions_sha256 is None or min(data.image_shape[1:]) < SMALLEST_PX:
        return
    # a picture in a run's own folder says nothing of its name: the same run elsewhere leaves the same bytes
    mistakes = group_mistakes("this run", [Job(folder, folder.name, record)], strict=False)
    if mistakes is None or not mistakes.found.wrong.any():
        return
    assert data.splits is not None
    images = data.splits.test.images
    shape = small_picture(images[0]).shape
    most = min(MOST_IMAGES, max(1, MOST_BYTES // int(np.prod(shape))))
    kept = worth_keeping(mistakes.found.ranked(), mistakes.targets, most)
    pixels = np.stack([small_picture(images[place]) for place in kept.tolist()])
    if shape[2] == 1:
        pixels = pixels[..., 0]
    content = packed_pictures(kept, pixels, predictions_sha256=record.predictions_sha256)
    write_atomically(folder / PICTURES_FILE, content)

    def draw() -> Tensor:
        from vision_baselines.plots.mistakes import group_pixels  # a run without pictures need not wait for Matplotlib

        return torch.from_numpy(group_pixels(mistakes)).permute(2, 0, 1)

    add_image(trainer, TAG, draw)


def small_picture(image: Tensor) -> NDArray[np.uint8]:
    """An image (C, H, W) as a picture (h, w, 3), or (h, w, 1) where it has no colours, no side above `SIDE_PX`."""
    pixels = displayed(image)
    if max(pixels.shape[:2]) > SIDE_PX:
        picture = Image.fromarray(pixels)
        picture.thumbnail((SIDE_PX, SIDE_PX), Image.Resampling.BOX)
        pixels = np.asarray(picture)
    return pixels if len(image) == 3 else pixels[..., :1]
