"""Which images are misclassified and how surely, over one run or several, and where two groups of runs differ.

Arrays in, arrays out. Images are ranked by what a reader would look at first: the probability that was given to a wrong
class, times the share of the runs that gave it.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

NONE = -1


@dataclass(frozen=True, eq=False)
class Mistaken:
    """How S runs did on each of the same N images.

    Attributes:
        runs: S.
        targets: (N,), the right class.
        wrong: (N,), number of runs that misclassify the image.
        answers: (N,), the wrong class that most of them name, the first run's among equals; `NONE` where none is wrong.
        confidence: (N,), mean probability of the wrong class, over the runs that misclassify the image; 0 where none
            does, not a number where a run kept no probabilities.
    """

    runs: int
    targets: NDArray[np.int64]
    wrong: NDArray[np.int64]
    answers: NDArray[np.int64]
    confidence: NDArray[np.float64]

    @property
    def shares(self) -> NDArray[np.float64]:
        """(N,): share of the runs that misclassify each image."""
        found: NDArray[np.float64] = self.wrong / self.runs
        return found

    @property
    def always(self) -> NDArray[np.bool_]:
        """(N,): whether every run misclassifies the image."""
        found: NDArray[np.bool_] = self.wrong == self.runs
        return found

    def ranked(self, among: NDArray[np.bool_] | None = None) -> NDArray[np.int64]:
        """Places of the images that a run misclassifies, the most surely wrong first; equals stay in their order.

        Args:
            among: (N,), which images to look at; None for all.
        """
        places = np.flatnonzero(self.wrong > 0 if among is None else (self.wrong > 0) & among)
        sure = np.nan_to_num(self.confidence)[places] * self.shares[places]
        return places[np.lexsort((-self.shares[places], -sure))]


def mistaken(
    targets: NDArray[np.int64], predicted: NDArray[np.int64], confidence: NDArray[np.float64] | None
) -> Mistaken:
    """What S runs got wrong of N images.

    Args:
        targets: (N,), the right class.
        predicted: (S, N), the class that each run names, S >= 1.
        confidence: (S, N), the probability that each run gives to that class; None where it is not known.

    >>> found = mistaken(np.array([0, 1, 1]), np.array([[0, 0, 2], [0, 1, 2]]), np.array([[1, 0.9, 0.5], [1, 1, 0.7]]))
    >>> found.wrong.tolist(), found.answers.tolist(), found.ranked().tolist()
    ([0, 1, 2], [-1, 0, 2], [2, 1])
    """
    is_wrong = predicted != targets
    wrong = is_wrong.sum(axis=0)
    if confidence is None:
        mean = np.where(wrong > 0, np.nan, 0.0)
    else:
        mean = np.where(is_wrong, confidence, 0.0).sum(axis=0) / np.maximum(wrong, 1)
    answers = np.full(len(targets), NONE, dtype=np.int64)
    places = np.flatnonzero(wrong)
    named = np.where(is_wrong[:, places], predicted[:, places], NONE)
    votes = np.stack([((named == one) & (named != NONE)).sum(axis=0) for one in named])
    votes[named == NONE] = 0
    answers[places] = named[votes.argmax(axis=0), np.arange(len(places))]
    return Mistaken(len(predicted), targets.astype(np.int64), wrong.astype(np.int64), answers, mean)


def disagreements(right: Mistaken, wrong: Mistaken) -> NDArray[np.int64]:
    """Places of the images that the runs of one group rather get right and those of another wrong.

    Those with the largest difference between the two shares of runs come first, of equals those that the other group
    misclassifies most surely.

    Args:
        right: The group that is right more often.
        wrong: The other, on the same images.
    """
    gaps = wrong.shares - right.shares
    places = wrong.ranked(gaps > 0)
    return places[np.argsort(-gaps[places], kind="stable")]


@dataclass(frozen=True)
class ClassMistakes:
    """The images of one class: how many there are, how many a run misclassifies on average, and as what most often.

    `taken_for` is `NONE` where nothing is misclassified; `taken_for_share` is its share of the mistakes.
    """

    label: int
    images: int
    wrong: float
    taken_for: int
    taken_for_share: float

    @property
    def share(self) -> float:
        """Mean share of the class's images that are misclassified; 0 where there are none."""
        return self.wrong / self.images if self.images else 0.0


def class_mistakes(targets: NDArray[np.int64], predicted: NDArray[np.int64]) -> list[ClassMistakes]:
    """Mistakes by the right class, that with the largest share of them first; classes without images are left out.

    Args:
        targets: (N,), the right class.
        predicted: (S, N), the class that each run names, S >= 1.
    """
    found = []
    for label in np.unique(targets).tolist():
        named = predicted[:, targets == label]
        others, counts = np.unique(named[named != label], return_counts=True)
        total, first = int(counts.sum()), int(counts.argmax()) if len(counts) else 0
        found.append(
            ClassMistakes(
                label=label,
                images=named.shape[1],
                wrong=total / len(predicted),
                taken_for=int(others[first]) if total else NONE,
                taken_for_share=float(counts[first] / total) if total else 0.0,
            )
        )
    return sorted(found, key=lambda one: (-one.share, one.label))


def worth_keeping(
    order: NDArray[np.int64], targets: NDArray[np.int64], most: int, first: int = 24
) -> NDArray[np.int64]:
    """Which of the misclassified images to keep pictures of: the first ones, then those at the top of their class.

    Args:
        order: Places of the images, the most surely wrong first.
        targets: (N,), the right class of every image.
        most: How many at most.
        first: How many are kept whatever their class.

    Returns:
        Places, at most `most` of those in `order`.
    """
    rest = order[first:]
    labels = targets[rest]
    within = np.empty(len(rest), dtype=np.int64)
    for label in np.unique(labels):
        members = labels == label
        within[members] = np.arange(members.sum())
    return np.concatenate([order[:first], rest[np.argsort(within, kind="stable")]])[:most]
