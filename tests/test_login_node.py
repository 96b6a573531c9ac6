"""On a cluster's login node, where srun is on the path, a run and what follows it say nothing of it."""

from __future__ import annotations

import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from vision_baselines.evaluation.evaluate import evaluate


def test_lightnings_hint_to_use_srun_is_left_out(
    run_tiny: Callable[..., Any], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "bin").mkdir()
    (tmp_path / "bin" / "srun").write_text("#!/bin/sh\n")
    (tmp_path / "bin" / "srun").chmod(0o755)
    monkeypatch.setenv("PATH", str(tmp_path / "bin"), prepend=":")
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        run_tiny("run", "trainer.max_epochs=1")
        evaluate(tmp_path / "outputs" / "run")
    assert not [warning for warning in caught if "srun" in str(warning.message)]
