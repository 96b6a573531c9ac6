"""A share of a split that is less than one batch is refused before training, not after it."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from vision_baselines.errors import ConfigError


@pytest.mark.few(1)
@pytest.mark.parametrize("key", ["limit_train_batches", "limit_val_batches", "limit_test_batches", "overfit_batches"])
def test_less_than_one_batch_is_refused_before_training(run_tiny: Callable[..., Any], tmp_path: Path, key: str) -> None:
    with pytest.raises(ConfigError, match=rf"trainer\.{key} is 0\.01, which is less than one of"):
        run_tiny("run", f"+trainer.{key}=0.01")
    assert not (tmp_path / "outputs" / "run" / "run.json").exists()
