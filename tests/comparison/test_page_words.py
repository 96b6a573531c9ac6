"""What the pages say in words: plurals, the split that is compared, what is missing, where an interval ends."""

from __future__ import annotations

import re
from dataclasses import replace
from pathlib import Path

import pytest

import vision_baselines
from vision_baselines.comparison.collection import Collection, Job
from vision_baselines.comparison.formatting import plural
from vision_baselines.comparison.table import tabulate
from vision_baselines.plots.interval_rows import accuracy_chart
from vision_baselines.report.dots import dots_chart
from vision_baselines.report.legend import legend
from vision_baselines.report.page import page
from vision_baselines.report.run_page import run_page
from vision_baselines.runs.record import DataFacts, SplitFacts

SOURCE = Path(vision_baselines.__file__).parent
WORDS = sorted(
    {
        word
        for path in SOURCE.rglob("*")
        if path.suffix in (".py", ".j2")
        for word in re.findall(r"""plural\((?:[^"'\n]*, )?["']([a-z ]+)["']\)""", path.read_text(encoding="utf-8"))
    }
)
WITH_ES = {"class", "batch", "process"}


def test_every_word_that_is_counted_has_its_plural():
    assert {"epoch", "class", "more class", "job", "setting", "training batch"} <= set(WORDS)
    for word in WORDS:
        last = word.split()[-1]
        assert not last.endswith("y"), word  # none so far; `plural` would get it wrong
        assert plural(2, word) == f"2 {word}{'es' if last in WITH_ES else 's'}"
        assert plural(1, word) == f"1 {word}"


def table_of(records, **options):
    jobs = tuple(Job(Path(str(place)), f"place{place}", found) for place, found in enumerate(records))
    return tabulate(Collection(jobs), **options)


@pytest.fixture
def runs(record):
    sizes = {name: SplitFacts(size=size) for name, size in (("train", 1000), ("val", 200), ("test", 400))}
    data = DataFacts(num_classes=2, image_shape=[1, 8, 8], mean=[0.0], std=[1.0], splits=sizes)
    made = []
    for model in ("a", "b"):
        for seed in range(3):
            acc = 0.9 + 0.01 * seed + 0.02 * (model == "a")
            metrics = {"test/acc": acc, "val/acc": acc, "val/loss": 1 - acc}
            made.append(
                record(f"model={model},seed={seed}", metrics=metrics, data=data, confusion=[[150, 50], [40, 160]])
            )
    return made


@pytest.mark.parametrize(
    ("metric", "images", "one"),
    [("test/acc", "test", "One test image is 0.25 points."), ("val/acc", "validation", "One validation image is 0.5"),
     ("val/loss", "validation", None)],
)  # fmt: skip
def test_the_legend_names_the_split_that_is_compared(runs, metric, images, one):
    said = legend(table_of(runs, metric=metric))

    assert f"on these {images} images" in said
    assert ("tested on this test split" in said) is (images == "test")
    assert one in said if one else "One validation image" not in said
    assert images == "test" or "test images" not in said


def test_a_section_that_is_not_there_is_named_with_the_reason(runs):
    missing = "There is no section “What the accuracy is read against”"
    of_val = page(table_of(runs, metric="val/acc"), None)

    assert f"{missing}: it is computed from test predictions, and this page compares validation accuracy." in of_val
    assert missing not in page(table_of(runs), None)
    assert missing not in page(table_of(runs, metric="val/loss"), None)
    for run in runs:
        run.confusion = None
    assert f"{missing}: it is computed from the confusion matrix" in page(table_of(runs), None)


@pytest.mark.parametrize(
    ("low", "high", "said", "ends"),
    [
        (0.9, 0.95, "", 2),
        (0.9, 1.0, ", ends at 100, the most that is possible", 2),
        (0.0, 0.5, ", ends at 0, the least that is possible", 2),
        (0.9, 1.02, ", drawn up to 100, the most that is possible", 1),
        (-0.1, 0.5, ", drawn up to 0, the least that is possible", 1),
    ],
)
def test_an_interval_says_where_it_ends(runs, low, high, said, ends):
    chart = accuracy_chart(table_of(runs))
    row = replace(chart.rows[0], low=low, high=high, mean=(low + high) / 2)
    [drawn] = dots_chart(replace(chart, rows=(row,))).rows

    assert drawn.title.splitlines()[1].partition("]")[2] == said
    assert len(drawn.ends) == ends


def test_both_pages_colour_confusions_by_one_rule(tmp_path, record):
    html = run_page(Job(tmp_path, "run", record(confusion=[[96, 4], [0, 100]], class_names=["a", "b"])), tmp_path)

    assert "on a square-root scale" in html
    assert re.findall(r"--share:([\d.]+)%", html) == ["98.0", "20.0", "0.0", "100.0"]


def test_a_job_s_panel_leads_to_its_page_or_says_that_it_has_none(tmp_path, record, write):
    folder = write(tmp_path / "sweep", record("model=a,seed=0")) / "model=a,seed=0"
    jobs = (Job(folder, "a", record("model=a,seed=0")),)
    without = page(tabulate(Collection(jobs)), None, tmp_path / "comparison")
    (folder / "run.html").write_text("")
    with_page = page(tabulate(Collection(jobs)), None, tmp_path / "comparison")

    assert "has no page of its own" in without
    assert "The page of this run" not in without
    assert "has no page of its own" not in with_page
    assert 'run.html">The page of this run' in with_page
