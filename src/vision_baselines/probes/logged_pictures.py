"""How a logger takes a picture: this project's loggers, TensorBoard's writer, and those of Lightning's that can."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from PIL import Image
from torch import Tensor

Taker = Callable[[str, Tensor, int], None]


def picture_taker(logger: Any) -> Taker | None:
    """What takes a picture for a logger: its name, uint8 (3, H, W) and the step; None where none does."""
    if hasattr(logger, "log_picture"):
        return lambda tag, pixels, step: logger.log_picture(tag, as_image(pixels), step=step)
    experiment: Any = getattr(logger, "experiment", None)
    if hasattr(experiment, "add_image"):
        return lambda tag, pixels, step: experiment.add_image(tag, pixels, global_step=step)
    if hasattr(logger, "log_image"):  # Lightning's own for W&B and others
        return lambda tag, pixels, step: logger.log_image(tag, [as_image(pixels)], step=step)
    return None


def as_image(pixels: Tensor) -> Image.Image:
    """Pixels, uint8 (3, H, W), as an image of Pillow's."""
    return Image.fromarray(pixels.permute(1, 2, 0).cpu().numpy())
