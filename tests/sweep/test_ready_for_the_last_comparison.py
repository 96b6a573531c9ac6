"""What the last comparison draws with is imported while the last jobs run, once a core has nothing else to do."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace

import pytest
from tests.comparison.conftest import full_record

from vision_baselines.sweep.callback import SweepCallback
from vision_baselines.sweep.hooks import RunHooks

DRAWS = """
import sys
from pathlib import Path
from vision_baselines.comparison.collection import Records
from vision_baselines.report.write import compare
from vision_baselines.sweep.callback import SweepCallback

top = Path(sys.argv[1])
compare([top], pictures=False, records=Records([top]), as_given=True)
SweepCallback.current = SweepCallback()
SweepCallback.get_ready()
before = set(sys.modules)
compare([top], pictures=True, records=Records([top]), as_given=True)
new = set(sys.modules) - before
print(*sorted(name for name in new if name.startswith(("vision_baselines", "matplotlib.", "tensorboard"))))
"""


def job(*, started=False, ended=False):
    return SimpleNamespace(folder=Path("a"), is_started=started or ended, outcome=object() if ended else None)


@pytest.mark.parametrize(
    ("jobs", "is_ready"),
    [
        ([job(ended=True), job(started=True), job()], False),
        ([job(ended=True), job(started=True), job(started=True)], True),
        ([job(ended=True), job(ended=True), job()], False),
        ([job(ended=True), job(started=True)], True),
        ([job(ended=True)], False),  # the last comparison is made now
        ([], False),
    ],
)
def test_it_is_imported_once_no_job_waits_and_one_runs(monkeypatch, jobs, is_ready):
    asked = []
    monkeypatch.setattr(SweepCallback, "update", lambda touched=(): None)
    monkeypatch.setattr(SweepCallback, "get_ready", lambda: asked.append(1))
    hooks = RunHooks()
    hooks._not_compared = list(jobs)
    hooks.some_ended()
    assert bool(asked) is is_ready


@pytest.mark.slow
@pytest.mark.ci
def test_then_the_last_comparison_imports_nothing_more(tmp_path):
    for model in ("cnn", "fc"):
        for seed in range(3):
            folder = tmp_path / "demo" / f"model={model},seed={seed}"
            folder.mkdir(parents=True)
            full_record(model, seed, {}, 4, 0, "demo").write(folder)
    said = subprocess.run(
        [sys.executable, "-c", DRAWS, str(tmp_path / "demo")], capture_output=True, text=True, check=True, timeout=120
    )
    assert said.stdout.split() == []
