"""Which images excite a channel most, and where: the first half of Zeiler & Fergus 2014, arXiv:1311.2901."""

from __future__ import annotations

import torch
from torch import Tensor


class Strongest:
    """The images of a channel's largest responses, each image once, at the place of its largest.

    Args:
        count: Images to keep for each channel.

    Attributes:
        values: float32 ``(C, k)``, falling; k is `count`, or the number of images where there are fewer.
        images: int64 ``(C, k)``, as `update` numbers them.
        rows: int64 ``(C, k)``, of the response.
        columns: int64 ``(C, k)``.
    """

    def __init__(self, count: int) -> None:
        self.count = count
        self.values = self.images = self.rows = self.columns = torch.empty(0)
        self._least = torch.empty(0)

    def update(self, responses: Tensor, images: Tensor) -> Tensor:
        """Look at the responses ``(B, C, H, W)`` to images of the numbers ``(B,)``; the first of equals stays.

        Returns:
            float32 ``(B, C)``: the largest response of each channel to each image.
        """
        flat = responses.flatten(2).float()
        # an undefined response is no large one
        flat = torch.where(flat.isnan(), -torch.inf, flat)
        largest, place = (part.cpu() for part in flat.max(dim=2))
        width = responses.shape[3]
        new = [largest.T, images[None].expand(largest.shape[1], -1), place.T // width, place.T % width]
        if self.values.numel():
            kept = (self.values, self.images, self.rows, self.columns)
            new = [torch.cat(parts, dim=1) for parts in zip(kept, new, strict=True)]
            self._least = torch.minimum(self._least, largest.amin(dim=0))
        else:
            self._least = largest.amin(dim=0)
        order = new[0].sort(dim=1, descending=True, stable=True).indices[:, : self.count]
        self.values, self.images, self.rows, self.columns = (part.gather(1, order) for part in new)
        return largest

    @property
    def varies(self) -> Tensor:
        """Of shape ``(C,)``, bool: whether a channel answers to some image more than to another."""
        return self.values[:, 0] > self._least
