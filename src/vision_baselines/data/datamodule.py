"""`ImageDataModule`: a source's tensors, served in batches and normalised on the device.

The facts about the data (shape, classes, mean, std) come from its config, because nets are built from them before
any data is read; here they are held against what the source really yields, and a lie is refused.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import pytorch_lightning as pl
import torch
from torch import Tensor
from torch.utils.data import DataLoader

from vision_baselines.data.dataset import BatchedImages, as_is
from vision_baselines.data.perturbations import Augment
from vision_baselines.data.sampler import EpochOrder, Position
from vision_baselines.data.sources import Source, Split, Splits
from vision_baselines.errors import ConfigError
from vision_baselines.seeding import generator

Batch = tuple[Tensor, Tensor]


class ImageDataModule(pl.LightningDataModule):
    """Batches of (images, target): uint8 on the way, float32 and normalised on the device.

    Args:
        source: Where the tensors come from.
        image_shape: (channels, height, width) of one image, in pixels.
        num_classes: Number of classes; targets are 0 … num_classes - 1.
        mean: Per channel, of pixels scaled to [0, 1].
        std: Per channel, of pixels scaled to [0, 1].
        batch_size: Images a training batch.
        eval_batch_size: Images a validation or test batch; it changes no result.
        num_workers: Loading processes; data in memory is fastest with 0.
        augment: Changes training images on the device, by a draw that depends on the seed, the epoch and the step.
        seed: The run's seed, for the order of the training set.
        channels_last: Whether float images are laid out channels last, which CPU and GPU convolutions prefer.

    Raises:
        ConfigError: Sizes are out of range, or the facts stated do not hold for the data.
    """

    def __init__(
        self,
        source: Source,
        *,
        image_shape: Sequence[int],
        num_classes: int,
        mean: Sequence[float],
        std: Sequence[float],
        batch_size: int = 64,
        eval_batch_size: int = 512,
        num_workers: int = 0,
        augment: Augment | None = None,
        seed: int = 0,
        channels_last: bool = True,
    ) -> None:
        super().__init__()
        for key, size in {"batch_size": batch_size, "eval_batch_size": eval_batch_size}.items():
            if size < 1:
                raise ConfigError(f"data.{key} is {size}; expected a whole number of at least 1")
        if num_workers < 0:
            raise ConfigError(f"data.num_workers is {num_workers}; expected 0 or more")
        if not len(mean) == len(std) == image_shape[0]:
            raise ConfigError(
                f"data.mean and data.std have {len(mean)} and {len(std)} values; "
                f"expected {image_shape[0]}, one for each channel of data.image_shape"
            )
        if min(std) <= 0:
            raise ConfigError(f"data.std is {list(std)}; expected numbers above 0")
        self.source = source
        self.image_shape = tuple(image_shape)
        self.num_classes = num_classes
        self.batch_size = batch_size
        self.eval_batch_size = eval_batch_size
        self.num_workers = num_workers
        self.augment = augment or None  # an empty config is none
        self.seed = seed
        self.memory_format = torch.channels_last if channels_last else torch.contiguous_format
        # (pixel / 255 - mean) / std as one multiplication and one addition
        self._scale = torch.tensor([1 / (255 * s) for s in std]).view(-1, 1, 1)
        self._shift = torch.tensor([-m / s for m, s in zip(mean, std, strict=True)]).view(-1, 1, 1)
        self.splits: Splits | None = None

    def prepare_data(self) -> None:
        """Download or convert what is missing; safe in several processes at once."""
        self.source.prepare()

    def setup(self, stage: str | None = None) -> None:
        """Read the tensors, once, and hold them against the facts stated in the config."""
        if self.splits is not None:
            return
        splits = self.source.load()
        received = tuple(splits.train.images.shape[1:])
        if received != self.image_shape:
            raise ConfigError(f"data.image_shape is {list(self.image_shape)}; the data has {list(received)}")
        if len(splits.class_names) != self.num_classes:
            raise ConfigError(f"data.num_classes is {self.num_classes}; the data has {len(splits.class_names)} classes")
        if self.batch_size > len(splits.train.target):
            raise ConfigError(
                f"data.batch_size is {self.batch_size}; the training split has only {len(splits.train.target)} images"
            )
        self.splits = splits

    def train_dataloader(self) -> DataLoader[Batch]:
        """The training split in the order of the current epoch, from the first batch that is not done yet."""
        split = self._split("train")
        trainer = self.trainer
        sampler = EpochOrder(
            len(split.target),
            batch_size=self.batch_size,
            seed=self.seed,
            position=self._position,
            rank=trainer.global_rank if trainer else 0,
            world_size=trainer.world_size if trainer else 1,
        )
        return self._loader(split, self.batch_size, sampler=sampler)

    def val_dataloader(self) -> DataLoader[Batch]:
        """The validation split, in order."""
        return self._loader(self._split("val"), self.eval_batch_size)

    def test_dataloader(self) -> DataLoader[Batch]:
        """The test split, in order."""
        return self._loader(self._split("test"), self.eval_batch_size)

    def transfer_batch_to_device(self, batch: Batch, device: torch.device, dataloader_idx: int) -> Batch:
        """A batch on `device`; one that is there already is passed through without a walk over its parts."""
        images, target = batch
        if images.device == device:
            return batch
        return images.to(device, non_blocking=True), target.to(device, non_blocking=True)

    def on_after_batch_transfer(self, batch: Batch, dataloader_idx: int) -> Batch:
        """Augment a training batch and normalise any, on its device: images (B, C, H, W) uint8 to float32."""
        images, target = batch
        if self.augment is not None and self.trainer is not None and self.trainer.training:
            at = self._position()
            draws = (self.seed, "augment", at.epoch, at.batches_done, self.trainer.global_rank)
            images = self.augment(images, generator(*draws, device=images.device))
        return self.normalize(images), target

    def normalize(self, images: Tensor) -> Tensor:
        """Pixels 0 … 255 to zero mean and unit variance per channel; (B, C, H, W) in and out."""
        if self._scale.device != images.device:
            self._scale, self._shift = self._scale.to(images.device), self._shift.to(images.device)
        floats = images.to(torch.float32, memory_format=self.memory_format, copy=images.is_floating_point())
        return floats.mul_(self._scale).add_(self._shift)

    def _position(self) -> Position:
        if self.trainer is None:
            return Position(epoch=0, batches_done=0)
        # `processed` is right both before and after Lightning's loops have tidied up a restored state
        batch_progress = self.trainer.fit_loop.epoch_loop.batch_progress
        return Position(epoch=self.trainer.current_epoch, batches_done=batch_progress.current.processed)  # type: ignore[attr-defined]

    def _split(self, name: str) -> Split:
        if self.splits is None:
            self.setup()
        split: Split = getattr(self.splits, name)
        return split

    def _loader(self, split: Split, batch_size: int, **options: Any) -> DataLoader[Batch]:
        return DataLoader(
            BatchedImages(split.images, split.target),
            batch_size=batch_size,
            num_workers=self.num_workers,
            persistent_workers=self.num_workers > 0,
            pin_memory=torch.cuda.is_available(),
            collate_fn=as_is,  # type: ignore[arg-type]
            **options,
        )
