"""``mistakes.npz``: small pictures of the test images that a run misclassified, to be looked at without the data.

``index`` (K,) int32 are their places in the test split, ``pixels`` (K, h, w) or (K, h, w, 3) uint8. No side is longer
than `SIDE_PX` pixels, and all pixels together take `MOST_BYTES` at most: 256 images of MNIST, 170 of CIFAR-10, 42 of
larger colour photographs. ``of`` is the SHA-256 of the predictions that they are mistakes of, so that no picture is
shown beside another run's numbers. Which images are kept is decided by `training.mistakes`.
"""

from __future__ import annotations

import io
import zipfile
import zlib
from collections.abc import Mapping
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from vision_baselines.runs.record import RunRecord
from vision_baselines.storage.reading import check_archive, read_regular

PICTURES_FILE = "mistakes.npz"
SIDE_PX = 64
SMALLEST_PX = 4  # what is smaller, such as the points of data=circles, shows nothing
MOST_IMAGES = 256
MOST_BYTES = 2**19
_MOST_FILE_BYTES = 2 * MOST_BYTES
_UNREADABLE = (ValueError, KeyError, OSError, EOFError, zipfile.BadZipFile, zlib.error, NotImplementedError)

Pixels = NDArray[np.uint8]


def packed_pictures(index: NDArray[np.int64], pixels: Pixels, *, predictions_sha256: str) -> bytes:
    """The file's content; the same pictures are the same bytes."""
    buffer = io.BytesIO()
    named = {"of": np.array(predictions_sha256), "index": index.astype(np.int32), "pixels": pixels}
    np.savez_compressed(buffer, allow_pickle=False, **named)
    return buffer.getvalue()


def read_pictures(folder: Path, record: RunRecord) -> Mapping[int, Pixels]:
    """Pictures (h, w, 3) by their place in the test split; none where a run kept none, or a file cannot be used."""
    try:
        content = read_regular(folder / PICTURES_FILE, most_bytes=_MOST_FILE_BYTES)
        check_archive(content, most_bytes=_MOST_FILE_BYTES)
        with np.load(io.BytesIO(content), allow_pickle=False) as file:
            of, index, pixels = file["of"], file["index"], file["pixels"]
    except _UNREADABLE:
        return {}
    fits = pixels.dtype == np.uint8 and index.dtype == np.int32 and index.shape == pixels.shape[:1]
    fits = fits and (pixels.ndim == 3 or pixels.shape[3:] == (3,)) and 0 not in pixels.shape
    if not fits or of.shape != () or str(of) != record.predictions_sha256 or max(pixels.shape[1:3]) > SIDE_PX:
        return {}
    colour = pixels if pixels.ndim == 4 else np.repeat(pixels[..., None], 3, axis=3)
    return dict(zip(index.tolist(), colour, strict=True))
