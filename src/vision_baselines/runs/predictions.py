"""``predictions.npz``: what a finished run answered for every image of a split, readable without torch.

For each split kept, plain arrays: ``test_predicted`` and ``test_targets``, classes, from which every count is exact;
``test_probabilities`` in float16, for calibration and ensembles, each within 2^-11 of itself (below 6e-5 within 3e-8);
``test_ids``, the images' file names, or their indices in what the source of the data read, where those are not 0, 1, …
The same predictions are the same bytes.
"""

from __future__ import annotations

import hashlib
import io
import math
import zipfile
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from vision_baselines.errors import DataError
from vision_baselines.runs.record import RunRecord
from vision_baselines.storage.reading import read_regular
from vision_baselines.tasks.names import ACCURACY

PREDICTIONS_FILE = "predictions.npz"
SPLITS = ("test", "train", "val")
_MOST_BYTES = 2**31
_MOST_IMAGES = 2**27  # where a record does not say how many there are
_LONGEST_NAME = 4 * 4096  # bytes of a file's name as NumPy holds it
_ONE, _MINUS_ZERO = np.array([1.0, -0.0], np.float16).view(np.uint16)
_ROUNDING = 1e-6  # the record's accuracy is a float32


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
        found = _unpacked(content, split, record)
    except Exception as error:  # numpy and zipfile raise whatever a damaged header leads them to
        raise DataError(f"{path} is damaged: {' '.join(str(error).split())[:200] or type(error).__name__}") from error
    if found is not None and split == "test":
        _hold_against(record, found, path)
    return found


def _unpacked(content: bytes, split: str, record: RunRecord) -> Predictions | None:
    """The arrays of a split, of which nothing is unpacked before its header says that it is what it should be.

    Raises:
        ValueError: It is not.
    """
    classes = record.data.num_classes if record.data is not None else None
    with zipfile.ZipFile(io.BytesIO(content)) as archive:
        if f"{split}_predicted.npy" not in archive.namelist():
            return None
        size = record.data.splits[split].size if record.data is not None and split in record.data.splits else None
        predicted = _read(archive, f"{split}_predicted", kinds="iu", most=size)
        n = len(predicted)
        if size is not None and n != size and not record.partial:
            raise ValueError(f"{n:,} predictions for {size:,} images")
        targets = _read(archive, f"{split}_targets", kinds="iu", shape=(n,))
        for labels in (predicted, targets):
            if n and (labels.min() < 0 or labels.max() >= (classes or np.iinfo(np.int32).max)):
                raise ValueError("a class that there is not")
        probabilities = _read(archive, f"{split}_probabilities", kinds="f", shape=(n, classes), optional=True)
        if probabilities is not None and not _are_shares(probabilities):
            raise ValueError("probabilities that are not between 0 and 1")
        ids = _read(archive, f"{split}_ids", kinds="iuU", shape=(n,), optional=True)
    return Predictions(
        predicted.astype(np.int32),
        targets.astype(np.int32),
        probabilities,
        np.arange(n) if ids is None else ids if ids.dtype.kind == "U" else ids.astype(np.int64),
    )


def _read(
    archive: zipfile.ZipFile,
    name: str,
    *,
    kinds: str,
    shape: tuple[int | None, ...] = (None,),
    most: int | None = None,
    optional: bool = False,
) -> Any:
    """An array whose header declares what is expected; None where it may be missing and is."""
    if optional and f"{name}.npy" not in archive.namelist():
        return None
    with archive.open(f"{name}.npy") as file:
        version = np.lib.format.read_magic(file)
        read_header = {(1, 0): np.lib.format.read_array_header_1_0, (2, 0): np.lib.format.read_array_header_2_0}
        declared, is_fortran, dtype = read_header[version](file)
        fits = len(declared) == len(shape) and declared[0] <= (_MOST_IMAGES if most is None else most)
        fits = fits and all(want in (None, has) for want, has in zip(shape, declared, strict=True))
        if dtype.kind not in kinds or dtype.itemsize > _LONGEST_NAME or not fits:
            raise ValueError(f"{name} has shape {declared} and type {dtype}")
        n_bytes = math.prod(declared) * dtype.itemsize
        content = file.read(n_bytes)
        if len(content) != n_bytes or file.read(1):
            raise ValueError(f"{name} is not as long as its header says")
    found = np.frombuffer(content, dtype).reshape(declared, order="F" if is_fortran else "C")
    return found.copy(order="K")  # a buffer of bytes cannot be written


def _are_shares(values: NDArray[np.float16]) -> bool:
    """Whether all lie from 0 to 1, which what is not a number does not."""
    if values.dtype == np.float16:  # NumPy compares them one by one; up to 1, their bits grow with them
        bits = values.view(np.uint16)
        return bool(((bits <= _ONE) | (bits == _MINUS_ZERO)).all())
    return values.size == 0 or bool(values.min() >= 0 and values.max() <= 1)


def _hold_against(record: RunRecord, found: Predictions, path: Path) -> None:
    """Refuse predictions that are not those of the record's own counts and accuracy."""
    if record.confusion is not None and found.confusion(len(record.confusion)).tolist() != record.confusion:
        raise DataError(f"{path} does not give the confusion matrix of its record")
    metrics = (record.config.get("task") or {}).get("metrics") or ()
    accuracy = record.metrics.get(ACCURACY) if "accuracy" in metrics and len(found.correct) else None
    if accuracy is not None and not abs(float(found.correct.mean()) - accuracy) < _ROUNDING:
        raise DataError(f"{path} does not give the accuracy of its record")


def _small(labels: NDArray[np.int32]) -> NDArray[Any]:
    """Labels in the smallest unsigned type that holds them."""
    return labels.astype(np.min_scalar_type(int(labels.max(initial=0))))
