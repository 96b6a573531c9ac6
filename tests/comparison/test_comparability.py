"""What may be compared at all: spread, test data, few seeds, and what of it stands in the terminal."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from vision_baselines.analysis.statistics import paired_difference
from vision_baselines.comparison.caveats import caveats
from vision_baselines.comparison.collection import Collection, Job
from vision_baselines.comparison.table import ComparisonTable, tabulate
from vision_baselines.comparison.verdict import headline
from vision_baselines.report.write import compare


def table_of(records, **options) -> ComparisonTable:
    return tabulate(
        Collection(tuple(Job(Path(str(n)), f"place{n}", found) for n, found in enumerate(records))), **options
    )


@pytest.mark.parametrize("images", [7, 360, 797, 10_000, 100_000])
@pytest.mark.parametrize("gap", [-1, 1])
def test_float32_shares_that_differ_by_the_same_count_have_no_spread(images, gap):
    right = np.array([images - 5, images - 3, images - 6]) if images > 7 else np.array([3, 4, 5])
    a, b = (dict(enumerate((counts / images).astype(np.float32).tolist())) for counts in (right, right + gap))

    assert paired_difference(a, b).conclusion == "no spread"
    assert np.isnan(paired_difference(a, b).p_value)


@pytest.mark.parametrize("images", [360, 10_000, 100_000])
def test_a_spread_of_one_image_is_a_spread(images):
    right = np.array([images - 50, images - 40, images - 30], dtype=np.float64)
    a, b = (
        dict(enumerate((counts / images).astype(np.float32).tolist()))
        for counts in (right, right - np.array([4, 5, 6]))
    )

    assert paired_difference(a, b).conclusion == "larger"


def test_the_cases_of_the_digits_are_no_victory(record):
    counts = {"cnn": [351, 353, 356], "fc": [350, 352, 355]}
    records = [
        record(f"model={model},seed={seed}", float(np.float32(n / 360)))
        for model, found in counts.items()
        for seed, n in enumerate(found)
    ]

    assert "differs from model=fc in test accuracy by +0.28 points for every seed" in headline(table_of(records))


def sets(record, *, test: dict[str, str | None], data: dict[str, str]) -> list:
    return [
        record(
            f"model={m},seed={s}", 0.9 + 0.01 * s + 0.02 * s * (m == "cnn"), test_sha256=test[m], data_sha256=data[m]
        )
        for m in ("cnn", "fc")
        for s in range(3)
    ]


def test_no_difference_is_computed_across_different_test_images(record):
    table = table_of(sets(record, test={"cnn": "a" * 64, "fc": "b" * 64}, data={"cnn": "a" * 64, "fc": "b" * 64}))

    assert table.rows[0].difference is None
    assert headline(table) == ("model=cnn cannot be compared with model=fc: they were not tested on the same images.")
    assert any("tested on 2 different test sets" in caveat for caveat in caveats(table))
    assert any("no difference is computed" in caveat for caveat in caveats(table))


def test_other_training_data_alarm_nobody_where_the_test_images_are_the_same(record):
    table = table_of(sets(record, test={"cnn": "a" * 64, "fc": "a" * 64}, data={"cnn": "a" * 64, "fc": "b" * 64}))

    assert table.rows[0].difference is not None
    assert not caveats(table)


def test_differences_are_paired_along_the_axis(record):
    records = [
        record(
            f"model={m},data.train_fraction={share},seed={s}",
            0.8 + share / 10 + 0.01 * s + (0.02 + 0.001 * s) * (m == "cnn"),
            data_sha256=f"{share}" * 20,
            test_sha256="a" * 64,
        )
        for m in ("cnn", "fc")
        for share in (0.1, 0.5, 1)
        for s in range(3)
    ]
    table = table_of(records, over="data.train_fraction", group_by="model")
    cnn, fc = table.series

    assert [x for x, _ in cnn.differences] == [0.1, 0.5, 1]
    assert [difference.conclusion for _, difference in cnn.differences] == ["larger"] * 3
    assert [difference.mean for _, difference in cnn.differences] == pytest.approx([0.021] * 3)
    assert not fc.differences
    assert not any("different" in caveat for caveat in caveats(table))


@pytest.mark.parametrize("values", [(0.1, 0.99), (0.97, 0.999, 1.0)])
def test_no_interval_reaches_beyond_what_is_possible_and_two_runs_have_none(record, values):
    records = [record(f"model={m},seed={s}", v) for m in ("cnn", "fc") for s, v in enumerate(values)]
    summary = table_of(records).rows[0].metrics["test/acc"]

    if len(values) < 3:
        assert np.isnan([summary.ci_low, summary.ci_high]).all()
    else:
        assert 0 <= summary.ci_low < summary.ci_high == 1.0


def test_the_environment_of_a_job_that_failed_while_it_was_built_is_no_caveat(record, failed, environment):
    records = [record(f"model={m},seed={s}", 0.9 + 0.01 * s) for m in ("cnn", "fc") for s in range(3)]
    broken = failed("model=mlp,seed=0", environment=environment(threads=2, git_dirty=True))

    assert not any(
        "Environments differ" in caveat or "uncommitted" in caveat for caveat in caveats(table_of([*records, broken]))
    )


def test_the_terminal_has_every_caveat_and_shows_labels_as_they_are(record, write, tmp_path, capsys):
    labels = ("data.classes=[cat,dog]", "model=a[/x]", "model=[bold]b")
    records = [
        record([label, f"seed={seed}"], 0.9 + 0.01 * seed + 0.003 * seed * place, data_sha256=str(place) * 64)
        for place, label in enumerate(labels)
        for seed in range(3)
    ]
    comparison = compare([write(tmp_path / "demo", *records)], pictures=False)
    comparison.show()
    shown = " ".join(capsys.readouterr().out.split())

    for text in [*labels, *caveats(comparison.table)]:
        assert text in shown
