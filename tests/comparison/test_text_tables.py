"""The comparison as Markdown and in a terminal."""

from __future__ import annotations

import io
import re
from pathlib import Path

import pytest
from rich.console import Console

from vision_baselines.comparison.collection import Collection, Job, Unreadable
from vision_baselines.comparison.table import tabulate
from vision_baselines.report.console import rich_table
from vision_baselines.report.markdown import escaped, markdown
from vision_baselines.runs.record import Parameters, Timings

GOLDEN = """\
# Comparison: demo

**model=cnn beats model=fc by 1.20 points of test accuracy (95% interval [0.95, 1.45], n = 3 pairs, p = 0.002).**

| group | validation accuracy, % | verdict | test accuracy, % | 95% interval | difference to model=fc | 95% interval \
| p | jobs | median | best | parameters | FLOPs per image | training, s | images per s | peak memory |
| --- | ---: | --- | ---: | ---: | ---: | ---: | ---: | ---: | ---: | ---: | ---: | ---: | ---: | ---: | ---: |
| model=cnn | **92.20** | better | 92.20 ± 0.95 | [89.83, 94.57] | +1.20 | [+0.95, +1.45] | 0.002 | 3 | 92.30 | 93.10 \
| 61,706 | 1.23 M | 12.5 | 5,000 | 412 MiB |
| model=fc | 91.00 | baseline | 91.00 ± 1.00 | [88.52, 93.48] | – | – | – | 3 (1 failed) | 91.00 | 92.00 | 61,706 \
| 1.23 M | 12.5 | 5,000 | 412 MiB |

Groups are sorted by their mean validation accuracy, the best first, its value bold; test accuracy ranks nothing. \
± is the standard deviation over finished jobs. 95% intervals are \
Student's t over seeds: they say where the mean of many more seeds would be on these test images, and nothing \
about others. Costs are medians over finished jobs. Differences are paired by seed and in percentage points. \
2 settings have been tested on this test split in this sweep.

- model=fc: 1 of 4 jobs failed; its numbers speak of the survivors only.

## How sure

| group | verdict | p | p without pairs | correlation of pairs | effect size g | P(beats) | could find, points \
| seeds needed |
| --- | --- | ---: | ---: | ---: | ---: | ---: | ---: | ---: |
| model=cnn | better | 0.002 | 0.21 | 1.00 | 0.98 | 1.00 [0.97, 1.00] | 0.33 | 3 to find 1.20 points |
| model=fc | baseline | – | – | – | – | – | – | – |

What other test images would say is unknown: it takes 3 runs with predictions.npz. P(beats): the chance that a \
new run is the better one where both get the same new seed. g: the difference in standard deviations of a run. \
Could find: the smallest true difference that so many seeds find at the level of 0.05 with 80% power. \
Seeds needed: how many seeds find \
a difference as large as the one named beside it with that power, if pairs spread as these do; with few seeds that \
is known badly. What each number means is in the project's documentation, under Statistics (docs/statistics.md).

## Failed jobs

- place6: RuntimeError: kernel size 31 exceeds the padded input (28)
"""


def table_of(*records, unreadable=(), **options):
    jobs = tuple(Job(Path(str(n)), f"place{n}", found) for n, found in enumerate(records))
    return tabulate(Collection(jobs, tuple(unreadable)), **options)


@pytest.fixture
def table(record, failed):
    facts = {
        "parameters": Parameters(total=61_706, trainable=61_706, flops_per_image=1_234_567),
        "timings": Timings(fit_s=12.5, images_per_s=5000.0),
        "peak_memory_bytes": 412 * 2**20,
    }
    cnn = [record(f"model=cnn,seed={s}", acc, **facts) for s, acc in enumerate((0.912, 0.923, 0.931))]
    fc = [record(f"model=fc,seed={s}", acc, **facts) for s, acc in enumerate((0.900, 0.910, 0.920))]
    return table_of(*cnn, *fc, failed("model=fc,seed=3"))


def test_markdown_is_as_it_was_agreed(table):
    assert markdown(table) == GOLDEN


def test_counts_in_markdown_sum_to_the_number_of_records(table):
    lines = [line.split(" | ") for line in markdown(table).partition("## ")[0].splitlines() if line.startswith("| ")]
    place = lines[0].index("jobs")
    counts = [int(n) for line in lines[2:] for n in re.findall(r"\d+", line[place])]

    assert sum(counts) == len(table.jobs)


def test_every_line_of_the_markdown_table_has_the_same_cells(record):
    table = table_of(record("model=a|b,seed=0"), record("model=c,seed=0", None))
    lines = [line for line in markdown(table).splitlines() if line.startswith("|")]

    assert len({len(re.findall(r"(?<!\\)\|", line)) for line in lines}) == 1


@pytest.mark.parametrize("text", ["<script>alert(1)</script>", "a|b", "*a*", "_a_", "`a`", "[a](javascript:b)", "# a"])
def test_markdown_takes_foreign_text_literally(text):
    rest = re.sub(r"\\.|&\w+;", "", escaped(text))

    assert not re.search(r"[<>|*`]|\]\(|^#|\b_|_\b", rest)


def test_an_unreadable_record_is_in_the_markdown():
    assert "- s/x: unreadable: cut short" in markdown(table_of(unreadable=[Unreadable("s/x", "cut short")]))


def shown(table, width=100):
    console = Console(width=width, record=True, file=io.StringIO())
    console.print(rich_table(table))
    return console.export_text()


def test_the_terminal_table_fits_into_100_columns_and_says_what_matters(table):
    text = shown(table)

    assert max(map(len, text.splitlines())) <= 100
    line = next(line for line in text.splitlines() if "model=cnn" in line)
    assert re.split(r"\s{2,}", line.strip()) == [
        "model=cnn", "92.20", "3", "92.20 ± 0.95", "[89.83, 94.57]", "+1.20 p = 0.002", "61,706"
    ]  # fmt: skip
    assert "3 (1 failed)" in text


def test_a_long_label_is_folded_and_not_cut(record):
    label = "model.channels=[8,16,32,64,128],optimizer.lr=0.001,optimizer.weight_decay=0.0001,data.batch_size=128"
    table = table_of(record([label]))
    text = shown(table)

    assert max(map(len, text.splitlines())) <= 100
    assert label in "".join(line.strip().split("  ")[0] for line in text.splitlines())


def test_the_terminal_takes_markup_in_labels_literally(record):
    assert "model=[red]x" in shown(table_of(record("model=[red]x,seed=0")))


def test_too_few_pairs_are_called_that(record):
    table = table_of(record("model=cnn,seed=0", 0.9), record("model=fc,seed=0", 0.8))

    assert "too few pairs" in shown(table)
    assert "too few pairs" in markdown(table)
