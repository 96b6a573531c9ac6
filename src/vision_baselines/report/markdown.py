"""The comparison as Markdown, for a README, an issue or TensorBoard's text tab."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence

from vision_baselines.comparison.caveats import caveats
from vision_baselines.comparison.decided import looks
from vision_baselines.comparison.formatting import capital, one_line
from vision_baselines.comparison.table import ComparisonTable
from vision_baselines.comparison.verdict import headline
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
_ENTITIES = str.maketrans({"&": "&amp;", "<": "&lt;", ">": "&gt;"})


def markdown(
    table: ComparisonTable,
    names: Sequence[str] = RESULT + COSTS,
    sureness: Sequence[Sequence[str]] = (OTHER_IMAGES, SIZE),
) -> str:
    """Headline, table, caveats and failures; ends with a newline.

    Args:
        table: The comparison.
        names: The columns of the table of groups.
        sureness: Those of each table of "How sure".
    """
    found = look_columns(table)
    over = table.series and _table(series_columns(table), series_rows(table))
    columns = group_columns(table)
    epochs, against = epochs_of(table), chosen(columns, READ_AGAINST)
    by_epoch = epochs and _table(epoch_columns(epochs), epochs.rows)
    sure = [of for of in (chosen(columns, wanted) for wanted in sureness) if is_shown(of)]
    blocks = [
        f"# Comparison: {escaped(' + '.join(table.sweeps) or 'no readable record')}",
        f"**{escaped(headline(table))}**",
        _table(chosen(columns, names), table.shown()) if table.rows else "",
        escaped(legend(table)) if table.rows else "",
        "\n".join(f"- {escaped(caveat)}" for caveat in caveats(table)),
        f"## {TITLE}\n\n{_table(found, looks(table))}\n\n{escaped(look_note(table))}" if found else "",
        f"## What the accuracy is read against\n\n{_table(against, table.best_first())}" if len(against) > 3 else "",
        "## How sure" if sure else "",
        *(_table(of, table.shown()) for of in sure),
        escaped(sureness_legend(table)) if sure else "",
        f"## {escaped(table.metric.title)} over {escaped(table.over)}\n\n{over}" if over else "",
        f"## {escaped(capital(epochs.metric.axis_label))} by epoch, from 0\n\n{by_epoch}" if epochs else "",
        _failures(table),
    ]
    return "\n\n".join(block for block in blocks if block) + "\n"


def escaped(text: object) -> str:
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
