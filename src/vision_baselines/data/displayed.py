"""An image of a data set as a picture that a person can look at."""

from __future__ import annotations

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor


def displayed(image: Tensor) -> NDArray[np.uint8]:
    """An image ``(C, H, W)``, pixels 0 to 255, as ``(H, W, 3)``; other numbers of channels than 3 as their mean."""
    shown = image.float().clamp(0, 255)
    shown = shown if len(shown) == 3 else shown.mean(dim=0, keepdim=True).expand(3, -1, -1)
    pixels: NDArray[np.uint8] = shown.permute(1, 2, 0).round().to(torch.uint8).numpy()
    return pixels
