"""The look of every table of numbers that these commands print."""

from __future__ import annotations

from rich import box
from rich.table import Table


def number_table(*titles: str, words: int = 1) -> Table:
    """A plain table whose first `words` columns are text and whose others are numbers."""
    table = Table(box=box.SIMPLE_HEAD, pad_edge=False, padding=(0, 1, 0, 0))
    for index, title in enumerate(titles):
        table.add_column(title, justify="left" if index < words else "right", overflow="fold")
    return table
