"""Pictures that occur more than once: byte copies between splits, and one picture in two classes.

A copy of a training picture in test makes a result too good; one picture under two classes cannot be right both times.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping
from dataclasses import dataclass

import torch
from torch import Tensor

from vision_baselines.data.splits import Split

_EXAMPLES = 3


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
        contents: For each split (N, 16), uint8: a digest of each picture's file.
    """
    places: dict[bytes, list[tuple[str, int]]] = defaultdict(list)
    for split, digests in contents.items():
        for index, digest in enumerate(digests.numpy()):
            places[digest.tobytes()].append((split, index))
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
        if len({int(splits[split].target[index]) for split, index in copies}) > 1:
            where.append("two classes")
        for words in where:
            counts[words] += 1
            examples[words].append(" = ".join((splits[split].ids or ())[index] for split, index in copies[:3]))
        if where:
            in_train |= {index for split, index in copies if split == "train"}
    lines = tuple(
        f"{count:,} picture{'s are' if count > 1 else ' is'} in {where}: "
        + "; ".join(examples[where][:_EXAMPLES])
        + ("; …" if count > _EXAMPLES else "")
        for where, count in counts.items()
    )
    return Duplicates(dict(counts), lines, tuple(sorted(in_train)))


def without(split: Split, dropped: tuple[int, ...]) -> Split:
    """The split without some of its images."""
    kept = torch.ones(len(split.target), dtype=torch.bool)
    kept[list(dropped)] = False
    return split.subset(kept.nonzero().flatten())
