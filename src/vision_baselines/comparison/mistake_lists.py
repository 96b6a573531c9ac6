"""The lists of misclassified images that readers are shown, the same on the page, in a terminal, TensorBoard and files.

What each group misclassifies most surely; what one of two groups gets right and the other wrong; what every run of all
groups gets wrong, which is often labelled wrongly.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from difflib import get_close_matches
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from vision_baselines.comparison.formatting import plural, shortened
from vision_baselines.comparison.mistakes import Entry, GroupMistakes, on_same_images, together, wrong_where_right
from vision_baselines.errors import ConfigError
from vision_baselines.runs.mistake_pictures import Pixels

WRONG, DISAGREE, EVERY_RUN = "wrong", "disagree", "every_run"
LABEL_ERRORS = "What every run gets wrong is often labelled wrongly: look at the label first."
_LABEL = 48  # letters of a group's label in a heading


@dataclass(frozen=True, eq=False)
class MistakeList:
    """Images of one kind, ranked.

    Attributes:
        kind: `WRONG`, `DISAGREE` or `EVERY_RUN`.
        group: Whose answers are shown.
        places: (M,), where the images stand in the test split, those to look at first at the front.
        right: For `DISAGREE`, the group that gets them right.
        pictures_first: Whether images with a picture were moved to the front, see `pictured`.
    """

    kind: str
    group: GroupMistakes
    places: NDArray[np.int64]
    right: GroupMistakes | None = None
    pictures_first: bool = False

    @cached_property
    def pictures(self) -> Mapping[int, Pixels]:
        """Pictures that runs of the group, or of both, kept."""
        return self.group.pictures if self.right is None else {**self.right.pictures, **self.group.pictures}

    @property
    def heading(self) -> str:
        """What the images are, without their number."""
        label = shortened(self.group.label, _LABEL)
        if self.right is not None:
            return f"{shortened(self.right.label, _LABEL)} is right more often than {label}"
        return "Wrong in every run of all groups" if self.kind == EVERY_RUN else f"Most surely misclassified by {label}"

    def pictured(self) -> MistakeList:
        """The same with those images first whose picture a run kept.

        Of two groups, a larger difference between their shares of runs still comes first.
        """
        without = np.array([place not in self.pictures for place in self.places.tolist()], dtype=np.bool_)
        gaps = 0.0 if self.right is None else self.group.found.shares - self.right.found.shares
        order = np.lexsort((without, np.broadcast_to(-gaps, self.group.targets.shape)[self.places]))
        return replace(self, places=self.places[order], pictures_first=bool(without.any() and not without.all()))

    def counted(self, top: int | None) -> str:
        """How many images there are, and how many of them are shown where that is fewer."""
        n = len(self.places)
        found = plural(n, "image") if n else "none"
        kept = " (those with a picture first)" if self.pictures_first else ""
        return found if top is None or top >= n else f"{found}, the first {top:,}{kept}"

    def entries(self, top: int | None = None) -> list[Entry]:
        """The first images; None for all."""
        return self.group.entries(self.places[:top], self.right)


def mistake_lists(
    groups: Sequence[GroupMistakes],
    pairs: Sequence[tuple[GroupMistakes, GroupMistakes]] = (),
    *,
    only_class: int | None = None,
) -> list[MistakeList]:
    """All lists of some groups, empty ones too.

    Args:
        groups: At least one.
        pairs: Groups to hold against each other, in both directions; those tested on other images are passed over.
        only_class: Leaves images of other classes out.
    """
    return list(_lists(groups, pairs, only_class))


def _lists(
    groups: Sequence[GroupMistakes], pairs: Sequence[tuple[GroupMistakes, GroupMistakes]], only_class: int | None
) -> Iterator[MistakeList]:
    def kept(group: GroupMistakes, places: NDArray[np.int64]) -> NDArray[np.int64]:
        return places if only_class is None else places[group.targets[places] == only_class]

    for group in groups:
        yield MistakeList(WRONG, group, kept(group, group.found.ranked()))
    for one, other in pairs:
        if on_same_images(one, other):
            for right, wrong in ((one, other), (other, one)):
                yield MistakeList(DISAGREE, wrong, kept(wrong, wrong_where_right(wrong, right)), right)
    if len(groups) > 1 and all(on_same_images(group, groups[0]) for group in groups):
        all_runs = together(groups)
        yield MistakeList(EVERY_RUN, all_runs, kept(all_runs, all_runs.found.ranked(all_runs.found.always)))


def summary(group: GroupMistakes) -> str:
    """How many images a group misclassifies, in one sentence without its full stop."""
    found, n = group.found, len(group.targets)
    total = int(found.wrong.sum())
    left_out = f" ({plural(group.left_out, 'run')} left out: no predictions, or other images)" if group.left_out else ""
    runs = plural(found.runs, "run")
    if not total:
        return f"{runs}, {plural(n, 'test image')}, none misclassified{left_out}"
    if found.runs == 1:
        return f"{runs}, {total:,} of {plural(n, 'test image')} misclassified ({total / n:.2%}){left_out}"
    always = int(found.always.sum())
    mean = total / found.runs
    return (
        f"{runs}, {mean:,.1f} of {plural(n, 'test image')} misclassified by a run ({mean / n:.2%}); "
        f"{int((found.wrong > 0).sum()):,} by at least one run, {always:,} by all{left_out}"
    )


def class_index(group: GroupMistakes, wanted: str) -> int:
    """Which class a name, or a number, stands for.

    Raises:
        ConfigError: There is no such class.
    """
    if wanted in group.class_names:
        return group.class_names.index(wanted)
    present = sorted(set(group.targets.tolist()))
    if wanted.isascii() and wanted.isdecimal() and int(wanted) in present and not group.class_names:
        return int(wanted)
    names = list(group.class_names) or [str(label) for label in present]
    near = get_close_matches(wanted, names, n=1)
    hint = (
        f"did you mean {near[0]!r}?"
        if near
        else f"there is {', '.join(map(repr, names[:20]))}"
        + (f" and {len(names) - 20} more" if len(names) > 20 else "")
    )
    raise ConfigError(f"there is no class {wanted!r}; {hint}")
