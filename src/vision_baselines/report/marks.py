"""How a group is told from others on the page: its sign, its colour, its place, and as few words as it needs.

Colours stand for what is chosen. Up to eight groups all have one; of more, the best by validation and the baseline
do, and the rest is grey until somebody chooses it. A group's signs in the figures and tables have the class attribute
``data-group``, so one rule of the style sheet colours or hides all of them.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass

from markupsafe import Markup

from vision_baselines.comparison.rows import GroupRow
from vision_baselines.comparison.table import ComparisonTable, fresh_label

COLORS = 8
SHOWN = 12
"""Rows of a table that are not folded away."""
_CHOSEN = 6
_KEY = re.compile(r"(?:(?<=^)|(?<=, )|(?<=,))([A-Za-z_][\w/@.]*\.)([A-Za-z_]\w*)(?==)")
_SHAPES = (
    '<circle cx="5.5" cy="5.5" r="5"/>',
    '<rect x="1" y="1" width="9" height="9"/>',
    '<path d="M5.5 0 11 5.5 5.5 11 0 5.5z"/>',
    '<path d="M5.5 .5 11 10.5H0z"/>',
    '<path d="M5.5 10.5 11 .5H0z"/>',
    '<path d="M4 0h3v4h4v3H7v4H4V7H0V4h4z"/>',
)


@dataclass(frozen=True)
class Sign:
    """A group's place in the table, its slot among the palette's variables, and its colour: None is grey."""

    label: str
    place: int
    color: int | None
    mark: Markup

    @property
    def slot(self) -> int:
        """Which variable the group's artists are painted with."""
        return self.place % COLORS


def signs(table: ComparisonTable) -> list[Sign]:
    """A sign for each group, the best group first."""
    places, colors = places_of(table), colors_of(table)
    return [
        Sign(row.label, places[row.label], colors.get(row.label), mark(places[row.label])) for row in table.best_first()
    ]


def colors_of(table: ComparisonTable) -> dict[str, int]:
    """The place in the palette of each group that has a colour, for the page and for TensorBoard alike."""
    if len(table.rows) <= COLORS:
        return {row.label: place for place, row in enumerate(table.rows)}
    kept = [row.label for row in table.best_first() if row.counted][:_CHOSEN]
    if table.baseline in {row.label for row in table.rows} - set(kept):
        kept.append(str(table.baseline))
    return {label: color for color, label in enumerate(kept)}


def color_rules(found: Iterable[Sign]) -> Markup:
    """Style rules that give each group its colour where that is not its slot's."""
    rules = []
    for sign in found:
        if sign.color != sign.slot:
            color = "--other" if sign.color is None else f"--c{sign.color}"
            rules.append(f'[data-group="{sign.place}"]{{--g{sign.slot}:var({color})}}')
    return Markup("\n".join(rules))


def places_of(table: ComparisonTable) -> dict[str, int]:
    """The place of each group by its label; runs on fresh seeds have their group's."""
    places = {row.label: place for place, row in enumerate(table.rows)}
    return places | {
        row.label: places[label] for row in table.fresh for label in places if fresh_label(label) == row.label
    }


def mark(place: int) -> Markup:
    """The sign of the group at `place`, as in the figures."""
    shape = _SHAPES[place // COLORS % len(_SHAPES)]
    style = f"fill:var(--g{place % COLORS})"
    return Markup(f'<svg class="mark" viewBox="0 0 11 11" style="{style}" aria-hidden="true">{shape}</svg>')


def shape(place: int) -> Markup:
    """The shape alone, in a box of 11 by 11."""
    return Markup(_SHAPES[place // COLORS % len(_SHAPES)])


def short_names(labels: Iterable[str]) -> dict[str, str]:
    """Labels whose dotted keys are cut to their last part where no other key has that.

    >>> short_names(["model=cnn, optimizer.lr=0.1", "model=fc, optimizer.lr=0.1"])["model=fc, optimizer.lr=0.1"]
    'model=fc, lr=0.1'
    """
    labels = list(labels)
    keys = {"".join(found.groups()) for label in labels for found in _KEY.finditer(label)}
    plain = {found for label in labels for found in re.findall(r"(?:^|, ?)([A-Za-z_]\w*)(?==)", label)}
    ends = Counter(key.rpartition(".")[2] for key in keys) + Counter(plain)

    def cut(label: str) -> str:
        return _KEY.sub(lambda found: found[2] if ends[found[2]] == 1 else found[0], label)

    short = {label: cut(label) for label in labels}
    return short if len(set(short.values())) == len(set(labels)) else {label: label for label in labels}


def is_folded(position: int, row: object, table: ComparisonTable, limit: int = SHOWN) -> bool:
    """Whether a row of a table is beyond the first, so that it is shown on request; the baseline always is there."""
    if position < limit or not isinstance(row, GroupRow):
        return position >= limit
    return row.label != table.baseline and row not in table.fresh
