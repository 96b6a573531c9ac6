"""``run.json``: written whole or not at all, read strictly."""

from __future__ import annotations

import contextlib
import json
import math
import os
import shutil
import subprocess
from datetime import UTC, datetime

import pytest
from pydantic import ValidationError

from vision_baselines.runs import environment
from vision_baselines.runs.record import (
    Environment,
    RunRecord,
    Status,
    find_records,
    now,
    read_record,
    write_atomically,
)


def record(**changes):
    facts = {
        "name": "model=cnn",
        "sweep": "demo",
        "status": Status.FINISHED,
        "overrides": ["model=cnn", "name=demo"],
        "config": {"seed": 0, "nested": {"list": [1, None, "x"]}},
        "fingerprint": "0123456789abcdef",
        "seed": 0,
        "started_at": datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC),
        "environment": Environment(
            versions={"torch": "2"}, python="3.11", platform="x", cpu_capability="AVX2", threads=1, device="cpu"
        ),
    }
    return RunRecord(**{**facts, **changes})


def test_what_is_written_is_what_is_read(tmp_path):
    written = record(metrics={"test/acc": 0.5}, confusion=[[1, 0], [2, 3]], ended_at=now())
    written.write(tmp_path / "deep" / "folder")
    assert read_record(tmp_path / "deep" / "folder") == written


def test_numbers_that_are_not_finite_survive(tmp_path):
    record(metrics={"a": float("inf"), "b": float("-inf")}).write(tmp_path)
    assert read_record(tmp_path).metrics == {"a": float("inf"), "b": float("-inf")}


def test_text_that_is_not_utf_8_survives(tmp_path):
    made = record(overrides=["data.source.root=caf\udce9"], command=["train.py", "\udcff"])
    made.write(tmp_path)
    assert read_record(tmp_path) == made
    (tmp_path / "run.json").read_text("utf-8")


def test_the_schema_holds_what_issue_and_design_name():
    wanted = {"name", "status", "overrides", "config", "seed", "parameters", "metrics", "timings", "environment"}
    assert wanted | {"schema_version", "failure", "history", "confusion"} <= set(RunRecord.model_fields)
    assert {"git_commit", "git_dirty", "threads", "device", "versions"} <= set(Environment.model_fields)


@pytest.mark.parametrize("version", [3, 0, None, "1", True, 1.5])
def test_a_record_of_another_schema_is_refused_with_both_versions(tmp_path, version):
    record().write(tmp_path)
    raw = json.loads((tmp_path / "run.json").read_text())
    (tmp_path / "run.json").write_text(json.dumps({**raw, "schema_version": version}))
    with pytest.raises(ValueError, match=rf"schema {version!r}; this version reads 1 to 2"):
        read_record(tmp_path)


@pytest.mark.parametrize("content", [b"", b"{", b"[1]", b"null", b"\xff\xfe", b"{}"])
def test_a_file_that_is_no_record_is_refused(tmp_path, content):
    (tmp_path / "run.json").write_bytes(content)
    with pytest.raises(ValueError, match=r"run\.json"):
        read_record(tmp_path)


def test_a_missing_record_is_a_missing_file(tmp_path):
    with pytest.raises(FileNotFoundError):
        read_record(tmp_path)


def test_an_unknown_field_is_refused():
    with pytest.raises(ValidationError):
        record(accuracy=1.0)


def test_an_unknown_status_is_refused():
    with pytest.raises(ValidationError):
        record(status="pending")


def test_only_a_finished_run_counts_as_finished():
    assert [status for status in Status if record(status=status).finished] == [Status.FINISHED]


def test_writing_leaves_no_other_file(tmp_path):
    record().write(tmp_path)
    record().write(tmp_path)
    assert [path.name for path in tmp_path.iterdir()] == ["run.json"]


@pytest.mark.parametrize("fails", ["fsync", "replace"])
def test_a_write_that_fails_leaves_the_old_file_and_nothing_else(tmp_path, monkeypatch, fails):
    target = tmp_path / "file"
    write_atomically(target, b"old")

    def fail(*arguments):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os if fails == "fsync" else type(target), fails, fail)
    with pytest.raises(OSError, match="No space"):
        write_atomically(target, b"new content")
    monkeypatch.undo()
    assert target.read_bytes() == b"old"
    assert [path.name for path in tmp_path.iterdir()] == ["file"]


def test_the_content_is_on_the_disk_before_it_takes_the_name(tmp_path, monkeypatch):
    seen = []
    monkeypatch.setattr(os, "fsync", lambda descriptor: seen.append((tmp_path / "file").exists()))
    write_atomically(tmp_path / "file", b"content")
    assert seen == [False]


def test_records_are_found_at_and_below_folders_once_and_in_order(tmp_path):
    for name in ("b", "a"):
        record(name=name).write(tmp_path / "sweep" / name)
    found = find_records([tmp_path, tmp_path / "sweep", tmp_path / "sweep" / "a"])
    assert [r.name for _, r in found] == ["a", "b"]


def test_a_folder_that_is_not_there_is_named(tmp_path):
    with pytest.raises(FileNotFoundError, match="nowhere"):
        find_records([tmp_path / "nowhere"])


def test_the_present_is_reported_in_utc_to_the_second():
    moment = now()
    assert moment.tzinfo is UTC
    assert moment.microsecond == 0


def test_the_commit_and_whether_files_differ_are_those_that_git_tells(tmp_path, monkeypatch):
    if shutil.which("git") is None:
        pytest.skip("git is not installed")
    place = tmp_path / "here.py"
    place.write_text("")
    monkeypatch.setattr(environment, "__file__", str(place))
    ask = environment.git_state.__wrapped__

    def git(*words):
        command = ["git", "-c", "user.name=a", "-c", "user.email=a@b", "-C", str(tmp_path), *words]
        return subprocess.run(command, check=True, capture_output=True, text=True).stdout.strip()

    assert ask() == (None, None)
    git("init", "-q")
    assert ask() == (None, None)
    git("add", "here.py")
    assert ask() == (None, None)
    git("commit", "-qm", "one")
    assert ask() == (git("rev-parse", "HEAD"), False)
    (tmp_path / "untracked.py").write_text("")
    assert ask() == (git("rev-parse", "HEAD"), False)
    place.write_text("x = 1")
    assert ask() == (git("rev-parse", "HEAD"), True)


@pytest.mark.parametrize("value", [0.0, -1.0, 1.0, 1e39, math.inf, -math.inf, math.nan, 1e301, -1e308])
def test_a_number_that_nothing_measures_is_refused(value):
    refused = 1e300 < abs(value) < math.inf
    row = {"epoch": 0, "step": 1, "lr": 0.1}
    for metrics, history in (({"test/acc": value}, []), ({}, [{**row, "metrics": {"val/loss": value}}])):
        with pytest.raises(ValidationError, match="which nothing measures") if refused else contextlib.nullcontext():
            record(metrics=metrics, history=history)


@pytest.mark.parametrize("key", ["setup_s", "fit_s", "test_s", "first_step_s", "epoch_fit_s"])
@pytest.mark.parametrize("value", [3.0, 1e308, -1e308, math.inf, math.nan])
def test_seconds_are_those_of_a_run(key, value):
    with contextlib.nullcontext() if value == 3.0 else pytest.raises(ValidationError):
        record(timings={key: [value] if key == "epoch_fit_s" else value})
