"""What a config may change about a data set before it is trained on: which classes, which fold, how much of train.

Each is a function from splits to splits, applied once when the data is read. So a training step costs what it did, and
the checksum in a run's record is that of what the run really saw. None of it depends on the run's seed: every run of a
comparison sees the same change. Changes drawn anew for each batch are left to `perturbations`.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
import torch
from torch import Tensor

from vision_baselines.data.folds import fold_numbers
from vision_baselines.data.splits import SPLIT_SEED, Split, Splits, cut_val, frozen_draws
from vision_baselines.errors import ConfigError, DataError

# No meaning but that it is fixed, and not that of the splits.
PERMUTATION_SEED = 20_240_202


def only_classes(splits: Splits, classes: Sequence[int | str]) -> Splits:
    """Keep some classes, in every split, as 0, 1, … in the order given.

    Args:
        splits: The whole data set.
        classes: Labels, or names of classes; two or more, each once.

    Raises:
        ConfigError: A class is not there or stands twice, or there are fewer than two.
    """
    if isinstance(classes, str) or not isinstance(classes, Sequence):
        raise ConfigError(f"data.classes is {classes!r}; expected a list of classes such as [0,1], or null for all")
    if not splits.class_names:
        raise ConfigError(f"data.classes is {list(classes)}; the targets of this data set are numbers: expected null")
    labels = [_label(wanted, splits.class_names) for wanted in classes]
    if len(labels) < 2 or len(set(labels)) < len(labels):
        raise ConfigError(f"data.classes is {list(classes)}; expected two or more classes, each once")
    renumbered = torch.full((len(splits.class_names),), -1)
    renumbered[labels] = torch.arange(len(labels))

    def kept(split: Split) -> Split:
        target = renumbered[split.target]
        index = (target >= 0).nonzero().flatten()
        return replace(split.subset(index), target=target[index])

    names = tuple(splits.class_names[label] for label in labels)
    return replace(splits, train=kept(splits.train), val=kept(splits.val), test=kept(splits.test), class_names=names)


def without_validation(splits: Splits) -> Splits:
    """Give train back what was cut from it for validation; images that came as a validation split are left out."""
    train, val = splits.train, splits.val
    cut_from = {name: origin for name, origin in splits.report.cut_from.items() if name != "val"}
    if "val" in splits.report.cut_from:
        ids = train.ids + val.ids if train.ids is not None and val.ids is not None else None
        train = Split(
            torch.cat([train.images, val.images]),
            torch.cat([train.target, val.target]),
            ids,
            torch.cat([train.places(), val.places()]),
        )
        note = f"no validation: all {len(train.target):,} training images are trained on (data.val_size=0)"
    else:
        note = f"no validation: its {len(val.target):,} images are not used (data.val_size=0)"
    report = replace(splits.report, cut_from=cut_from, notes=(*splits.report.notes, note))
    return replace(splits, train=train, val=val.subset(torch.arange(0)), report=report, has_val=False)


def held_out_fold(splits: Splits, folds: int, fold: int, *, over_all: bool, seed: int) -> Splits:
    """One fold of a cross-validation in place of the splits that the source made.

    Args:
        splits: The data set, with the classes that are kept.
        folds: Number of parts.
        fold: The part that is held out, from 0.
        over_all: False cuts train and val, and the part is val; True cuts all images, the part is test, and val, where
            there is one, is cut from the rest, as large a share of it as the source's val is of train and val.
        seed: The split seed.

    Raises:
        ConfigError: There are more folds than images of the smallest class.
        DataError: The data set came with a validation split, which is no part of train.
    """
    if not over_all and "val" not in splits.report.cut_from:
        raise DataError(
            f"data.folds is {folds}; the validation split of this data set ({len(splits.val.target):,} images) came "
            "with it and was not cut from train: expected data.folds=null, or data.folds_over=all"
        )
    pool = _joined(splits, ("train", "val", "test") if over_all else ("train", "val"))
    numbers = torch.from_numpy(fold_numbers(pool.target.numpy(), folds, seed=seed))
    rest, out = (pool.subset(chosen.nonzero().flatten()) for chosen in (numbers != fold, numbers == fold))
    name = "test" if over_all else "val"
    of = "all images" if over_all else "train and val"
    note = f"{name} is fold {fold} of {folds} (from 0): {len(out.target):,} of {len(pool.target):,} images of {of}"
    # copies that the source counted were between its own splits
    report = replace(splits.report, notes=(*splits.report.notes, note), duplicates=None)
    if not over_all:
        return replace(splits, train=rest, val=out, report=report)
    if not splits.has_val:
        return replace(splits, train=rest, test=out, report=replace(report, cut_from={"test": "train"}))
    share = len(splits.val.target) / (len(splits.val.target) + len(splits.train.target))
    size = max(1, round(share * len(rest.target)))
    train, val = cut_val(rest, size, seed=seed, stratified=not rest.target.is_floating_point())
    report = replace(report, cut_from={"test": "train", "val": "train"})
    return replace(splits, train=train, val=val, test=out, report=report)


def _joined(splits: Splits, names: Sequence[str]) -> Split:
    """All images of some splits in the order of the source, whatever was cut from what, each called by its place."""
    parts = {name: split for name, split in splits.by_name().items() if name in names and len(split.target)}
    origins = {name: splits.report.cut_from.get(name, name) for name in parts}
    ids = [
        f"{origins[name]} {place}" if split.ids is None else split.ids[at]
        for name, split in parts.items()
        for at, place in enumerate(split.places().tolist())
    ]
    images, target = (torch.cat([getattr(split, of) for split in parts.values()]) for of in ("images", "target"))
    places = torch.cat([split.places() for split in parts.values()])
    origin = torch.cat([torch.full((len(parts[name].target),), names.index(origins[name])) for name in parts])
    order = torch.from_numpy(np.lexsort((places.numpy(), origin.numpy())))
    return Split(images, target, tuple(ids), places).subset(order)


def part_of_train(splits: Splits, fraction: float, *, seed: int = SPLIT_SEED) -> Splits:
    """Keep a fraction of train, of each class its share and at least one image; val and test stay whole.

    A smaller fraction lies inside a larger one, so that a curve over fractions adds images and swaps none.

    Args:
        splits: The whole data set.
        fraction: In (0, 1]; the number of images is rounded.
        seed: Decides which images.

    Raises:
        ConfigError: There would be fewer images than classes.
    """
    target = splits.train.target
    total, size = len(target), round(fraction * len(target))
    if size == total:
        return splits
    if target.is_floating_point():
        if not size:
            raise ConfigError(f"data.train_fraction is {fraction}, which is none of {total:,} images")
        order = torch.from_numpy(frozen_draws(seed).permutation(total))
        return replace(splits, train=splits.train.subset(order[:size].sort().values))
    present = int(torch.bincount(target).count_nonzero())
    if size < present:
        raise ConfigError(
            f"data.train_fraction is {fraction}, which is {size:,} of {total:,} images; "
            f"expected enough for one of each of the {present} classes"
        )
    order = balanced_order(target, seed=seed)
    return replace(splits, train=splits.train.subset(order[:size].sort().values))


def balanced_order(target: Tensor, *, seed: int) -> Tensor:
    """An order that begins with one image of each class and continues so that every class keeps to its share.

    However much is taken from the beginning, a class has its share rounded to a whole number, and at least one image;
    where some classes' shares are less than one, the others give way.
    Rejected: a stratified draw for each size by itself. Rounded shares are not monotone in the size (a larger draw can
    hold fewer of a class), so such draws do not lie inside one another.

    Args:
        target: (N,) int64, labels.
        seed: Decides which images of a class come first.

    Returns:
        (N,) int64, a permutation of the indices.
    """
    draws = frozen_draws(seed)
    place = torch.empty(len(target), dtype=torch.float64)
    for label in range(int(target.max()) + 1):
        members = (target == label).nonzero().flatten()
        shuffled = members[torch.from_numpy(draws.permutation(len(members)))]
        place[shuffled] = (torch.arange(len(members), dtype=torch.float64) + 0.5) / len(members)
        place[shuffled[:1]] = 0
    return place.argsort(stable=True)


def with_permuted_pixels(splits: Splits, *, seed: int = PERMUTATION_SEED) -> Splits:
    """Put the pixels of every image of every split in the same random order, all channels together."""
    height, width = splits.train.images.shape[-2:]
    order = pixel_permutation(height, width, seed=seed)

    def permuted(split: Split) -> Split:
        return replace(split, images=split.images.flatten(2).index_select(2, order).view(split.images.shape))

    return replace(splits, train=permuted(splits.train), val=permuted(splits.val), test=permuted(splits.test))


def pixel_permutation(height: int, width: int, *, seed: int = PERMUTATION_SEED) -> Tensor:
    """For each place of an image, row by row, the place its pixel comes from: (height * width,) int64."""
    return torch.from_numpy(frozen_draws(seed).permutation(height * width))


def _label(wanted: int | str, class_names: Sequence[str]) -> int:
    if isinstance(wanted, int) and not isinstance(wanted, bool) and 0 <= wanted < len(class_names):
        return wanted
    if isinstance(wanted, str) and wanted in class_names:
        return class_names.index(wanted)
    names = ", ".join(class_names[:10]) + (", …" if len(class_names) > 10 else "")
    raise ConfigError(
        f"data.classes has {wanted!r}; expected labels from 0 to {len(class_names) - 1}, or names among {names}"
    )
