"""Where tensors come from, and the sources that need no file and no network.

A source is a small class whose constructor arguments are its config. Files are read by `torchvision_source` and
`image_folder`; batches, normalising and the order of training are left to the data module.
"""

from __future__ import annotations

import importlib.util
import math
import zlib
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Protocol, final

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn import functional

from vision_baselines.data.integrity import verify
from vision_baselines.data.memory import require_room
from vision_baselines.data.source_report import VAL_CUT_FROM_TRAIN
from vision_baselines.data.splits import (
    SPLIT_SEED,
    Split,
    Splits,
    cut_val,
    proportional_counts,
    stratified_cut,
)
from vision_baselines.errors import ConfigError

__all__ = ["SPLIT_SEED", "Circles", "Digits", "Noise", "Source", "Split", "Splits"]

# tensors_sha256 of the 1,797 images (N, 1, 16, 16) and labels, in scikit-learn's order
DIGITS_SHA256 = "83c87eb02109804b9979a156b0ce3d5cb3e27d0d217ffd4cd5f452ea7ce64f44"
_DIGITS_TEST_SIZE = 360
_DIGITS_TEST_SEED = 1_797

_NOISE_MEAN = 128
_NOISE_STD = 32
_MOST_NORMAL_POINTS = 4_000  # of 256 × 256; with more, places near the centre run out and fewer lie inside


class Source(Protocol):
    """Yields a data set as tensors in memory."""

    def prepare(self) -> None:
        """Download or convert what is missing; safe to call from several processes at once."""

    def load(self) -> Splits:
        """Read the splits; fast, and the same tensors every time."""


@final
@dataclass(frozen=True)
class Digits:
    """Scikit-learn's 1,797 handwritten 8×8 digits, brought to 16×16; needs no network.

    360 images are the test split, stratified and fixed for good: no argument changes it.

    Args:
        val_size: Images cut from the remaining 1,437 for validation, stratified.
        split_seed: Decides which.
        sha256: Checksum of the images and labels before any cut; None to skip the check.

    Source: Alpaydin & Kaynak 1998, Optical Recognition of Handwritten Digits, UCI (its test part).
    """

    val_size: int = 180
    split_seed: int = SPLIT_SEED
    sha256: str | None = DIGITS_SHA256

    def prepare(self) -> None:
        """Nothing to do: the digits come with scikit-learn."""

    def load(self) -> Splits:
        """Train (1,257 by default), val (180) and test (360), images (N, 1, 16, 16)."""
        images, target = _digits_of_scikit_learn()
        every = Split(_upsampled_digits(images), torch.from_numpy(target.astype(np.int64)))
        if self.sha256 is not None:
            verify(
                self.sha256,
                every.images,
                every.target,
                what="scikit-learn's digits",
                remedy="Install scikit-learn again, or set data.source.sha256=null to use what there is.",
            )
        test_counts = proportional_counts(every.target, _DIGITS_TEST_SIZE)
        rest, test = stratified_cut(every.target, test_counts, seed=_DIGITS_TEST_SEED)
        train, val = cut_val(every.subset(rest), self.val_size, seed=self.split_seed, stratified=True)
        return Splits(train, val, every.subset(test), class_names=tuple("0123456789"), report=VAL_CUT_FROM_TRAIN)


def _digits_of_scikit_learn() -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Images (1797, 8, 8) of whole numbers from 0 to 16, and labels (1797,).

    The file is read where it lies: to import scikit-learn for it takes twenty times as long, as that imports pandas and
    SciPy. Where it lies elsewhere, or is not what it was, scikit-learn is asked.
    """
    spec = importlib.util.find_spec("sklearn")
    for folder in (spec and spec.submodule_search_locations) or ():
        try:
            table = np.loadtxt(Path(folder, "datasets", "data", "digits.csv.gz"), delimiter=",")
        except (OSError, EOFError, ValueError, zlib.error):
            break
        if table.shape == (1_797, 65):
            return table[:, :-1].reshape(-1, 8, 8), table[:, -1]
    from sklearn.datasets import load_digits

    bunch = load_digits()
    return bunch.images, bunch.target


def _upsampled_digits(images: NDArray[np.float64]) -> Tensor:
    # Doubling weighs whole numbers by sixteenths (9, 3, 3 and 1), so every value on the way is exact in float32 and
    # the result is the same on any processor.
    whole = torch.from_numpy(images).to(torch.float32).unsqueeze(1)
    doubled = functional.interpolate(whole, scale_factor=2, mode="bilinear", align_corners=False)
    return (doubled.double() * 255 / 16).round().to(torch.uint8)


@final
@dataclass(frozen=True)
class Noise:
    """The control: Gaussian noise with labels drawn at random, on which an honest result is chance.

    Pixels are normal with mean 128 and standard deviation 32, in whole levels, clipped at four deviations.

    With a `leak`, some test images with their labels stand in for training images, as after a faulty cut: a control
    that does not show it is none.

    Args:
        train_size: Images to learn from, before validation is cut from them.
        val_size: Images of those that are for validation.
        test_size: Images in the test split.
        image_shape: (channels, height, width) in pixels.
        num_classes: Labels are uniform over 0 … num_classes - 1.
        leak: Share of the test images, the first ones, that also lie in train, in place of its last images.
        split_seed: Decides every pixel and label, and the cut.
        sha256: Checksum of train and test before the cut, for those who want it pinned; None to skip the check.
    """

    train_size: int = 5_000
    val_size: int = 500
    test_size: int = 1_000
    image_shape: Sequence[int] = (1, 28, 28)
    num_classes: int = 10
    leak: float = 0.0
    split_seed: int = SPLIT_SEED
    sha256: str | None = None

    def __post_init__(self) -> None:
        _require_counts(train_size=self.train_size, test_size=self.test_size, num_classes=self.num_classes)
        if not 0 <= self.leak <= 1:
            raise ConfigError(f"data.source.leak is {self.leak}; expected a share from 0 to 1 of the test images")
        if len(self.image_shape) != 3 or min(self.image_shape) < 1:
            raise ConfigError(
                f"data.image_shape is {list(self.image_shape)}; expected [channels, height, width], each >= 1"
            )
        total = self.train_size + self.test_size
        require_room(2 * total * math.prod(self.image_shape), f"noise of {total:,} images", "data.image_shape")

    def prepare(self) -> None:
        """Nothing to do: the images are drawn when they are loaded."""

    def load(self) -> Splits:
        """Train, val and test, images (N, *image_shape)."""
        draws = np.random.RandomState(self.split_seed)
        total, shape = self.train_size + self.test_size, tuple(self.image_shape)
        uniform = np.frombuffer(draws.bytes(2 * total * math.prod(shape)), dtype="<u2")
        images = torch.from_numpy(_normal_levels()[uniform].reshape(total, *shape))
        target = torch.from_numpy(draws.randint(0, self.num_classes, size=total, dtype=np.int64))
        splits = _generated(self, images, target, class_names=tuple(str(label) for label in range(self.num_classes)))
        return _leaking(splits, round(self.leak * self.test_size)) if self.leak else splits


def _leaking(splits: Splits, count: int) -> Splits:
    """The first `count` test images in place of the last training images."""
    train, test = splits.train, splits.test
    kept = len(train.target) - count
    if kept < 0:
        raise ConfigError(
            f"data.source.leak puts {count:,} test images into a training split of {len(train.target):,}; "
            "expected a smaller share, or a larger data.source.train_size"
        )
    images, target = (
        torch.cat([a[:kept], b[:count]]) for a, b in ((train.images, test.images), (train.target, test.target))
    )
    return replace(splits, train=Split(images, target))


def _normal_levels(mean: float = _NOISE_MEAN) -> np.ndarray[tuple[int, ...], np.dtype[np.uint8]]:
    # A table from 16 uniform bits to a normal level. Rejected: rounding NumPy's normal draws, which come from
    # logarithms and roots whose last bit depends on the machine.
    between = (np.arange(255) + 0.5 - mean) / _NOISE_STD
    thresholds = [round(65_536 * 0.5 * math.erfc(-z / math.sqrt(2))) for z in between.tolist()]
    return np.searchsorted(thresholds, np.arange(65_536), side="right").astype(np.uint8)


@final
@dataclass(frozen=True)
class Circles:
    """Points of a square, labelled by whether they lie inside a circle around its centre.

    A point is an image of two channels and one pixel, (2, 1, 1): its x and y in 256 levels, like any pixel, so that
    it passes through the pipeline as images do. Its label is computed from those levels in whole numbers, so the
    rounding makes no label wrong and 100% can be reached. No point occurs twice, within or across splits.

    Args:
        train_size: Points to learn from, before validation is cut from them.
        val_size: Points of those that are for validation.
        test_size: Points in the test split.
        radius: In units of half the square's side; 0.8 puts half of the points (50.3%) inside.
        split_seed: Decides every point, and the cut.
        sha256: Checksum of train and test before the cut, for those who want it pinned; None to skip the check.
    """

    train_size: int = 2_500
    val_size: int = 500
    test_size: int = 1_000
    radius: float = 0.8
    split_seed: int = SPLIT_SEED
    sha256: str | None = None

    def __post_init__(self) -> None:
        _require_counts(train_size=self.train_size, test_size=self.test_size)
        if self.train_size + self.test_size > 256 * 256:
            raise ConfigError(
                f"data.source.train_size and test_size are {self.train_size} and {self.test_size}; "
                f"expected at most {256 * 256:,} together, the points that 256 levels tell apart"
            )
        if not 0 < self.radius < 1:
            raise ConfigError(f"data.source.radius is {self.radius}; expected between 0 and 1")

    def prepare(self) -> None:
        """Nothing to do: the points are drawn when they are loaded."""

    def load(self) -> Splits:
        """Train, val and test, images (N, 2, 1, 1)."""
        drawn = np.random.RandomState(self.split_seed).permutation(256 * 256)[: self.train_size + self.test_size]
        levels = torch.from_numpy(np.stack([drawn % 256, drawn // 256], axis=1)).to(torch.int64)
        doubled = 2 * levels - 255  # the centre lies between levels 127 and 128
        target = (doubled.square().sum(dim=1) < (255 * self.radius) ** 2).to(torch.int64)
        images = levels.to(torch.uint8).view(-1, 2, 1, 1)
        return _generated(self, images, target, class_names=("outside", "inside"))


@final
@dataclass(frozen=True)
class GaussianCircle:
    """Points with normal coordinates, labelled by whether x² + y² < 1.5: 53% of them are.

    As in `Circles`, a point is an image (2, 1, 1), its x and y in 256 levels, 32 to a unit, and the label is computed
    from the levels in whole numbers. No point occurs twice, within or across splits.

    Args:
        train_size: Points to learn from, before validation is cut from them.
        val_size: Points of those that are for validation.
        test_size: Points in the test split.
        split_seed: Decides every point, and the cut.
        sha256: Checksum of train and test before the cut, for those who want it pinned; None to skip the check.
    """

    train_size: int = 1_000
    val_size: int = 200
    test_size: int = 1_000
    split_seed: int = SPLIT_SEED
    sha256: str | None = None

    def __post_init__(self) -> None:
        _require_counts(train_size=self.train_size, test_size=self.test_size)
        if self.train_size + self.test_size > _MOST_NORMAL_POINTS:
            raise ConfigError(
                f"data.source.train_size and test_size are {self.train_size} and {self.test_size}; "
                f"expected at most {_MOST_NORMAL_POINTS:,} together, as no point may occur twice"
            )

    def prepare(self) -> None:
        """Nothing to do: the points are drawn when they are loaded."""

    def load(self) -> Splits:
        """Train, val and test, images (N, 2, 1, 1)."""
        total = self.train_size + self.test_size
        uniform = np.frombuffer(np.random.RandomState(self.split_seed).bytes(4 * 8 * total), dtype="<u2")
        drawn = _normal_levels(mean=127.5)[uniform].reshape(-1, 2).astype(np.int64)
        _, first = np.unique(drawn @ np.array([256, 1]), return_index=True)
        levels = torch.from_numpy(drawn[np.sort(first)[:total]])
        doubled = 2 * levels - 255  # 64 to a unit, and 0 between levels 127 and 128
        target = (doubled.square().sum(dim=1) * 2 < 3 * 64**2).to(torch.int64)
        images = levels.to(torch.uint8).view(-1, 2, 1, 1)
        return _generated(self, images, target, class_names=("outside", "inside"))


def _require_counts(**counts: int) -> None:
    for name, count in counts.items():
        if count < 1:
            raise ConfigError(f"data.source.{name} is {count}; expected a whole number of at least 1")


def _generated(
    source: Noise | Circles | GaussianCircle, images: Tensor, target: Tensor, *, class_names: tuple[str, ...]
) -> Splits:
    """Check what was drawn and cut it: the first `train_size` samples are train with val, the rest is test."""
    if source.sha256 is not None:
        remedy = "It is for other sizes or another split_seed: set data.source.sha256=null, or those back."
        verify(source.sha256, images, target, what=f"generated {type(source).__name__.lower()}", remedy=remedy)
    learnt = Split(images[: source.train_size], target[: source.train_size])
    train, val = cut_val(learnt, source.val_size, seed=source.split_seed)
    test = Split(images[source.train_size :], target[source.train_size :])
    return Splits(train, val, test, class_names=class_names, report=VAL_CUT_FROM_TRAIN)
