"""What groups of runs misclassify: their predictions, image by image, with the names and the pictures that were kept.

The ranks are made by `analysis.mistakes`; how they are shown is left to `report`, `plots` and `cli`.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from vision_baselines.analysis.mistakes import (
    NONE,
    ClassMistakes,
    Mistaken,
    class_mistakes,
    disagreements,
    mistaken,
)
from vision_baselines.comparison.collection import Job
from vision_baselines.comparison.formatting import one_line, shortened
from vision_baselines.errors import DataError
from vision_baselines.runs.mistake_pictures import Pixels, read_pictures
from vision_baselines.runs.predictions import Predictions, read_predictions


@dataclass(frozen=True, eq=False)
class Entry:
    """A misclassified image.

    Attributes:
        place: Where it stands in the test split.
        image: Its file name, or its number in what the source of the data read.
        right: Name of its class.
        answer: Name of the class that most of the runs take it for.
        probability: Mean probability of that answer, over the runs that misclassify it; None where it is not known.
        wrong: How many runs misclassify it.
        runs: Of how many.
        others: How many runs of the other group get it right, and of how many; None where there is no other group.
    """

    place: int
    image: str
    right: str
    answer: str
    probability: float | None
    wrong: int
    runs: int
    others: tuple[int, int] | None = None


@dataclass(frozen=True, eq=False)
class GroupMistakes:
    """The answers of a group's S runs for the same N test images.

    Attributes:
        label: Of the group.
        jobs: The S runs.
        left_out: Runs that kept no predictions, or were tested on other images than the first.
        ids: (N,), what each image is called.
        class_names: Of all classes.
        targets: (N,), the right class.
        predicted: (S, N), the class that each run names.
        confidence: (S, N), the probability of that class; None where a run kept none.
    """

    label: str
    jobs: tuple[Job, ...]
    left_out: int
    ids: NDArray[np.generic]
    class_names: tuple[str, ...]
    targets: NDArray[np.int64]
    predicted: NDArray[np.int64]
    confidence: NDArray[np.float64] | None

    @cached_property
    def found(self) -> Mistaken:
        """Which images are misclassified, over all runs."""
        return mistaken(self.targets, self.predicted, self.confidence)

    @cached_property
    def by_class(self) -> list[ClassMistakes]:
        """Mistakes by the right class, that with the largest share first."""
        return class_mistakes(self.targets, self.predicted)

    @cached_property
    def pictures(self) -> Mapping[int, Pixels]:
        """Pictures that the runs kept, by place in the test split."""
        kept: dict[int, Pixels] = {}
        for job in reversed(self.jobs):  # of an image that several kept, the first run's
            kept |= read_pictures(job.folder, job.record)
        return {place: pixels for place, pixels in kept.items() if 0 <= place < len(self.targets)}

    def entries(self, places: NDArray[np.int64], right: GroupMistakes | None = None) -> list[Entry]:
        """The images at some places.

        Args:
            places: (M,), in the test split.
            right: The other group, where these are images that it gets right.
        """
        found = self.found
        return [
            Entry(
                place=place,
                image=str(self.ids[place]),
                right=self.name(found.targets[place]),
                answer=self.name(found.answers[place]),
                probability=None if np.isnan(found.confidence[place]) else float(found.confidence[place]),
                wrong=int(found.wrong[place]),
                runs=found.runs,
                others=None if right is None else (right.found.runs - int(right.found.wrong[place]), right.found.runs),
            )
            for place in places.tolist()
        ]

    def name(self, label: int) -> str:
        """Name of a class; its number where it has none."""
        return self.class_names[label] if 0 <= label < len(self.class_names) else "" if label == NONE else str(label)


def group_mistakes(label: str, jobs: Sequence[Job], *, strict: bool = True) -> GroupMistakes | None:
    """What the finished runs of a group misclassify; None where none of them kept predictions.

    Args:
        label: Of the group.
        jobs: Its runs; those tested on other images than the first with predictions are left out, such as other folds.
        strict: Whether predictions that cannot be used are an error; otherwise their runs are left out.

    Raises:
        DataError: Predictions are missing, damaged or not those of the record.
    """
    kept: list[tuple[Job, Predictions]] = []
    for job in jobs:
        try:
            found = read_predictions(job.folder, job.record)
        except DataError:
            if strict:
                raise
            continue
        if found is not None and len(found.targets) and (not kept or _same_images(found, kept[0][1])):
            kept.append((job, found))
    if not kept:
        return None
    first = kept[0][1]
    shares = [_confidence(found) for _, found in kept]
    known = [share for share in shares if share is not None]
    return GroupMistakes(
        label=label,
        jobs=tuple(job for job, _ in kept),
        left_out=len(jobs) - len(kept),
        ids=first.ids,
        class_names=tuple(kept[0][0].record.class_names or ()),
        targets=first.targets.astype(np.int64),
        predicted=np.stack([found.predicted for _, found in kept]).astype(np.int64),
        confidence=np.stack(known) if len(known) == len(kept) else None,
    )


def together(groups: Sequence[GroupMistakes]) -> GroupMistakes:
    """All runs of some groups that were tested on the same images, as one group."""
    known = [group.confidence for group in groups if group.confidence is not None]
    return replace(
        groups[0],
        label="all runs",
        jobs=tuple(job for group in groups for job in group.jobs),
        predicted=np.concatenate([group.predicted for group in groups]),
        confidence=np.concatenate(known) if len(known) == len(groups) else None,
    )


def on_same_images(one: GroupMistakes, other: GroupMistakes) -> bool:
    """Whether two groups were tested on images of the same names and classes, in one order."""
    return _equal(one.ids, other.ids) and _equal(one.targets, other.targets)


def wrong_where_right(wrong: GroupMistakes, right: GroupMistakes) -> NDArray[np.int64]:
    """Places of the images that `right` gets right more often than `wrong`, the largest difference first."""
    return disagreements(right.found, wrong.found)


def short_name(image: str, length: int) -> str:
    """What an image is called, on one line: a number with its sign, a file's name with its middle left out.

    >>> short_name("17", 20), short_name("cats/a very long name of a file.png", 20)
    ('#17', 'cats/a ver… file.png')
    """
    return f"#{image}" if image.isdecimal() else shortened(one_line(image), length)


def _same_images(one: Predictions, other: Predictions) -> bool:
    return _equal(one.ids, other.ids) and _equal(one.targets, other.targets)


def _equal(one: NDArray[np.generic], other: NDArray[np.generic]) -> bool:
    return one.dtype.kind == other.dtype.kind and np.array_equal(one, other)


def _confidence(found: Predictions) -> NDArray[np.float64] | None:
    """(N,): the probability of the class that was named."""
    if found.probabilities is None:
        return None
    chosen: NDArray[np.float64] = found.probabilities[np.arange(len(found.predicted)), found.predicted].astype(float)
    return chosen
