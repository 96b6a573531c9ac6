"""`ImageDataModule`: a source's tensors, served in batches and normalised on the device.

The facts about the data (shape, classes, mean, std) come from its config, because nets are built from them before
any data is read; here they are compared with what the source really yields, and a difference is refused. Which images
are kept and where their pixels lie is decided once, by `split_changes` and `geometry`, when they are read.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import pytorch_lightning as pl
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.utils.data import DataLoader

from vision_baselines.data.augmentations import SampleAugment
from vision_baselines.data.batch_changes import are_by_image, changed, check_augment, in_batches
from vision_baselines.data.channel_statistics import warn_if_far_off
from vision_baselines.data.channels import check_channels
from vision_baselines.data.dataset import BatchedImages, as_is
from vision_baselines.data.folds import check_folds
from vision_baselines.data.geometry import check_geometry, framed_shape, placed, resized
from vision_baselines.data.known_data import is_of_characters
from vision_baselines.data.mixing import Mix
from vision_baselines.data.perturbations import Augment
from vision_baselines.data.picture_duplicates import with_duplicates_counted
from vision_baselines.data.sampler import EpochBatches, EpochOrder, Position
from vision_baselines.data.sources import Source, Split, Splits
from vision_baselines.data.split_changes import (
    held_out_fold,
    only_classes,
    part_of_train,
    with_permuted_pixels,
    without_validation,
)
from vision_baselines.data.splits import SPLIT_SEED
from vision_baselines.data.whole_batch import require_whole_batch
from vision_baselines.errors import ConfigError

Batch = tuple[Tensor, Tensor]
logger = logging.getLogger(__name__)


class ImageDataModule(pl.LightningDataModule):
    """Batches of (images, target): uint8 on the way, float32 and normalised on the device.

    Args:
        source: Where the tensors come from.
        image_shape: (channels, height, width) of one image as the net sees it, in pixels.
        num_classes: Number of classes, of those that `classes` keeps; targets are 0 … num_classes - 1. Where targets
            are numbers, how many the net puts out.
        mean: Per channel, of pixels scaled to [0, 1].
        std: Per channel, of pixels scaled to [0, 1].
        batch_size: Images a training batch, of all processes together where there are several (`trainer.devices`).
        eval_batch_size: Images a validation or test batch, of all processes too; it changes results by rounding at
            most, and a CPU's caches like it small.
        num_workers: Loading processes; data in memory is fastest with 0.
        on_device: Whether the splits lie on the training device, where batches are gathered without a copy a step.
        augment: Changes training images on the device, by draws that depend on the seed, the epoch and the image (or,
            where it is no `SampleAugment`, the step).
        mix: Mixes training images and their targets; then targets are probabilities (B, num_classes).
        seed: The run's seed, for the order of the training set.
        channels_last: Whether float images are laid out channels last, which CPU and GPU convolutions prefer.
        permute_pixels: Put the pixels of every image of every split in one fixed random order.
        train_fraction: How much of train is kept, in (0, 1], each class by its share; val and test stay whole.
        val_size: None validates on what the source gives; 0 trains on those images too, and validates on none.
        classes: Labels or names of the classes that are kept, in every split, in their new order; None for all.
        resize: Side in pixels that every image is scaled to; None leaves them as they are.
        place: Half of a canvas twice as wide that images stand in, of ``train`` (and val) and of ``test``: ``left``,
            ``right`` or ``both``; None leaves them as they are.
        split_seed: Decides the folds; without folds, stands in place of the source's own `split_seed`. None changes
            nothing.
        folds: Parts of a cross-validation that train and val are cut into, each class by its share; None for none.
        fold: The part that is val, from 0; the others are train.
        folds_over: ``all`` cuts the test images too, and the part is test; None leaves test as it is.

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
        eval_batch_size: int = 128,
        num_workers: int = 0,
        on_device: bool = False,
        augment: Augment | SampleAugment | None = None,
        mix: Mix | None = None,
        seed: int = 0,
        channels_last: bool = True,
        permute_pixels: bool = False,
        train_fraction: float = 1.0,
        val_size: int | None = None,
        classes: Sequence[int | str] | None = None,
        resize: int | None = None,
        place: Mapping[str, str] | None = None,
        split_seed: int | None = None,
        folds: int | None = None,
        fold: int | None = None,
        folds_over: str | None = None,
    ) -> None:
        super().__init__()
        for key, size in {"batch_size": batch_size, "eval_batch_size": eval_batch_size}.items():
            if size < 1:
                raise ConfigError(f"data.{key} is {size}; expected a whole number of at least 1")
        if num_workers < 0:
            raise ConfigError(f"data.num_workers is {num_workers}; expected 0 or more")
        if on_device and num_workers:
            raise ConfigError(f"data.num_workers is {num_workers}; expected 0 beside data.on_device=true")
        check_channels(mean, std, image_shape)
        if not 0 < train_fraction <= 1:
            raise ConfigError(f"data.train_fraction is {train_fraction}; expected above 0 and at most 1")
        if not isinstance(permute_pixels, bool):
            raise ConfigError(f"data.permute_pixels is {permute_pixels!r}; expected true or false")
        if val_size is not None and (val_size != 0 or isinstance(val_size, bool)):
            raise ConfigError(
                f"data.val_size is {val_size!r}; expected 0 for no validation, or null: how much is cut is said by "
                "data.source.val_size or val_fraction"
            )
        check_geometry(resize, place)
        on_duplicate = getattr(source, "on_duplicate", None)
        check_folds(folds, fold, folds_over, split_seed=split_seed, val_size=val_size, on_duplicate=on_duplicate)
        if isinstance(augment, Augment | SampleAugment):
            augment.check_places(image_shape, permuted=permute_pixels)
        if augment:
            check_augment(augment, image_shape)
        self.source = _cut_by(source, split_seed) if split_seed is not None and folds is None else source
        self.image_shape = tuple(image_shape)
        self.num_classes = num_classes
        self.mean, self.std = tuple(mean), tuple(std)
        self.batch_size = batch_size
        self.eval_batch_size = eval_batch_size
        self.num_workers = num_workers
        self.on_device = on_device
        self.augment = augment or None  # an empty config is none
        self.mix = mix or None
        self.seed = seed
        self.permute_pixels = permute_pixels
        self.train_fraction = train_fraction
        self.classes = classes
        self.val_size = val_size
        self.resize = resize
        self.place = place
        self.split_seed = SPLIT_SEED if split_seed is None else split_seed
        self.folds, self.fold, self.folds_over = folds, fold, folds_over
        self.memory_format = torch.channels_last if channels_last else torch.contiguous_format
        # (pixel / 255 - mean) / std as one multiplication and one addition
        self._scale = torch.tensor([1 / (255 * s) for s in std]).view(-1, 1, 1)
        self._shift = torch.tensor([-m / s for m, s in zip(mean, std, strict=True)]).view(-1, 1, 1)
        self.splits: Splits | None = None
        self.test_views: Callable[[Tensor], Tensor] | None = None  # of a test batch, one after the other
        self._order: EpochOrder | None = None
        self._first_parameter: tuple[Any, Tensor | None] = (None, None)
        self._held: dict[str, Split] = {}  # on the device, where each is moved once
        self.source_shape: tuple[int, ...] | None = None  # of an image as the source gives it, once it is read

    def prepare_data(self) -> None:
        """Download or convert what is missing; safe in several processes at once."""
        self.source.prepare()

    def setup(self, stage: str | None = None) -> None:
        """Read the tensors, once, hold them against the facts stated in the config, and change what is to change."""
        if self.splits is not None:
            return
        whole = splits = self.source.load()
        self.source_shape = tuple(splits.train.images.shape[1:])
        received = framed_shape(splits.train.images.shape[1:], self.resize, self.place)
        if received != self.image_shape:
            asked = {"data.resize": self.resize, "data.place": self.place}
            changes = " and ".join(f"{key}={value}" for key, value in asked.items() if value)
            by = f" after {changes}" if changes else ""
            remedy = f"add data.image_shape=[{','.join(map(str, received))}]"
            raise ConfigError(
                f"data.image_shape is {list(self.image_shape)}; the data has {list(received)}{by}: {remedy}"
            )
        if self.val_size == 0:
            splits = without_validation(splits)
        if self.classes is not None:
            splits = only_classes(splits, self.classes)
        if self.folds is not None and self.fold is not None:
            over_all = self.folds_over == "all"
            splits = held_out_fold(splits, self.folds, self.fold, over_all=over_all, seed=self.split_seed)
        if splits.class_names and len(splits.class_names) != self.num_classes:
            has = "the data has" if self.classes is None else "data.classes keeps"
            raise ConfigError(f"data.num_classes is {self.num_classes}; {has} {len(splits.class_names)} classes")
        if self.train_fraction < 1:
            splits = part_of_train(splits, self.train_fraction)
        require_whole_batch(self.batch_size, len(splits.train.target), self.train_fraction)
        if splits.report.duplicates is None:
            splits = with_duplicates_counted(splits)
        if self.resize is not None:
            splits = resized(splits, self.resize)
        if self.place is not None:
            splits = placed(splits, self.place)
        if self.permute_pixels:
            splits = with_permuted_pixels(splits)
        targets = f"{len(splits.class_names)} classes" if splits.class_names else "targets are numbers"
        logger.info("data: %s; %s", splits.summary(), targets)
        # the facts are those of the data set, whatever is kept of it
        warn_if_far_off(whole.train.images, mean=self.mean, std=self.std)
        if getattr(self.augment, "flip", 0) and is_of_characters(type(self.source)):
            logger.warning(
                "augment mirrors images of %s: a mirrored character is another one or none; augment.flip=0 leaves "
                "them as they are",
                type(self.source).__name__,
            )
        self.splits = splits

    def facts(self) -> dict[str, Any]:
        """What there is to record of the data, as plain data: sizes, what was cut from what, what was left out."""
        if self.splits is None:
            self.setup()
        assert self.splits is not None
        report = self.splits.report
        sizes = {name: len(split.target) for name, split in self.splits.by_name().items()}
        return {
            "num_classes": self.num_classes,
            "image_shape": list(self.image_shape),
            "source_shape": None if self.source_shape is None else list(self.source_shape),
            "mean": list(self.mean),
            "std": list(self.std),
            "splits": {name: {"size": size, "cut_from": report.cut_from.get(name)} for name, size in sizes.items()},
            "notes": list(report.notes),
            "left_out": list(report.left_out),
            "duplicates": dict(report.duplicates or {}),
            "pixel_max": report.pixel_max,
        }

    def sample_ids(self, split: str) -> NDArray[np.str_] | NDArray[np.int64]:
        """What each image of ``train``, ``val`` or ``test`` is called, (N,).

        It is its file as text, or its int64 index in what the source read, before classes or images were chosen.
        """
        if self.splits is None:
            self.setup()
        assert self.splits is not None
        found = self.splits.by_name()[split]
        return found.places().numpy() if found.ids is None else np.array(found.ids, dtype=np.str_)

    def train_dataloader(self) -> DataLoader[Batch]:
        """The training split in the order of the current epoch, from the first batch that is not done yet.

        A last batch of one image alone is left out.
        """
        split = self._split("train")
        order = EpochOrder(len(split.target), batch_size=self.batch_size, seed=self.seed, position=self._position)
        self._order = order
        # batch normalisation has no variance of a single image
        drop_last = self.batch_size > 1 and len(order) % self.batch_size == 1
        overfits = bool(getattr(self.trainer, "overfit_batches", 0))  # then Lightning would take a sampler's place
        if self.num_workers and not overfits:
            return self._loader(split, batch_size=self.batch_size, sampler=order, drop_last=drop_last)
        device = split.target.device
        return self._loader(split, batch_sampler=EpochBatches(order, self.batch_size, drop_last, device=device))

    def val_dataloader(self) -> DataLoader[Batch]:
        """The validation split, in order; no batch where `val_size` is 0."""
        return self._loader(self._split("val"), batch_size=self.eval_batch_size)

    def test_dataloader(self) -> DataLoader[Batch]:
        """The test split, in order."""
        return self._loader(self._split("test"), batch_size=self.eval_batch_size)

    def transfer_batch_to_device(self, batch: Batch, device: torch.device, dataloader_idx: int) -> Batch:
        """A batch on `device`; one that is there already is passed through without a walk over its parts."""
        images, target = batch
        if images.device == device:
            return batch
        return images.to(device, non_blocking=True), target.to(device, non_blocking=True)

    def on_after_batch_transfer(self, batch: Batch, dataloader_idx: int) -> Batch:
        """Augment a training batch and normalise any, on its device: images (B, C, H, W) uint8 to float32."""
        if self.trainer is not None and self.trainer.training:
            batch = self._changed(batch, self._position())
        images, target = batch
        if self.test_views is not None and self.trainer is not None and self.trainer.testing:
            images = self.test_views(images)
        return self._as_the_net_takes_them(self.normalize(images)), target

    def next_batches(self, count: int) -> list[Batch]:
        """The next `count` batches of the training epoch, or what is left of it, gathered at once; for a trainer.

        They are what the loader's batches become: on the device, changed, and as the net takes them: images
        (B, C, H, W), targets (B, …).
        """
        assert self.trainer is not None
        split, at = self._split("train"), self._position()
        samples = self._samples(at, count * self.batch_size).to(split.target.device)
        found = split.images.index_select(0, samples), split.target.index_select(0, samples)
        whole = self.transfer_batch_to_device(found, self.trainer.strategy.root_device, 0)
        if are_by_image(self.augment, self.mix):
            return in_batches(self.on_after_batch_transfer(whole, 0), self.batch_size)
        batches = [
            self._changed(batch, at._replace(batches_done=at.batches_done + step))
            for step, batch in enumerate(in_batches(whole, self.batch_size))
        ]
        return [(self._as_the_net_takes_them(self.normalize(images)), target) for images, target in batches]

    def _changed(self, batch: Batch, at: Position) -> Batch:
        """Training images (B, C, H, W) from `at` on, augmented and mixed, with their targets."""
        if self.augment is None and self.mix is None:
            return batch
        samples = self._samples(at, len(batch[1])).to(batch[0].device)
        return changed(batch, samples, at, self.augment, self.mix, num_classes=self.num_classes, seed=self.seed)

    def _as_the_net_takes_them(self, images: Tensor) -> Tensor:
        """Images in the precision of the net's own weights: 64-true, bf16-true, a net in half precision."""
        net = self.trainer.lightning_module if self.trainer is not None else None
        if self._first_parameter[0] is not net:  # to find it in each step costs a walk over the net's modules
            self._first_parameter = (net, next(net.parameters(), None) if net is not None else None)
        parameter = self._first_parameter[1]
        return images if parameter is None else images.to(parameter.dtype)

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
        # the few batches to be overfitted are the same in every epoch
        epoch = 0 if getattr(self.trainer, "overfit_batches", 0) else self.trainer.current_epoch
        return Position(epoch=epoch, batches_done=batch_progress.current.processed)  # type: ignore[attr-defined]

    def _samples(self, at: Position, count: int) -> Tensor:
        """Which images of the training split the current batch holds, (count,) int64."""
        if self._order is None:
            self.train_dataloader()
        assert self._order is not None
        return self._order.samples(at, count)

    def _split(self, name: str) -> Split:
        if self.splits is None:
            self.setup()
        split: Split = getattr(self.splits, name)
        if not (self.on_device and self.trainer is not None):
            return split
        device = self.trainer.strategy.root_device
        held = self._held.get(name)
        if held is None or held.target.device != device:
            held = self._held[name] = Split(split.images.to(device), split.target.to(device))
        return held

    def _copies_to_cuda(self, split: Split) -> bool:
        """Whether batches go from memory to a CUDA device; to ask for pinned memory initialises CUDA."""
        trains = self.trainer is not None and self.trainer.strategy.root_device.type == "cuda"
        return trains and not split.images.is_cuda

    def _loader(self, split: Split, **options: Any) -> DataLoader[Batch]:
        return DataLoader(
            BatchedImages(split.images, split.target),
            num_workers=self.num_workers,
            persistent_workers=self.num_workers > 0,
            pin_memory=self._copies_to_cuda(split),
            collate_fn=as_is,  # type: ignore[arg-type]
            **options,
        )


def _cut_by(source: Any, split_seed: int) -> Source:
    """The source with another split seed."""
    if "split_seed" not in getattr(source, "__dataclass_fields__", {}):
        raise ConfigError(
            f"data.split_seed is {split_seed}; {type(source).__name__} cuts nothing by a split_seed of its own: "
            "expected null, or data.folds beside it"
        )
    cut: Source = replace(source, split_seed=split_seed)
    return cut
