"""The comparison as a table for a terminal of 100 columns; the report has room for the rest."""

from __future__ import annotations

import textwrap
from collections.abc import Sequence

from rich import box
from rich.table import Table
from rich.text import Text

from vision_baselines.comparison.table import ComparisonTable
from vision_baselines.report.columns import chosen
from vision_baselines.report.tables import TERMINAL, group_columns

_HEAD_WIDTH = 13
_STYLES = {"good": "green", "bad": "red", "quiet": "dim", "best": "bold"}


def rich_table(table: ComparisonTable, names: Sequence[str] = TERMINAL) -> Table:
    """One line per group; a group that is certainly better or worse than the baseline is green or red.

    Args:
        table: The comparison.
        names: The columns; those that are not there are left out.
    """
    columns = chosen(group_columns(table), names)
    console_table = Table(box=box.SIMPLE_HEAD, pad_edge=False, padding=(0, 1, 0, 0))
    for column in columns:
        console_table.add_column(
            Text(textwrap.fill(column.head, _HEAD_WIDTH), overflow="fold"),
            justify="right" if column.is_number else "left",
            overflow="fold",
            ratio=1 if column.name == "group" else None,
        )
    for row in table.shown():
        console_table.add_row(*(Text(column.write(row), style=_STYLES.get(column.tone(row), "")) for column in columns))
    return console_table
