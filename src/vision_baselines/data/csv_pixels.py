"""Data sets as tables of pixels: a CSV file with a row for each image, a column of labels and a column a pixel.

As the digit-recogniser files and their likes have it; MNIST without a header, label first, is read too. Images, labels
and cuts are those of `arrays`.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, final

import numpy as np

from vision_baselines.data.arrays import (
    Array,
    as_images,
    cut_splits,
    labelled,
    require_file,
    require_room,
)
from vision_baselines.data.picture_layout import few, file_size, one_line, printable
from vision_baselines.data.splits import SPLIT_SEED, Splits, require_fractions
from vision_baselines.errors import ConfigError, DataError

_LABEL_COLUMNS = ("label", "class", "target", "y", "category", "emotion", "digit")
_ROWS_LOOKED_AT = 2


@final
@dataclass(frozen=True)
class CsvPixels:
    """Images as rows of a CSV file, pixels from 0 to 255.

    Args:
        file: Must be set: the table of train.
        test_file: The table of test, with labels; None cuts test from train, which is said.
        label_column: Name of the column of labels; None finds it, and without a header it is the first.
        shape: (channels, height, width) of an image in pixels; None takes a square of one channel, or of three, and the
            order is channel by channel, row by row.
        val_fraction: Of each class in train, held out for validation.
        test_fraction: Of each class in train, held out for testing where there is no `test_file`.
        split_seed: Decides which.
    """

    file: str | Path | None
    test_file: str | Path | None = None
    label_column: str | None = None
    shape: Sequence[int] | None = None
    val_fraction: float = 0.1
    test_fraction: float = 0.2
    split_seed: int = SPLIT_SEED

    def __post_init__(self) -> None:
        require_file(self.file, ".csv")
        require_fractions(self.val_fraction, self.test_fraction)
        if self.shape is not None and (len(self.shape) != 3 or min(self.shape) < 1):
            raise ConfigError(f"data.source.shape is {list(self.shape)}; expected [channels, height, width], or null")

    def prepare(self) -> None:
        """Nothing to do: the files are there, or they are not."""

    def load(self) -> Splits:
        """Train, val and test, images (N, C, H, W).

        Raises:
            DataError: A table cannot be used.
        """
        images, labels = {}, {}
        for split, file in (("train", self.file), ("test", self.test_file)):
            if file is not None:
                path = Path(file).expanduser()
                pixels, labels[split] = _table(path, self.label_column)
                images[split] = as_images(pixels.reshape(len(pixels), *self._shape(pixels.shape[1], path)), str(path))
        where = printable(str(self.file))
        return cut_splits(
            labelled(images, labels, where),
            val_fraction=self.val_fraction,
            test_fraction=self.test_fraction,
            seed=self.split_seed,
            where=where,
        )

    def _shape(self, columns: int, path: Path) -> tuple[int, ...]:
        if self.shape is not None:
            if math.prod(self.shape) == columns:
                return tuple(self.shape)
            raise DataError(
                f"{printable(str(path))} has {columns:,} pixels a row; data.source.shape is {list(self.shape)}, "
                f"which is {math.prod(self.shape):,}"
            )
        for channels in (1, 3):
            side = math.isqrt(columns // channels)
            if channels * side * side == columns:
                return channels, side, side
        raise DataError(
            f"{printable(str(path))} has {columns:,} pixels a row, which are no square; set data.source.shape="
            "[channels,height,width]"
        )


def _table(path: Path, label_column: str | None) -> tuple[Array, Array]:
    """Pixels (N, columns) and labels (N,) of a table."""
    import pandas as pd

    shown = printable(str(path))
    try:
        require_room(4 * file_size(path, "data.source.file", "a table of pixels"), shown)
        head = pd.read_csv(path, header=None, nrows=_ROWS_LOOKED_AT, dtype=str)
        has_header = not all(_is_number(value) for value in head.iloc[0])
        frame: Any = pd.read_csv(path, header=0 if has_header else None, low_memory=False)
    except (OSError, ValueError, OverflowError, MemoryError, pd.errors.ParserError) as error:
        raise DataError(f"cannot read {shown}: {one_line(error)} (data.source.file)") from error
    frame.columns = [str(name) for name in frame.columns]
    label = _label(list(frame.columns), label_column, shown, has_header=has_header)
    labels = frame.pop(label)
    if not len(frame) or not len(frame.columns):
        raise DataError(f"{shown} has no rows of pixels; expected a row for each image (data.source.file)")
    words = [name for name, kind in frame.dtypes.items() if kind.kind not in "iuf"]
    if words:
        raise DataError(f"{shown} has columns that are no numbers: {few(words)}; expected pixels from 0 to 255")
    if labels.isna().any() or frame.isna().any(axis=None):
        raise DataError(f"{shown} has empty cells; expected a label and every pixel in each row")
    pixels = frame.to_numpy()
    if pixels.dtype.kind == "f" and (pixels != np.rint(pixels)).any() and pixels.max() > 1:
        raise DataError(f"{shown} has pixels that are no whole numbers; expected 0 to 255, or shares from 0 to 1")
    return pixels, np.asarray(labels.to_numpy(), dtype=None if labels.dtype.kind in "iuf" else str)


def _label(columns: list[str], wanted: str | None, shown: str, *, has_header: bool) -> str:
    if wanted is not None and wanted in columns:
        return wanted
    if wanted is None and not has_header:
        return columns[0]
    found = [name for name in columns if name.strip().casefold() in _LABEL_COLUMNS]
    if wanted is None and found:
        return found[0]
    asked = (
        f"data.source.label_column is {wanted!r}" if wanted is not None else "no column of labels is known by its name"
    )
    raise DataError(f"{asked}; {shown} has {few(columns)}: set data.source.label_column")


def _is_number(text: Any) -> bool:
    try:
        float(text)
    except (TypeError, ValueError):
        return False
    return True
