"""The comparison as Markdown, for a README, an issue or TensorBoard's text tab."""

from __future__ import annotations

import re
import textwrap
from collections.abc import Iterable, Sequence
from functools import lru_cache

from vision_baselines.comparison.caveats import caveats
from vision_baselines.comparison.decided import looks
from vision_baselines.comparison.formatting import aligned, capital, one_line
from vision_baselines.comparison.table import ComparisonTable
from vision_baselines.comparison.verdict import headline
from vision_baselines.report.ablation import ablation_section
from vision_baselines.report.against import READ_AGAINST
from vision_baselines.report.columns import Column, Item, chosen
from vision_baselines.report.legend import legend, sureness_legend
from vision_baselines.report.looks import TITLE, look_columns, look_note
from vision_baselines.report.sureness import OTHER_IMAGES, SIZE, is_shown
from vision_baselines.report.tables import (
    COSTS,
    RESULT,
    epoch_columns,
    epochs_of,
    failure_reason,
    group_columns,
    series_columns,
    series_rows,
)

# Brackets make a link only in front of these, underscores emphasis only at a word's edge, and some signs a block
# only at the start: elsewhere they stay readable.
_SPECIAL = re.compile(r"[\\`*|~]|\](?=[(\[:])|(?<!\w)_|_(?!\w)|^[-+#>=]")
_HEAD_WIDTH, _CODE_WIDTH = 13, 100
_ENTITIES = str.maketrans({"&": "&amp;", "<": "&lt;", ">": "&gt;"})


def markdown(
    table: ComparisonTable,
    names: Sequence[str] = RESULT + COSTS,
    sureness: Sequence[Sequence[str]] = (OTHER_IMAGES, SIZE),
    *,
    as_code: bool = False,
) -> str:
    """Headline, table, caveats and failures; ends with a newline.

    Args:
        table: The comparison.
        names: The columns of the table of groups.
        sureness: Those of each table of "How sure".
        as_code: Whether tables are text of a fixed width, for TensorBoard, which breaks words in the cells of others.
    """
    tabled = _code if as_code else _table
    found = look_columns(table)
    over = table.series and tabled(series_columns(table), series_rows(table))
    columns = group_columns(table)
    epochs, against = epochs_of(table), chosen(columns, READ_AGAINST)
    by_epoch = epochs and tabled(epoch_columns(epochs), epochs.rows)
    parts = ablation_section(table)

    def part_table(title: str, columns: Sequence[Column[Item]], items: Iterable[Item], note: str) -> str:
        return f"## {title}\n\n{tabled(columns, items)}\n\n{escaped(note)}"

    sure = [of for of in (chosen(columns, wanted) for wanted in sureness) if is_shown(of)]
    blocks = [
        f"# Comparison: {escaped(' + '.join(table.sweeps) or 'no readable record')}",
        f"**{escaped(headline(table))}**",
        tabled(chosen(columns, names), table.shown()) if table.rows else "",
        escaped(legend(table, "the first") if as_code else legend(table)) if table.rows else "",
        "\n".join(f"- {escaped(caveat)}" for caveat in caveats(table)),
        part_table(parts.title, parts.effect_columns, parts.effects, parts.note) if parts else "",
        part_table(parts.pairs_title, parts.interaction_columns, parts.interactions, parts.pairs_note)
        if parts and parts.interactions
        else "",
        "\n".join(f"- {escaped(sentence)}" for sentence in parts.sentences) if parts else "",
        f"## {TITLE}\n\n{tabled(found, looks(table))}\n\n{escaped(look_note(table))}" if found else "",
        f"## What the accuracy is read against\n\n{tabled(against, table.best_first())}" if len(against) > 3 else "",
        "## How sure" if sure else "",
        *(tabled(of, table.shown()) for of in sure),
        escaped(sureness_legend(table)) if sure else "",
        f"## {escaped(table.metric.title)} over {escaped(table.over)}\n\n{over}" if over else "",
        f"## {escaped(capital(epochs.metric.axis_label))} by epoch, from 0\n\n{by_epoch}" if epochs else "",
        _failures(table),
    ]
    return "\n\n".join(block for block in blocks if block) + "\n"


@lru_cache(maxsize=2**13)  # most of a table is what it was after the last job
def escaped(text: str) -> str:
    r"""Foreign text on one line, so that Markdown and the HTML inside it take every character literally.

    >>> escaped("a|b <i> [x](javascript:y) gated_mlp [1, 2]")
    'a\\|b &lt;i&gt; [x\\](javascript:y) gated_mlp [1, 2]'
    """
    return _SPECIAL.sub(r"\\\g<0>", one_line(text)).translate(_ENTITIES)


def _table(columns: Sequence[Column[Item]], items: Iterable[Item]) -> str:
    lines = [
        [escaped(column.head) for column in columns],
        ["---:" if column.is_number else "---" for column in columns],
        *([_cell(column, item) for column in columns] for item in items),
    ]
    return "\n".join(f"| {' | '.join(cells)} |" for cells in lines)


def _code(columns: Sequence[Column[Item]], items: Iterable[Item]) -> str:
    """The table as code, indented by four blanks, which nothing in it can end.

    Where it would be too wide it is continued below, with its first column again.
    """
    rows = list(items)
    parts: list[list[Column[Item]]] = [[columns[0]]]
    for column in columns[1:]:
        if len(parts[-1]) > 1 and max(map(len, _code_lines([*parts[-1], column], rows))) > _CODE_WIDTH:
            parts.append([columns[0]])
        parts[-1].append(column)
    return "\n\n".join("\n".join(f"    {line}" for line in _code_lines(part, rows)) for part in parts)


def _code_lines(columns: Sequence[Column[Item]], items: Sequence[Item]) -> list[str]:
    """Aligned lines; headings are wrapped, their last lines beside each other."""
    heads = [textwrap.wrap(column.head, _HEAD_WIDTH, break_long_words=False) for column in columns]
    height = max(map(len, heads))
    lines = list(zip(*([""] * (height - len(head)) + head for head in heads), strict=True))
    rows = [[one_line(column.write(item)) for column in columns] for item in items]
    return aligned([*lines, [], *rows], [column.is_number for column in columns])


def _cell(column: Column[Item], item: Item) -> str:
    text = column.write(item).translate(_ENTITIES) if column.is_number else escaped(column.write(item))
    return f"**{text}**" if column.tone(item) == "best" else text


def _failures(table: ComparisonTable) -> str:
    lines = [
        f"- {escaped(job.place)}: {escaped(failure_reason(job) or f'{job.record.status.value}, no reason recorded')}"
        for job in table.failed
    ]
    lines += [f"- {escaped(found.place)}: unreadable: {escaped(found.reason)}" for found in table.unreadable]
    return "\n".join(["## Failed jobs", "", *lines]) if lines else ""
