"""A small run on digits, and its test split as PNG files."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from tests.conftest import PLAIN, composed, hydra_as_it_was

DIGITS = ["data=digits", "model=fc", "model.hidden_features=[8]", "trainer.max_epochs=1"]


def train_run(folder: Path, *overrides: str) -> None:
    """Train one run in a folder."""
    from vision_baselines.training.run import train

    with hydra_as_it_was():
        train(composed(*PLAIN, *overrides, run_dir=folder))


@pytest.fixture(scope="session")
def sweep(tmp_path_factory) -> Path:
    """Two runs on digits, of two seeds."""
    folder = tmp_path_factory.mktemp("outputs") / "sweep"
    for seed in (0, 1):
        train_run(folder / f"seed={seed}", *DIGITS, f"seed={seed}")
    return folder


def write_pictures(images: np.ndarray, folder: Path) -> list[Path]:
    """Images (N, C, H, W), uint8, as PNG files whose names sort as they stand."""
    folder.mkdir(parents=True, exist_ok=True)
    files = [folder / f"{index:04}.png" for index in range(len(images))]
    for file, image in zip(files, images, strict=True):
        Image.fromarray(np.ascontiguousarray(image.transpose(1, 2, 0).squeeze())).save(file)
    return files


@pytest.fixture(scope="session")
def digits(tmp_path_factory) -> Path:
    """The first 40 test images of the digits as PNG files."""
    from vision_baselines.data.sources import Digits

    folder = tmp_path_factory.mktemp("digits")
    write_pictures(Digits().load().test.images[:40].numpy(), folder)
    return folder


@pytest.fixture(scope="session")
def train() -> Callable[..., None]:
    """``train(folder, *overrides)``."""
    return train_run


@pytest.fixture(scope="session")
def write() -> Callable[..., list[Path]]:
    """``write(images, folder)``."""
    return write_pictures
