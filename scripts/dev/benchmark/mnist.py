"""MNIST for whoever is measured: the real files where they lie, or files of the same shape made on the spot."""

from __future__ import annotations

import os
import struct
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor

from vision_baselines.data.idx_files import IdxFiles
from vision_baselines.seeding import generator

TRAIN, TEST, SIDE, CLASSES = 60_000, 10_000, 28, 10
_FILES = IdxFiles("MNIST")
# Shares of pixels that make the mean and the spread about those of MNIST.
_ON, _FLIPPED = 0.16, 0.04


@dataclass(frozen=True)
class Mnist:
    """Where MNIST lies, what it is, and the overrides that every contestant reads it by."""

    root: Path
    words: str
    overrides: tuple[str, ...]


def mnist(folder: Path) -> Mnist:
    """The files in ``VISION_BASELINES_DATA_DIR`` if they are all there, else files made in `folder`; no download."""
    given = os.environ.get("VISION_BASELINES_DATA_DIR")
    if given and all(path.is_file() for path in _FILES.paths(Path(given))):
        return Mnist(Path(given), f"MNIST of {given}", ("data=mnist", "data.source.download=false"))
    make(folder)
    overrides = ("data=mnist", "data.source.download=false", "data.source.sha256=null")
    return Mnist(folder, "70,000 images of MNIST's shape, made here", overrides)


def make(root: Path) -> None:
    """Write the four files: a random stroke for each class, some of whose pixels are flipped in each image."""
    draws = generator(0, "benchmark", "mnist")
    strokes = torch.rand(CLASSES, SIDE, SIDE, generator=draws) < _ON
    images_at, labels_at, test_images_at, test_labels_at = _FILES.paths(root)
    images_at.parent.mkdir(parents=True)
    for images_file, labels_file, count in ((images_at, labels_at, TRAIN), (test_images_at, test_labels_at, TEST)):
        labels = torch.randint(0, CLASSES, (count,), generator=draws, dtype=torch.uint8)
        levels = torch.randint(128, 256, (count, SIDE, SIDE), generator=draws, dtype=torch.uint8)
        flipped = torch.rand(count, SIDE, SIDE, generator=draws) < _FLIPPED
        _write(images_file, levels * (strokes[labels.long()] ^ flipped))
        _write(labels_file, labels)


def _write(path: Path, values: Tensor) -> None:
    header = struct.pack(f">BBBB{values.dim()}I", 0, 0, 8, values.dim(), *values.shape)  # 8: unsigned bytes
    path.write_bytes(header + values.contiguous().numpy().tobytes())
