"""Predictions as a table for a terminal: the likeliest classes of each picture, and how far an ensemble agrees."""

from __future__ import annotations

from collections.abc import Iterator

from rich.console import Console
from rich.table import Table
from rich.text import Text

from vision_baselines.comparison.formatting import one_line, shortened
from vision_baselines.data.picture_layout import printable
from vision_baselines.evaluation.predictions import Predictions
from vision_baselines.fitted_table import FittedTable

_LONGEST_CLASS = 32
_ANY_WIDTH = 10_000
_PIPE_WIDTH = 100
ENSEMBLE_NOTE = (
    "agree: members whose likeliest class is the ensemble's; ±: standard deviation of its probability over members, "
    "in points"
)


def prediction_table(found: Predictions, top: int, console: Console) -> Table:
    """One line a picture, or where the console has no room for that, one line a class."""
    table = _by_picture(found, top)
    width = console.measure(table, options=console.options.update(max_width=_ANY_WIDTH)).maximum
    return table if width <= (console.width if console.is_terminal else _PIPE_WIDTH) else _by_class(found, top)


def _by_picture(found: Predictions, top: int) -> Table:
    ranks = ["likeliest", *(_ordinal(rank) for rank in range(2, min(top, len(found.class_names)) + 1))]
    table = _table(found, *ranks)
    for row in range(len(found)):
        cells = [f"{class_text(label)} {percent(share)}" for label, share in found.likeliest(row, top)]
        table.add_row(*_texts(_name(found, row), *cells, *disagreement_texts(found, row)))
    return table


def _by_class(found: Predictions, top: int) -> Table:
    table = _table(found, "class", "probability")
    for row in range(len(found)):
        first, *others = found.likeliest(row, top)
        head = (class_text(first[0]), percent(first[1]))
        table.add_row(*_texts(_name(found, row), *head, *disagreement_texts(found, row)))
        for label, share in others:
            table.add_row(*_texts("", class_text(label), percent(share)), style="dim")
    return table


def _table(found: Predictions, *heads: str) -> Table:
    table = FittedTable()
    table.add_column("picture")
    for head in (*heads, *(("agree", "±") if found.disagreement is not None else ())):
        table.add_column(head, justify="right", no_wrap=True)
    return table


def _name(found: Predictions, row: int) -> str:
    return printable(found.files[row]) if found.files else str(row)


def _texts(*cells: str) -> list[Text]:
    return [Text(cell) for cell in cells]


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
