"""What the launcher refuses of its own keys, and of what stands in a job's folder, in one line."""

from __future__ import annotations

import os

import pytest

from vision_baselines.errors import StorageError
from vision_baselines.jobs import worker
from vision_baselines.jobs.console import SweepConsole
from vision_baselines.jobs.hooks import JobsFailedError
from vision_baselines.jobs.options import check_options
from vision_baselines.jobs.outcome import Outcome
from vision_baselines.jobs.surroundings import Surroundings

FINE = {"n_jobs": None, "fail_fast": False, "output": "output.txt", "preload": []}


@pytest.mark.parametrize(
    ("key", "values"),
    [
        ("n_jobs", [1, 64, None]),
        ("fail_fast", [True]),
        ("output", ["a b.txt", ".log", None]),
        ("preload", [["json"], ("json.decoder", "os"), []]),
    ],
)
def test_what_can_be_done_is_taken(key, values):
    for value in values:
        check_options(**{**FINE, key: value})


@pytest.mark.parametrize(
    ("key", "values"),
    [
        ("n_jobs", [0, -1, 1.5, "abc", True, [2]]),
        ("fail_fast", ["yes", 1, None]),
        ("output", ["", ".", "..", "../x", "/tmp/x", "a/b", "a/", 3, "a\0b"]),
        ("preload", ["json", 3, None, ["no_such_module"], ["json.no_such"], ["no_such.json"], [3], ["../x"], [""]]),
    ],
)
def test_what_cannot_be_done_is_refused_with_its_key(key, values):
    for value in values:
        with pytest.raises(JobsFailedError, match=f"^hydra.launcher.{key} is .*; expected ") as refused:
            check_options(**{**FINE, key: value})
        assert "\n" not in str(refused.value)


@pytest.mark.parametrize("kind", ["folder", "pipe", "link"])
def test_an_output_that_is_no_file_of_the_job_is_one_failed_job(tmp_path, kind):
    other, path = tmp_path / "other", tmp_path / "job" / "output.txt"
    path.parent.mkdir()
    other.write_text("kept")
    {"folder": path.mkdir, "pipe": lambda: os.mkfifo(path), "link": lambda: path.symlink_to(other)}[kind]()
    surroundings = Surroundings(None, None, True, "output.txt", b"", {})
    outcome = worker.outcome_of(b"", str(path.parent), surroundings)
    assert outcome.exit_code == StorageError.exit_code
    assert outcome.message.startswith("what it prints cannot be written to")
    assert other.read_text() == "kept"


def test_an_error_whose_text_cannot_be_made_is_named_all_the_same():
    class OddError(Exception):
        def __str__(self):
            raise RuntimeError("no")

    assert worker._text(OddError()) == "its text cannot be made: RuntimeError"
    assert worker._text(ValueError("x")) == "x"


@pytest.mark.parametrize("exit_code", [0, 4])
def test_a_job_that_returns_or_raises_megabytes_is_one_short_line(capsys, exit_code):
    long = "y" * 3_000_000
    with SweepConsole(total=1, slots=1, live=False) as console:
        console.ended("x=1", Outcome(exit_code, message=long), long)
    assert len(capsys.readouterr().out) < 1100
