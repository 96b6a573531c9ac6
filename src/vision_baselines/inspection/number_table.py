"""The look of every table of numbers that these commands print."""

from __future__ import annotations

from rich.table import Table

from vision_baselines.fitted_table import FittedTable


def number_table(*titles: str, words: int = 1) -> Table:
    """A plain table whose first `words` columns are text and whose others are numbers; the first one names a row."""
    table = FittedTable()
    for index, title in enumerate(titles):
        table.add_column(title, justify="left" if index < words else "right", no_wrap=index >= words)
    return table
