"""What the tests of exported files share: opening one as anybody would, random pictures, and no time for timing."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch


@pytest.fixture(autouse=True)
def timed_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """What is timed is called as often as it takes to have a number."""
    monkeypatch.setattr("vision_baselines.evaluation.export_check._MOST_CALLS", 1)
    monkeypatch.setattr("vision_baselines.evaluation.export_check._WARM_UP", 0)


@pytest.fixture
def answers() -> Callable[[Path, Any], Any]:
    """``answers(path, images)``: what a file answers, opened without this package's code."""
    return _answers


@pytest.fixture
def pictures() -> Callable[..., Any]:
    """``pictures(n, shape, seed=0)``: n random ones, uint8 (n, *shape)."""
    return lambda n, shape, seed=0: np.random.default_rng(seed).integers(0, 256, (n, *shape), dtype=np.uint8)


def _answers(path: Path, images: Any) -> Any:
    if path.suffix == ".pt2":
        return torch.export.load(path).module()(torch.from_numpy(images)).detach().numpy()
    import onnxruntime

    session = onnxruntime.InferenceSession(str(path), providers=["CPUExecutionProvider"])
    return session.run(None, {session.get_inputs()[0].name: images})[0]
