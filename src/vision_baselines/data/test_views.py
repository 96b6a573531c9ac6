"""Views of test images for test-time augmentation: mirrored, moved by a pixel, or changed as training changes them."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING

import torch
from torch import Tensor

from vision_baselines.data.augmentations import SampleAugment
from vision_baselines.data.known_data import is_of_characters
from vision_baselines.data.perturbations import shifted
from vision_baselines.data.sample_draws import SampleDraws
from vision_baselines.errors import ConfigError
from vision_baselines.seeding import generator

if TYPE_CHECKING:
    from vision_baselines.data.datamodule import ImageDataModule

_MOST = 1_000
_MOVES = (0, -1, 1)

log = logging.getLogger(__name__)


class TestViews:
    """Several views of each test image, the image itself first.

    Args:
        kind: ``flip`` (two), ``shift`` (nine: moved by a pixel each way), or a number of views, of which all but the
            first are changed by the augmentation that the run was trained with.
        datamodule: Whose images they are.

    Raises:
        ConfigError: It is none of these, or the images have no such views.
    """

    __test__ = False  # no test, whatever pytest makes of its name

    def __init__(self, kind: str, datamodule: ImageDataModule) -> None:
        number = int(kind) if kind.isdecimal() else 0
        if kind not in ("flip", "shift") and not 2 <= number <= _MOST:
            raise ConfigError(f"--tta is {kind!r}; expected flip, shift, or a number of views from 2 to {_MOST:,}")
        if number and datamodule.augment is None:
            raise ConfigError(
                f"--tta={kind} takes views as training made them, and augment=none; expected flip or shift"
            )
        if datamodule.permute_pixels:
            raise ConfigError("--tta moves pixels by places that are no longer theirs: data.permute_pixels is true")
        if kind == "flip" and is_of_characters(type(datamodule.source)):
            log.warning("a mirrored character is another one or none: --tta shift leaves them as they are")
        self.kind, self.number = kind, number
        self.augment, self.seed = datamodule.augment, datamodule.seed
        self.seen = 0  # test images before this batch

    def __call__(self, images: Tensor) -> Tensor:
        """All views of a batch, one after the other: (B, C, H, W), pixels 0 … 255, to (views · B, C, H, W)."""
        views = [images]
        if self.kind == "flip":
            views.append(images.flip(-1))
        elif self.kind == "shift":
            whole = torch.zeros(len(images), dtype=torch.int64, device=images.device)
            moves = [(down, right) for down in _MOVES for right in _MOVES][1:]
            views += [shifted(images, down=whole + down, right=whole + right) for down, right in moves]
        else:
            views += [self._changed(images, view) for view in range(1, self.number)]
        self.seen += len(images)
        return torch.cat([view.to(torch.float32) for view in views])

    def _changed(self, images: Tensor, view: int) -> Tensor:
        if isinstance(self.augment, SampleAugment):
            samples = torch.arange(self.seen, self.seen + len(images), device=images.device)
            return self.augment(images, SampleDraws(samples, seed=self.seed, epoch=-view))
        assert self.augment is not None
        return self.augment(images, generator(self.seed, "test view", view, self.seen, device=images.device))
