"""One description of the columns: every renderer says the same, and the exact values stand behind the texts."""

from __future__ import annotations

import io
import math
import re
from html import unescape
from pathlib import Path

import pytest
from rich.console import Console

from vision_baselines.comparison.collection import Collection, Job
from vision_baselines.comparison.table import tabulate
from vision_baselines.report.columns import chosen
from vision_baselines.report.console import rich_table
from vision_baselines.report.frames import groups_frame, jobs_frame
from vision_baselines.report.markdown import markdown
from vision_baselines.report.page import page
from vision_baselines.report.tables import (
    COSTS,
    JOB,
    RESULT,
    TERMINAL,
    group_columns,
    job_columns,
    job_rows,
    series_columns,
    series_rows,
)


def table_of(*records, **options):
    jobs = tuple(Job(Path(str(n)), f"place{n}", found) for n, found in enumerate(records))
    return tabulate(Collection(jobs), **options)


@pytest.fixture
def table(record, failed):
    """Three groups over two values of a setting, one job of which failed, with confusion matrices."""
    records = [
        record(
            f"model={model},data.train_fraction={lr},seed={seed}",
            base + lr + 0.01 * seed + 0.002 * seed * (model == "cnn"),
            confusion=[[8, 2], [1, 9]],
            class_names=["a", "b"],
        )
        for model, base in (("cnn", 0.7), ("fc", 0.5), ("mlp", 0.6))
        for lr in (0.1, 0.2)
        for seed in range(3)
    ]
    broken = failed("model=fc,data.train_fraction=0.1,seed=7")
    return table_of(
        *records,
        broken,
        group_by="model,data.train_fraction",
        over="data.train_fraction",
        baseline="model=fc,data.train_fraction=0.1",
    )


def plain(html: str) -> str:
    return " ".join(unescape(re.sub(r"<(?!wbr)[^>]*>", " ", html).replace("<wbr>", "")).split())


def known(cell):
    """The cell, and None for a number that is not there."""
    return None if isinstance(cell, float) and math.isnan(cell) else cell


@pytest.mark.parametrize("name", [name for name in RESULT + COSTS if name != "control"])
def test_the_page_and_markdown_write_a_group_s_cell_alike(table, name):
    [column] = chosen(group_columns(table), (name,))
    shown, written = plain(page(table, None)), unescape(markdown(table).replace("\\", ""))

    for row in table.rows:
        assert column.write(row) in shown
        assert column.write(row) in written
    assert column.head in shown
    assert column.head in written


@pytest.mark.parametrize("name", [name for name in TERMINAL if name != "control"])
def test_the_terminal_writes_the_cells_of_its_columns(table, name):
    [column] = chosen(group_columns(table), (name,))
    console = Console(width=180, record=True, file=io.StringIO())
    console.print(rich_table(table))
    shown = console.export_text()

    assert all(column.write(row) in shown for row in table.rows)


@pytest.mark.parametrize("kind", ["groups", "jobs"])
def test_a_frame_holds_every_value_of_every_column_once(table, kind):
    columns = group_columns(table) if kind == "groups" else job_columns(table)
    frame = groups_frame(table) if kind == "groups" else jobs_frame(table)
    items = table.rows if kind == "groups" else job_rows(table)
    fields = [name for column in columns for name in column.fields]

    assert len(fields) == len(set(fields))
    assert list(frame.columns) == fields
    for column in columns:
        for name, value in column.fields.items():
            expected = [value(item) for item in items]
            assert [known(cell) for cell in frame[name].tolist()] == [known(cell) for cell in expected]


def test_every_table_chooses_columns_that_exist_and_names_are_unique(table):
    for columns, wanted in ((group_columns(table), RESULT + COSTS + TERMINAL), (job_columns(table), JOB)):
        names = [column.name for column in columns]
        assert len(names) == len(set(names))
        assert set(wanted) - {"control"} <= set(names)  # a column of controls alone


@pytest.mark.parametrize("accs", [(0.1, 0.9, 0.5), (0.9, 0.1, 0.5), (0.5, 0.5, 0.2)])
@pytest.mark.parametrize("metric", ["test/acc", "test/loss"])
def test_groups_are_sorted_by_value_and_the_best_are_marked_everywhere(record, accs, metric):
    table = table_of(
        *(record(f"model=m{n},seed={s}", acc) for n, acc in enumerate(accs) for s in range(3)), metric=metric
    )
    rows = re.findall(r"^\| (model=m\d) \| (\*\*)?", markdown(table), flags=re.M)
    best = [f"model=m{n}" for n, acc in enumerate(accs) if acc == max(accs)]

    assert [label for label, _ in rows] == [row.label for row in table.best_first()]
    assert [accs[int(label[-1])] for label, _ in rows] == sorted(accs, reverse=True)
    assert [label for label, bold in rows if bold] == best
    assert page(table, None).count('class="best"') >= len(best)


def test_differences_along_a_setting_are_on_the_page_and_in_markdown(table):
    rows, columns = series_rows(table), series_columns(table)
    shown, written = plain(page(table, None)), markdown(table).replace("\\", "")

    assert [(x, row.label) for x, row in rows] == [
        (lr, f"model={model}") for lr in (0.1, 0.2) for model in ("cnn", "fc", "mlp")
    ]
    assert {column.name for column in columns} >= {"x", "line", "verdict", "difference", "difference interval", "p"}
    assert "Test accuracy over data.train_fraction" in shown
    for row in rows:
        cells = [column.write(row) for column in columns]
        assert " ".join(cells) in shown
        assert cells[0] in written
        assert f"| {cells[1]} | {cells[2]} |" in written
    assert [row.difference is None for _, row in rows] == [False, True, False] * 2
