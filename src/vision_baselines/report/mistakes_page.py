"""Misclassified images on the comparison's page and in TensorBoard: which lists of which groups, and how many images.

Pictures are those that the runs kept (`runs.mistake_pictures`); an image without one is shown by its name.
"""

from __future__ import annotations

import io
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

from PIL import Image

from vision_baselines.comparison.mistake_lists import DISAGREE, EVERY_RUN, WRONG, MistakeList, mistake_lists, summary
from vision_baselines.comparison.mistakes import Entry, GroupMistakes, group_mistakes
from vision_baselines.comparison.rows import GroupRow
from vision_baselines.report.mistakes import class_cells
from vision_baselines.runs.mistake_pictures import Pixels

SHOWN = 16  # of a list
_IN_PAIRS = 8
_CLASSES = 12
_IN_SHEET, _FEW = 16, 3


@dataclass(frozen=True)
class Shown:
    """An image on the page; `png` is empty where no picture was kept."""

    entry: Entry
    png: bytes


@dataclass(frozen=True)
class ListShown:
    """A list on the page; `classes` are rows of its table of classes, where it is of a group."""

    heading: str
    label: str
    kind: str
    count: str
    is_cut: bool
    pictures_first: bool
    summary: str
    images: tuple[Shown, ...]
    classes: tuple[tuple[str, ...], ...]
    n_classes_left_out: int


@dataclass(frozen=True, eq=False)
class MistakesSection:
    """The section: a list for each group, then where groups disagree, then what all get wrong."""

    lists: tuple[MistakeList, ...]

    @cached_property
    def groups(self) -> list[ListShown]:
        """What each group misclassifies."""
        return [_shown(found) for found in self.lists if found.kind == WRONG]

    @cached_property
    def disagreements(self) -> list[ListShown]:
        """Where two groups disagree, those lists that hold an image."""
        return [_shown(found) for found in self.lists if found.kind == DISAGREE and len(found.places)]

    @cached_property
    def every_run(self) -> ListShown | None:
        """What all runs of all groups get wrong; None where groups cannot be taken together."""
        return next((_shown(found) for found in self.lists if found.kind == EVERY_RUN), None)

    def sheets(self) -> dict[str, bytes]:
        """The same as PNG by name, for TensorBoard."""
        from vision_baselines.plots.mistakes import mistakes_sheet, part_of  # the page of a run needs no Matplotlib

        named = {"mistakes": (WRONG,), "mistakes_disagreement": (DISAGREE, EVERY_RUN)}
        titles = {
            "mistakes": "Misclassified test images",
            "mistakes_disagreement": "Where groups disagree, or none is right",
        }
        made = {}
        for name, kinds in named.items():
            found = [one for one in self.lists if one.kind in kinds]
            found = [one for one in found if one.kind == WRONG or len(one.places)]
            if any(len(one.places) for one in found):
                top = _IN_SHEET if len(found) <= _FEW else _IN_SHEET // 2
                made[name] = mistakes_sheet(titles[name], [part_of(one, top) for one in found])
        return made


def mistakes_section(rows: Sequence[GroupRow], reference: str | None) -> MistakesSection | None:
    """What some groups misclassify; None where no run kept predictions.

    Args:
        rows: The groups.
        reference: Label of the group that the others are held against; the first where it is none of them.
    """
    found = [one for row in rows if (one := group_mistakes(row.label, row.counted, strict=False)) is not None]
    if not found:
        return None
    lists = mistake_lists(found, _pairs(found, reference))
    return MistakesSection(tuple(one.pictured() for one in lists))


def _pairs(found: Sequence[GroupMistakes], reference: str | None) -> list[tuple[GroupMistakes, GroupMistakes]]:
    against = next((one for one in found if one.label == reference), found[0])
    return [(one, against) for one in found if one is not against]


def _shown(found: MistakeList) -> ListShown:
    pictures, group = found.pictures, found.group
    most = _IN_PAIRS if found.kind == DISAGREE else SHOWN
    is_group = found.kind == WRONG
    classes = [one for one in group.by_class if one.wrong] if is_group else []
    return ListShown(
        heading=found.heading,
        label=group.label,
        kind=found.kind,
        count=found.counted(most),
        pictures_first=found.pictures_first,
        is_cut=len(found.places) > most,
        summary=summary(group),
        images=tuple(
            Shown(entry, _png(pictures[entry.place]) if entry.place in pictures else b"")
            for entry in found.entries(most)
        ),
        classes=tuple(class_cells(group, one) for one in classes[:_CLASSES]),
        n_classes_left_out=max(len(classes) - _CLASSES, 0),
    )


def _png(pixels: Pixels) -> bytes:
    """A picture as PNG, grey where it has no colours, else in at most 256 colours."""
    buffer = io.BytesIO()
    is_grey = bool((pixels == pixels[..., :1]).all())
    image = Image.fromarray(pixels[..., 0]) if is_grey else Image.fromarray(pixels).quantize(256)
    image.save(buffer, format="PNG", optimize=True)
    return buffer.getvalue()
