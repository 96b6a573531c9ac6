"""``predictions.npz``: what a finished run answered for every image of a split, readable without torch.

For each split kept, plain arrays: ``test_predicted`` and ``test_targets``, classes, from which every count is exact;
``test_probabilities`` in float16, for calibration and ensembles, each within 2^-11 of itself (below 6e-5 within 3e-8);
``test_ids``, the images' file names, or their indices in what the source of the data read, where those are not 0, 1, …
The same predictions are the same bytes.
"""

from __future__ import annotations

import hashlib
import io
import zipfile
import zlib
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from vision_baselines.errors import DataError
from vision_baselines.runs.record import RunRecord
from vision_baselines.storage.reading import check_archive, read_regular

PREDICTIONS_FILE = "predictions.npz"
SPLITS = ("test", "train", "val")
_MOST_BYTES = 2**31


@dataclass(frozen=True, eq=False)
class Predictions:
    """What a net answered for the N images of a split, in their order.

    Attributes:
        predicted: int32 (N,), the class of the largest logit.
        targets: int32 (N,), the right class.
        probabilities: float16 (N, C); None where there would be too many.
        ids: int64 (N,), indices in what the source read, or text (N,), file names below the folder of the data.
    """

    predicted: NDArray[np.int32]
    targets: NDArray[np.int32]
    probabilities: NDArray[np.float16] | None
    ids: NDArray[Any]

    @property
    def correct(self) -> NDArray[np.bool_]:
        """Which images were classified rightly, (N,)."""
        found: NDArray[np.bool_] = self.predicted == self.targets
        return found

    def confusion(self, num_classes: int) -> NDArray[np.int64]:
        """Counts (num_classes, num_classes), rows are targets, columns predictions."""
        index = self.targets.astype(np.int64) * num_classes + self.predicted
        return np.bincount(index, minlength=num_classes**2).reshape(num_classes, num_classes)


def packed(splits: Mapping[str, Predictions]) -> bytes:
    """The file's content."""
    arrays: dict[str, NDArray[Any]] = {}
    for split, found in splits.items():
        arrays[f"{split}_predicted"] = _small(found.predicted)
        arrays[f"{split}_targets"] = _small(found.targets)
        if found.probabilities is not None:
            arrays[f"{split}_probabilities"] = found.probabilities.astype(np.float16)
        if found.ids.dtype.kind == "U" or not np.array_equal(found.ids, np.arange(len(found.ids))):
            arrays[f"{split}_ids"] = found.ids
    buffer = io.BytesIO()
    np.savez_compressed(buffer, allow_pickle=False, **arrays)  # numpy dates every member 1980
    return buffer.getvalue()


def read_predictions(folder: Path, record: RunRecord, split: str = "test") -> Predictions | None:
    """What a run kept of a split; None where it kept nothing.

    Raises:
        DataError: The file is missing, or is not the one that the record speaks of.
    """
    if record.predictions_sha256 is None:
        return None
    path = folder / PREDICTIONS_FILE
    try:
        content = read_regular(path, most_bytes=_MOST_BYTES)
    except (OSError, ValueError) as error:
        raise DataError(f"cannot read {path}: {getattr(error, 'strerror', None) or error}") from error
    if hashlib.sha256(content).hexdigest() != record.predictions_sha256:
        raise DataError(f"{path} is not what {folder.name} predicted: its SHA-256 is not the record's")
    try:
        check_archive(content, most_bytes=_MOST_BYTES)
        with np.load(io.BytesIO(content), allow_pickle=False) as arrays:
            if f"{split}_predicted" not in arrays:
                return None
            predicted = arrays[f"{split}_predicted"].astype(np.int32)
            probabilities, ids = (arrays.get(f"{split}_{name}") for name in ("probabilities", "ids"))
            targets = arrays[f"{split}_targets"].astype(np.int32)
    except (ValueError, KeyError, OSError, EOFError, zipfile.BadZipFile, zlib.error, NotImplementedError) as error:
        raise DataError(f"{path} is damaged: {error}") from error
    return Predictions(predicted, targets, probabilities, np.arange(len(predicted)) if ids is None else ids)


def _small(labels: NDArray[np.int32]) -> NDArray[Any]:
    """Labels in the smallest unsigned type that holds them."""
    return labels.astype(np.min_scalar_type(int(labels.max(initial=0))))
