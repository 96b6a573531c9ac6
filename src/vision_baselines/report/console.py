"""The comparison as tables for a terminal, one of them where it has 100 columns; the report has room for the rest."""

from __future__ import annotations

import textwrap
from collections.abc import Collection, Iterable, Sequence

from rich.table import Table
from rich.text import Text

from vision_baselines.comparison.table import ComparisonTable
from vision_baselines.fitted_table import FittedTable
from vision_baselines.report.ablation import effect_columns, interaction_columns
from vision_baselines.report.columns import Column, Item, chosen
from vision_baselines.report.tables import TERMINAL, group_columns

_HEAD_WIDTH = 13
_EFFECTS = ("setting", "part", "full", "without", "effect", "interval", "p", "verdict", "parameters")
_PAIRS = ("setting", "pair", "pairs", "there", "missing", "interaction", "interval", "p", "verdict")
_STYLES = {"good": "green", "bad": "red", "quiet": "dim", "best": "bold"}


def rich_table(table: ComparisonTable, names: Sequence[str] = TERMINAL) -> Table:
    """One line per group; a group that is certainly better or worse than the baseline is green or red.

    Args:
        table: The comparison.
        names: The columns; those that are not there are left out.
    """
    return item_table(chosen(group_columns(table), names), table.shown(), names=("group",))


def item_table(columns: Sequence[Column[Item]], items: Iterable[Item], *, names: Collection[str]) -> Table:
    """A line for each item; the first columns, those that `names` has, say which it is."""
    console_table = FittedTable(names=sum(column.name in names for column in columns))
    for column in columns:
        console_table.add_column(
            Text(textwrap.fill(column.head, _HEAD_WIDTH, break_long_words=False, break_on_hyphens=False)),
            justify="right" if column.is_number else "left",
            no_wrap=column.is_number,
        )
    for item in items:
        cells = (Text(column.write(item), style=_STYLES.get(column.tone(item), "")) for column in columns)
        console_table.add_row(*cells)
    return console_table


def effect_tables(table: ComparisonTable) -> list[Table]:
    """What parts are worth, and which need each other, where parts were left out."""
    found = []
    if table.effects:
        found.append(item_table(chosen(effect_columns(table), _EFFECTS), table.effects, names=("setting", "part")))
    if table.interactions:
        found.append(
            item_table(chosen(interaction_columns(table), _PAIRS), table.interactions, names=("setting", "pair"))
        )
    return found
