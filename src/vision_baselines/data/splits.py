"""The three splits of a data set, and how validation is cut from train.

Which images land in which split is a function of the data and a split seed only, never of the run's seed, so that
every run is measured on the same images. What a source yields passes through `Splits`, which refuses what cannot
be right.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property

import numpy as np
import torch
from torch import Tensor

from vision_baselines.data.integrity import check_split
from vision_baselines.data.source_report import SourceReport
from vision_baselines.errors import ConfigError, DataError
from vision_baselines.storage.hashing import tensors_sha256

# No meaning but that it is fixed: published figures are for this cut.
SPLIT_SEED = 20_240_101


@dataclass(frozen=True, eq=False)
class Split:
    """Images and their labels.

    Attributes:
        images: (N, C, H, W), uint8.
        target: (N,), int64; where there are no classes, float32 of (N,) or (N, K).
        ids: (N,), what each image is called, such as its file; None where it has no name.
        index: (N,), int64, where each image stood in what its source read; None is as it stands here.
    """

    images: Tensor
    target: Tensor
    ids: tuple[str, ...] | None = None
    index: Tensor | None = None

    def subset(self, index: Tensor) -> Split:
        """The images at `index`, (M,) int64, copied."""
        ids = None if self.ids is None else tuple(self.ids[at] for at in index.tolist())
        return Split(self.images[index], self.target[index], ids, self.places()[index])

    def places(self) -> Tensor:
        """`index`, or what stands for it: (N,) int64."""
        return torch.arange(len(self.target)) if self.index is None else self.index


@dataclass(frozen=True, eq=False)
class Splits:
    """A data set as it is trained, validated and tested on; without `class_names` its targets are numbers.

    Only where `has_val` is false may val be empty.

    Raises:
        DataError: A split is empty, images and labels differ in number, a label is out of range, a dtype is wrong
            or the image shapes differ.
    """

    train: Split
    val: Split
    test: Split
    class_names: tuple[str, ...]
    report: SourceReport = field(default_factory=SourceReport)
    has_val: bool = True

    def __post_init__(self) -> None:
        for name, split in self.by_name().items():
            if name == "val" and not self.has_val and not len(split.target):
                continue
            check_split(name, split.images, split.target, num_classes=len(self.class_names))
            shapes = [tuple(images.shape[1:]) for images in (split.images, self.train.images)]
            if shapes[0] != shapes[1]:
                raise DataError(f"{name} images have shape {shapes[0]}; expected {shapes[1]} as in train")

    @cached_property
    def sha256(self) -> str:
        """Hex digest over every image, label and class name; computed once."""
        tensors = [tensor for split in self.by_name().values() for tensor in (split.images, split.target)]
        return hashlib.sha256("\n".join([tensors_sha256(*tensors), *self.class_names]).encode()).hexdigest()

    @cached_property
    def test_sha256(self) -> str:
        """Hex digest over the test split and the class names: runs with the same one were tested alike."""
        tensors = tensors_sha256(self.test.images, self.test.target)
        return hashlib.sha256("\n".join([tensors, *self.class_names]).encode()).hexdigest()

    def summary(self) -> str:
        """Sizes of the splits, and what was cut from what: ``train 1,257, val 180 (cut from train), test 360``."""
        cut_from = self.report.cut_from
        return ", ".join(
            f"{name} {len(split.target):,}" + (f" (cut from {cut_from[name]})" if name in cut_from else "")
            for name, split in self.by_name().items()
        )

    def by_name(self) -> dict[str, Split]:
        """Train, val and test."""
        return {"train": self.train, "val": self.val, "test": self.test}


@dataclass(frozen=True, eq=False)
class OfficialSplits:
    """A data set as its authors divided it, before validation is cut from train."""

    train: Split
    test: Split
    class_names: tuple[str, ...]


def cut_val(train: Split, val_size: int, *, seed: int, stratified: bool = False) -> tuple[Split, Split]:
    """Cut a validation split from train; both keep the order of the data.

    Args:
        train: What there is to learn from.
        val_size: Number of images in the validation split.
        seed: The split seed.
        stratified: Whether each class gives its share, to within one image.

    Returns:
        What is left of train, and the validation split.

    Raises:
        ConfigError: `val_size` would leave validation or train without images.
    """
    total = len(train.target)
    if not 0 < val_size < total:
        instead = ", or data.val_size=0 for no validation" if val_size == 0 else ""
        raise ConfigError(
            f"data.source.val_size is {val_size}; expected 1 to {total - 1} of the {total:,} images{instead}"
        )
    if stratified:
        kept, held_out = stratified_cut(train.target, proportional_counts(train.target, val_size), seed=seed)
    else:
        order = torch.from_numpy(frozen_draws(seed).permutation(total))
        held_out, kept = order[:val_size].sort().values, order[val_size:].sort().values
    return train.subset(kept), train.subset(held_out)


def stratified_cut(target: Tensor, counts: Sequence[int], *, seed: int) -> tuple[Tensor, Tensor]:
    """Draw a given number of samples from every class.

    Args:
        target: (N,) int64, labels.
        counts: For each class, how many samples are held out.
        seed: The split seed.

    Returns:
        Indices of the samples kept and of those held out, each ascending.
    """
    generator = frozen_draws(seed)
    held_out = torch.zeros(len(target), dtype=torch.bool)
    for label, count in enumerate(counts):
        members = (target == label).nonzero().flatten()
        order = torch.from_numpy(generator.permutation(len(members)))
        held_out[members[order[:count]]] = True
    return (~held_out).nonzero().flatten(), held_out.nonzero().flatten()


def require_fractions(val_fraction: float, test_fraction: float) -> None:
    """Refuse shares that leave nothing to learn from.

    Raises:
        ConfigError: One is out of range.
    """
    for name, fraction in {"val_fraction": val_fraction, "test_fraction": test_fraction}.items():
        if not 0 < fraction < 0.5:
            raise ConfigError(f"data.source.{name} is {fraction}; expected between 0 and 0.5")


def held_out_counts(per_class: Sequence[int], fractions: Mapping[str, float]) -> dict[str, list[int]]:
    """For each split that is cut from train, how many samples of each class it is given; at least one."""
    return {name: [max(1, round(fraction * count)) for count in per_class] for name, fraction in fractions.items()}


def held_out(target: Tensor, counts: Mapping[str, Sequence[int]], *, seed: int) -> dict[str, Tensor]:
    """Cut splits from train, one after the other, by `stratified_cut`.

    Returns:
        Indices, ascending, of each split and of ``train``, what is left.
    """
    found, rest = {}, torch.arange(len(target))
    for name, taken in counts.items():
        kept, out = stratified_cut(target[rest], taken, seed=seed)
        found[name], rest = rest[out], rest[kept]
    return {**found, "train": rest}


def proportional_counts(target: Tensor, size: int) -> list[int]:
    """How `size` samples are shared among the classes, by largest remainder.

    >>> proportional_counts(torch.tensor([0, 0, 0, 0, 1, 1]), 3)
    [2, 1]
    """
    per_class = torch.bincount(target).tolist()
    floors = [count * size // len(target) for count in per_class]
    remainders = [count * size % len(target) for count in per_class]
    by_remainder = sorted(range(len(per_class)), key=lambda label: (-remainders[label], label))
    for label in by_remainder[: size - sum(floors)]:
        floors[label] += 1
    return floors


def frozen_draws(seed: int) -> np.random.RandomState:
    """A generator whose draws from this seed are the same for good."""
    # RandomState's stream is frozen for good (NEP 19); Generator's may change with a version of NumPy, torch's too.
    return np.random.RandomState(seed)
