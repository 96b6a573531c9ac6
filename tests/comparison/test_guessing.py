"""An accuracy beside what guessing would reach: the largest class's share and balanced accuracy."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.metrics import balanced_accuracy_score

from vision_baselines.comparison.caveats import caveats
from vision_baselines.comparison.chance import balanced_accuracy, largest_class_share
from vision_baselines.comparison.collection import Collection, Job
from vision_baselines.comparison.table import tabulate
from vision_baselines.report.markdown import markdown
from vision_baselines.report.page import page
from vision_baselines.report.result import Comparison


def table_of(*records, **options):
    jobs = tuple(Job(Path(str(n)), f"place{n}", found) for n, found in enumerate(records))
    return tabulate(Collection(jobs), **options)


def judged(record, counts, seeds=3):
    """A group whose runs all have these counts (rows are targets)."""
    matrix = np.array(counts)
    facts = {"confusion": matrix.tolist(), "class_names": [str(n) for n in range(len(matrix))]}
    acc = float(np.trace(matrix) / matrix.sum())
    return table_of(*(record(f"model=cnn,seed={s}", acc, **facts) for s in range(seeds)))


matrices = st.integers(1, 5).flatmap(
    lambda n: st.lists(st.lists(st.integers(0, 30), min_size=n, max_size=n), min_size=n, max_size=n)
)


@settings(max_examples=30)
@given(counts=matrices.filter(lambda counts: sum(map(sum, counts)) > 0))
def test_both_figures_match_an_independent_reference(record, counts):
    table = judged(record, counts, seeds=1)
    true = [t for t, row in enumerate(counts) for n in row for _ in range(n)]
    preds = [p for row in counts for p, n in enumerate(row) for _ in range(n)]
    expected = np.mean([np.mean(np.array(preds)[np.array(true) == c] == c) for c in set(true)])
    if set(preds) <= set(true) and len(set(true)) > 1:
        assert balanced_accuracy_score(true, preds) == pytest.approx(expected)

    assert balanced_accuracy(table.rows[0]) == pytest.approx(expected)
    assert largest_class_share(table.rows[0].counted[0].record) == pytest.approx(
        max(map(true.count, set(true))) / len(true)
    )


@pytest.mark.parametrize(
    ("counts", "is_guessing"),
    [
        ([[570, 0], [30, 0]], True),  # 570 healthy, 30 sick, and all are called healthy
        ([[565, 5], [26, 4]], True),
        ([[200, 0], [0, 0]], True),  # one class only
        ([[10, 40, 0], [0, 50, 0], [0, 0, 50]], False),
        ([[560, 10], [5, 25]], False),
        ([[36, 0], [0, 36]], False),
    ],
)
def test_a_result_that_guessing_reaches_is_called_that_in_the_terminal_on_the_page_and_in_markdown(
    record, counts, is_guessing, capsys
):
    table = judged(record, counts)
    Comparison(table, Path("out"), ()).show()
    shown = [" ".join(capsys.readouterr().out.split()), page(table, None), markdown(table)]

    assert any("no better than always guessing" in caveat for caveat in caveats(table)) is is_guessing
    assert all(("no better than always guessing the largest class" in text) is is_guessing for text in shown)


def test_the_page_has_the_largest_class_s_share_and_balanced_accuracy_beside_the_accuracy(record):
    html = page(judged(record, [[570, 0], [30, 0]]), None)

    assert "Always guessing the largest class would be right for 95.00% of the test images." in html
    assert "balanced accuracy, %" in html
    assert ">50.00<" in html


def test_a_task_without_classes_says_nothing_of_guessing(record):
    table = table_of(*(record(f"model=cnn,seed={s}", 0.5) for s in range(3)))

    assert "guessing" not in page(table, None) + markdown(table)
    assert "balanced" not in page(table, None) + markdown(table)
