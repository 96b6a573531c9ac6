"""The comparison as a table for a terminal of 100 columns; the report has room for the rest."""

from __future__ import annotations

from rich import box
from rich.table import Table
from rich.text import Text

from vision_baselines.comparison.formatting import ABSENT, count, number, probability
from vision_baselines.comparison.table import ComparisonTable, GroupRow
from vision_baselines.comparison.verdict import is_better, short_verdict


def rich_table(table: ComparisonTable) -> Table:
    """One line per group; a group that is certainly better or worse than the baseline is green or red."""
    metric = table.metric
    unit = f" {metric.unit}" if metric.unit else ""
    console_table = Table(box=box.SIMPLE_HEAD, pad_edge=False, padding=(0, 1, 0, 0))
    console_table.add_column("group", overflow="fold", ratio=1)
    console_table.add_column("n (failed)", justify="right")
    console_table.add_column(Text(f"{metric.title}{unit}"), justify="right")
    console_table.add_column("95% interval", justify="right")
    if table.baseline is not None:
        console_table.add_column(Text(f"vs {table.baseline}", overflow="fold"), justify="right")
    console_table.add_column("params", justify="right")
    console_table.add_column("fit s", justify="right")
    for row in table.rows:
        console_table.add_row(*_cells(table, row))
    return console_table


def _cells(table: ComparisonTable, row: GroupRow) -> list[Text]:
    metric, summary = table.metric, row.metrics.get(table.metric.name)
    cells = [
        Text(row.label),
        Text(str(row.n_finished)).append(f" ({len(row.failed)})" if row.failed else "", style="red"),
        Text(metric.mean_and_std(summary.mean, summary.std) if summary else ABSENT),
        Text(metric.interval(summary.ci_low, summary.ci_high) if summary else ABSENT),
    ]
    if table.baseline is not None:
        cells.append(_difference(table, row))
    return [*cells, Text(count(row.costs.parameters)), Text(number(row.costs.fit_s))]


def _difference(table: ComparisonTable, row: GroupRow) -> Text:
    difference = row.difference
    if difference is None:
        return Text("baseline" if row.label == table.baseline else ABSENT, style="dim")
    better = is_better(difference, table.metric)
    if better is None and difference.conclusion != "not distinguishable":
        return Text(short_verdict(difference, table.metric), style="dim")
    style = {True: "green", False: "red", None: ""}[better]
    return Text(f"{table.metric.signed(difference.mean)} {probability(difference.p_value)}", style=style)
