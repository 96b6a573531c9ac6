"""Predictions as a table for a terminal: the likeliest classes of each picture, and how far an ensemble agrees."""

from __future__ import annotations

from collections.abc import Iterator

from rich import box
from rich.table import Table
from rich.text import Text

from vision_baselines.comparison.formatting import one_line, shortened
from vision_baselines.data.picture_layout import printable
from vision_baselines.evaluation.predictions import Predictions

_LONGEST_CLASS = 32
ENSEMBLE_NOTE = (
    "agree: members whose likeliest class is the ensemble's; ±: standard deviation of its probability over members, "
    "in points"
)


def prediction_table(found: Predictions, top: int) -> Table:
    """One line a picture."""
    table = Table(box=box.SIMPLE_HEAD, pad_edge=False, padding=(0, 1, 0, 0))
    table.add_column("picture", overflow="fold", ratio=1)
    for rank in range(1, min(top, len(found.class_names)) + 1):
        table.add_column("likeliest" if rank == 1 else _ordinal(rank), overflow="fold", justify="right")
    if found.disagreement is not None:
        table.add_column("agree", justify="right", no_wrap=True)
        table.add_column("±", justify="right", no_wrap=True)
    for row in range(len(found)):
        name = printable(found.files[row]) if found.files else str(row)
        cells = [Text(f"{class_text(label)} {percent(share)}") for label, share in found.likeliest(row, top)]
        table.add_row(Text(name), *cells, *map(Text, disagreement_texts(found, row)))
    return table


def disagreement_texts(found: Predictions, row: int) -> Iterator[str]:
    """How many members agree about a picture, and by how many points the probability of its class spreads."""
    if (members := found.disagreement) is not None:
        total = len(members.runs)
        yield f"{round(members.agreement[row] * total)}/{total}"
        yield f"{100 * members.spread[row]:.1f}"


def class_text(name: str) -> str:
    """A class's name as it is shown: on one line, not long."""
    return shortened(one_line(name), _LONGEST_CLASS)


def percent(share: float) -> str:
    """A probability as it is shown.

    >>> percent(0.98765), percent(1.0)
    ('98.77 %', '100.00 %')
    """
    return f"{share:.2%}".replace("%", " %")


def _ordinal(rank: int) -> str:
    """A place in an order.

    >>> [_ordinal(rank) for rank in (2, 3, 4, 11, 22)]
    ['2nd', '3rd', '4th', '11th', '22nd']
    """
    ending = {1: "st", 2: "nd", 3: "rd"}.get(rank % 10, "th") if rank % 100 not in (11, 12, 13) else "th"
    return f"{rank}{ending}"
