"""What a job opens and reads is counted: it does not grow with the jobs that are done."""

from __future__ import annotations

import os
import re
import shutil
import sys
from collections import Counter
from contextlib import contextmanager
from pathlib import Path

import hydra
import pytest

from vision_baselines.config.compose import conf_dir

RECORD = "run.json"
HYDRAS = str(Path(hydra.__file__).with_name("conf"))
_counts: list[list[str]] = []  # an audit hook cannot be taken away again


def _opened(event, arguments):
    if event == "open" and _counts and isinstance(arguments[0], str | bytes | os.PathLike):
        _counts[-1].append(os.fsdecode(arguments[0]))


@pytest.fixture(scope="module", autouse=True)
def hook():
    sys.addaudithook(_opened)


@contextmanager
def files_opened():
    """While active, names of all files that this process opens through Python are appended to the list it gives."""
    _counts.append([])
    try:
        yield _counts[-1]
    finally:
        _counts.pop()


def opened_by_a_job(train_tiny, folder, seed):
    """Of a job beside others, by name, without what belongs to installed packages: Lightning looks into each."""
    with files_opened() as opened:
        train_tiny(folder / f"seed={seed}", f"seed={seed}")
    own = [name for name in opened if not name.endswith((".py", ".pyc", ".so", ".zip", "entry_points.txt"))]
    # the sweep's process composes configs; here some are at hand, as other tests of this process had them composed
    return [name for name in own if not name.startswith((str(conf_dir()), HYDRAS))]


def of_the_sweep(opened, folder, seed):
    """How often each file of the sweep's folder was opened, whatever the job's name.

    Without the lease, which a thread of its own reads again every 20 seconds; what other threads of this process
    open elsewhere is not the job's.
    """
    inside = [str(Path(name).relative_to(folder)) for name in opened if Path(name).is_relative_to(folder)]
    named = [re.sub(r"\d{4,}", "N", name.replace(f"seed={seed}", "JOB")) for name in inside if ".lease" not in name]
    return Counter(named)


def test_files_and_records_that_a_job_opens_do_not_grow_with_the_jobs_that_are_done(train_tiny, tmp_path):
    for seed in range(2):  # what a process reads once
        opened_by_a_job(train_tiny, tmp_path, seed)
    few = opened_by_a_job(train_tiny, tmp_path, 2)
    for copy in range(10):
        shutil.copytree(tmp_path / "seed=0", tmp_path / f"seed={100 + copy}")
    many = opened_by_a_job(train_tiny, tmp_path, 3)
    counted = of_the_sweep(many, tmp_path, 3)
    assert counted == of_the_sweep(few, tmp_path, 2)
    assert all(name.startswith("JOB/") for name in counted), counted
    records = {name: times for name, times in counted.items() if RECORD in name}
    assert records.pop(f"JOB/{RECORD}") <= 2, counted  # it is written under another name, and renamed
    assert sum(records.values()) <= 3, counted
    assert len(many) <= 36, sorted(many)
