"""A real image to draw on: the data's own first test image where it is on disk, else a stand-in that says so."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from omegaconf import DictConfig, OmegaConf
from torch import Tensor
from torch.nn import functional

from vision_baselines.data.sources import Digits
from vision_baselines.errors import VisionBaselinesError
from vision_baselines.training import build


@dataclass(frozen=True)
class SampleImage:
    """An image to look at: uint8 ``(H, W)`` or ``(H, W, 3)``, and what it is in a few words."""

    pixels: NDArray[np.uint8]
    caption: str


def sample_image(cfg: DictConfig) -> SampleImage:
    """The first test image of the config's data; nothing is downloaded.

    Data that is not on disk, or not of the shape that the config gives it, is replaced by one of
    scikit-learn's digits, brought to that shape.
    """
    name = str(OmegaConf.select(cfg, "data.source._target_")).rpartition(".")[2]
    try:
        datamodule = build.datamodule(cfg)
        datamodule.setup()
    except VisionBaselinesError:
        size = tuple(cfg.data.image_shape[1:])
        resized = functional.interpolate(digit()[None, None].float(), size=size, mode="bilinear")
        return SampleImage(displayed(resized[0]), f"a scikit-learn digit in place of {name}")
    assert datamodule.splits is not None
    return SampleImage(displayed(datamodule.splits.test.images[0]), f"first test image of {name}")


def digit() -> Tensor:
    """The first test image of scikit-learn's digits, uint8 ``(16, 16)``."""
    return Digits().load().test.images[0, 0]


def displayed(image: Tensor) -> NDArray[np.uint8]:
    """An image ``(C, H, W)`` as people look at it: three channels are colours, any other number their mean."""
    if image.shape[0] == 3:
        colors: NDArray[np.uint8] = image.permute(1, 2, 0).numpy()
        return colors
    grey: NDArray[np.uint8] = image.float().mean(dim=0).round().to(torch.uint8).numpy()
    return grey
