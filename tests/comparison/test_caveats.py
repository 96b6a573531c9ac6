"""That a reader is told what the numbers cannot show, and not told what is not so."""

from __future__ import annotations

from pathlib import Path

import pytest

from vision_baselines.comparison.caveats import caveats
from vision_baselines.comparison.collection import Collection, Job, Unreadable
from vision_baselines.comparison.table import tabulate
from vision_baselines.runs.record import Status


def caveats_of(*records, unreadable=(), **options):
    jobs = tuple(Job(Path(str(n)), f"place{n}", found) for n, found in enumerate(records))
    return "\n".join(caveats(tabulate(Collection(jobs, tuple(unreadable)), **options)))


@pytest.fixture
def clean(record):
    return [record(f"model={m},seed={s}", 0.9 + 0.01 * s) for m in ("cnn", "fc") for s in range(3)]


def test_a_clean_comparison_of_two_groups_has_none(clean):
    assert caveats_of(*clean) == ""


def test_survivors_are_called_survivors(clean, failed):
    assert "model=cnn: 1 of 4 jobs failed; its numbers speak of the survivors only." in caveats_of(
        *clean, failed("model=cnn,seed=3")
    )


def test_different_data_is_named(clean, record):
    found = caveats_of(record("model=cnn", data_sha256="a" * 64), record("model=fc", data_sha256="b" * 64))

    assert "2 different data sets" in found
    assert "aaaaaaaaaaaa (place0)" in found


def test_different_versions_are_named_with_their_values(record, environment):
    other = environment(versions={"torch": "2.12.0"}, threads=2)
    found = caveats_of(record("model=cnn"), record("model=fc", environment=other))

    assert "Environments differ in" in found
    assert "torch (2.13.0, 2.12.0)" in found
    assert "threads (1, 2)" in found
    assert "numpy (2.4.6, absent)" in found


def test_other_code_and_uncommitted_changes_are_named(record, environment):
    found = caveats_of(record("model=cnn"), record("model=fc", environment=environment(git_dirty=True)))

    assert "2 different states of the code" in found
    assert "1 job ran with uncommitted changes" in found


def test_pending_repeated_unpaired_and_unreadable_jobs_are_named(clean, record):
    found = caveats_of(
        *clean,
        record("model=cnn,seed=0"),
        record("model=fc,seed=7"),
        record("model=cnn,seed=8", None, status=Status.INTERRUPTED),
        unreadable=[Unreadable("sweep/broken", "why")],
    )

    assert "model=cnn: 1 job repeat a run" in found
    assert "1 seed finished on one side only" in found
    assert "1 job not finished; the numbers change once all are." in found
    assert "1 record cannot be read: sweep/broken (why)." in found


def test_a_group_that_mixes_settings_is_named(record):
    mixed = [record(f"model={m},optimizer.lr={lr},seed=0", 0.9 - lr) for m in ("cnn", "fc") for lr in (0.1, 0.2)]

    assert "model=cnn mixes runs that differ in optimizer.lr" in caveats_of(*mixed, group_by="model")
    assert "several runs of one seed" in caveats_of(*mixed, group_by="model")


def test_runs_that_used_a_part_of_the_data_stand_in_no_number(clean, record):
    partial = record("model=cnn,seed=3", 0.1, partial=["trainer.limit_test_batches=1"])
    table = tabulate(Collection(tuple(Job(Path(str(n)), f"p{n}", r) for n, r in enumerate([*clean, partial]))))
    row = next(row for row in table.rows if row.label == "model=cnn")
    assert (row.n_finished, len(row.partial), row.pending) == (3, 1, ())
    assert "model=cnn: 1 partial run left out (trainer.limit_test_batches=1)." in caveats_of(*clean, partial)
