"""Pictures that occur more than once: copies between splits, and one picture in two classes.

A copy of a training picture in test makes a result too good; one picture under two classes cannot be right both times.
"""

from __future__ import annotations

import logging
from collections import defaultdict
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import torch
from torch import Tensor

from vision_baselines.data.splits import Split, Splits

logger = logging.getLogger(__name__)
_EXAMPLES = 3
_ROWS_AT_A_TIME = 4096


@dataclass(frozen=True)
class Duplicates:
    """What occurs more than once.

    Attributes:
        counts: Number of pictures, by where: ``{"train and test": 3, "two classes": 1}``.
        lines: The same as sentences, with examples.
        in_train: Indices of the training pictures that are concerned.
    """

    counts: dict[str, int]
    lines: tuple[str, ...]
    in_train: tuple[int, ...]


def found_duplicates(splits: Mapping[str, Split], contents: Mapping[str, Tensor]) -> Duplicates:
    """Find the pictures that occur in two splits or two classes.

    Args:
        splits: Train, val and test, with ids.
        contents: For each split (N, …), uint8: each picture's pixels, or a digest of its file.
    """
    places: dict[bytes, list[tuple[str, int]]] = defaultdict(list)
    for split, index in _candidates(contents):
        places[contents[split][index].numpy().tobytes()].append((split, index))
    counts: dict[str, int] = defaultdict(int)
    examples: dict[str, list[str]] = defaultdict(list)
    in_train = set()
    for copies in places.values():
        if len(copies) < 2:
            continue
        where = []
        present = list(dict.fromkeys(split for split, _ in copies))
        if len(present) > 1:
            where += [f"{one} and {other}" for at, one in enumerate(present) for other in present[at + 1 :]]
        targets = {tuple(splits[split].target[index].flatten().tolist()) for split, index in copies}
        if len(targets) > 1 and not splits["train"].target.is_floating_point():
            where.append("two classes")
        for words in where:
            counts[words] += 1
            examples[words].append(" = ".join(_name(splits, *place) for place in copies[:3]))
        if where:
            in_train |= {index for split, index in copies if split == "train"}
    lines = tuple(
        f"{count:,} picture{'s are' if count > 1 else ' is'} in {where}: "
        + "; ".join(examples[where][:_EXAMPLES])
        + ("; …" if count > _EXAMPLES else "")
        for where, count in counts.items()
    )
    return Duplicates(dict(counts), lines, tuple(sorted(in_train)))


def with_duplicates_counted(splits: Splits) -> Splits:
    """The same splits, whose report says how many images, pixel by pixel, are in two of them or in two classes."""
    found = found_duplicates(splits.by_name(), {name: split.images for name, split in splits.by_name().items()})
    for line in found.lines:
        logger.warning(line)
    return replace(splits, report=replace(splits.report, duplicates=found.counts))


def _candidates(contents: Mapping[str, Tensor]) -> list[tuple[str, int]]:
    """Where a content stands that may occur elsewhere too: a hash of it does. Most data has none, and is done with."""
    hashes = {split: _hashes(rows.flatten(1).numpy()) for split, rows in contents.items()}
    every = np.concatenate(list(hashes.values()))
    _, inverse, counts = np.unique(every, return_inverse=True, return_counts=True)
    repeated = counts[inverse] > 1
    starts = np.cumsum([0, *(len(found) for found in hashes.values())])
    return [
        (split, int(index))
        for split, start, end in zip(hashes, starts, starts[1:], strict=False)
        for index in np.flatnonzero(repeated[start:end])
    ]


def _hashes(rows: np.ndarray[Any, Any]) -> np.ndarray[Any, Any]:
    """A hash (N,) uint64 of each row (N, D) uint8, equal for equal rows: words times fixed odd numbers, summed."""
    words = -(-rows.shape[1] // 8)
    factors = np.random.RandomState(0).randint(0, 2**63, size=words, dtype=np.uint64) * np.uint64(2) + np.uint64(1)
    found = np.empty(len(rows), np.uint64)
    for start in range(0, len(rows), _ROWS_AT_A_TIME):
        part = rows[start : start + _ROWS_AT_A_TIME]
        padded = np.zeros((len(part), 8 * words), np.uint8)
        padded[:, : rows.shape[1]] = part
        found[start : start + _ROWS_AT_A_TIME] = (padded.view(np.uint64) * factors).sum(axis=1, dtype=np.uint64)
    return found


def _name(splits: Mapping[str, Split], split: str, index: int) -> str:
    ids = splits[split].ids
    return f"{split} {index}" if ids is None else ids[index]


def without(split: Split, dropped: tuple[int, ...]) -> Split:
    """The split without some of its images."""
    kept = torch.ones(len(split.target), dtype=torch.bool)
    kept[list(dropped)] = False
    return split.subset(kept.nonzero().flatten())
