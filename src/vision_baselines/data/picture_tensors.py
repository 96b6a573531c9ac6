"""Pictures as tensors of one size, decoded once: a checked cache keeps each by what its file is.

So a start after pictures were added, removed, fixed or split otherwise decodes only those that are new, and one that
is damaged costs nothing of the others. What becomes of a picture is stated in `picture_decoding`. Where the tensors are
large beside the machine's memory they lie in a file and are mapped from there.
"""

from __future__ import annotations

import hashlib
import logging
import math
import os
import shutil
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import PIL
import torch
from rich.console import Console
from rich.progress import track
from torch import Tensor

from vision_baselines.data import tensor_cache
from vision_baselines.data.integrity import prepare_lock
from vision_baselines.data.memory import physical_bytes
from vision_baselines.data.picture_decoding import (
    SIXTEEN_BIT_MAX,
    PictureError,
    PixelArray,
    decoded,
    pixel_max_for,
    quiet_pillow,
)
from vision_baselines.data.picture_layout import printable
from vision_baselines.data.picture_listing import Picture
from vision_baselines.errors import DataError

_CACHE_FORMAT = 2
_DIGEST_BYTES = 16
# Beyond this share of the machine's memory, tensors are mapped from a file rather than held.
_MOST_HELD = 0.5

logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class Decoding:
    """What becomes of a picture: arguments of `picture_decoding.decoded`; `pixel_max` None finds it."""

    image_size: int
    channels: int
    crop: bool
    max_pixels: int
    pixel_max: int | None

    @property
    def shape(self) -> tuple[int, int, int]:
        """(channels, height, width) of the result."""
        return (self.channels, self.image_size, self.image_size)


@dataclass(frozen=True)
class PictureTensors:
    """Those of the pictures that can be used, in the order given.

    Attributes:
        images: (M, channels, image_size, image_size), uint8.
        contents: (M, 16), uint8: a digest of each file's bytes.
        usable: Index of each among the pictures given.
        damaged: For each of the others, its path and what is wrong with it.
        pixel_max: White in the 16-bit pictures; None where there are none.
    """

    images: Tensor
    contents: Tensor
    usable: list[int]
    damaged: list[str]
    pixel_max: int | None


@dataclass
class _Rows:
    """What the cache holds: a row a picture, with digests of what its file is and of its bytes, and its peak."""

    images: Tensor
    files: Tensor
    contents: Tensor
    peaks: Tensor
    white: Tensor

    def result(self, usable: list[int], damaged: list[str]) -> PictureTensors:
        deep = bool(self.peaks.any())
        return PictureTensors(self.images, self.contents, usable, damaged, int(self.white) if deep else None)


def picture_tensors(root: Path, pictures: Sequence[Picture], how: Decoding, cache_dir: Path) -> PictureTensors:
    """Decode pictures, or take them from the cache.

    Args:
        root: What their paths are relative to.
        pictures: In the order in which they are wanted.
        how: What becomes of each.
        cache_dir: Where the cache is; nothing else is written.

    Raises:
        DataError: They fit neither into memory nor onto the disk.
        StorageError: The cache cannot be written.
    """
    needed = len(pictures) * math.prod(how.shape)
    mapped = needed > _MOST_HELD * physical_bytes()
    if mapped:
        _say_mapped(needed, how, cache_dir)
    place = repr((os.fsencode(root.resolve()), how.image_size, how.channels, how.crop))
    path = cache_dir / f"pictures-{hashlib.sha256(place.encode()).hexdigest()[:16]}.pt"
    # another version of Pillow may decode or resize to other values
    key = f"{_CACHE_FORMAT} {PIL.__version__} {how.pixel_max}"
    files = _file_digests(pictures)
    rows = _read(path, key, mapped=mapped, say_damaged=False)
    if rows is None or not torch.equal(rows.files, files):
        with prepare_lock(cache_dir):
            # another process may have made it while this one waited
            rows = _read(path, key, mapped=mapped)
            if rows is None or not torch.equal(rows.files, files):
                return _completed(root, pictures, files, how, rows, path, key, mapped=mapped)
    return rows.result(list(range(len(pictures))), [])


def _completed(
    root: Path,
    pictures: Sequence[Picture],
    files: Tensor,
    how: Decoding,
    cached: _Rows | None,
    path: Path,
    key: str,
    *,
    mapped: bool,
) -> PictureTensors:
    count = len(pictures)
    at = {} if cached is None else {row.tobytes(): index for index, row in enumerate(cached.files.numpy())}
    known = {index: at[row.tobytes()] for index, row in enumerate(files.numpy()) if row.tobytes() in at}
    with _blank((count, *how.shape), path, mapped=mapped) as images:
        contents, peaks = np.zeros((count, _DIGEST_BYTES), np.uint8), np.zeros(count, np.int32)
        for index, row in known.items():
            assert cached is not None
            images[index], contents[index], peaks[index] = cached.images[row], cached.contents[row], cached.peaks[row]
        missing = [index for index in range(count) if index not in known]
        first_white = how.pixel_max or SIXTEEN_BIT_MAX
        faults = _fill(root, pictures, missing, images, contents, peaks, how, first_white)
        white = how.pixel_max or pixel_max_for(int(peaks.max(initial=0)))
        before = int(cached.white) if cached is not None else white
        again = [i for i in peaks.nonzero()[0].tolist() if (before if i in known else first_white) != white]
        faults |= _fill(root, pictures, again, images, contents, peaks, how, white)
        usable = [index for index in range(count) if index not in faults]
        chosen = torch.tensor(usable, dtype=torch.int64)
        pixels = torch.from_numpy(images)
        rows = _Rows(
            pixels if len(usable) == count else pixels[chosen],
            files[chosen],
            torch.from_numpy(contents)[chosen],
            torch.from_numpy(peaks)[chosen],
            torch.tensor(white),
        )
        if cached is None or again or not torch.equal(cached.files, rows.files):
            tensor_cache.write(path, vars(rows), key=key)
        elif cached is not None:
            rows = cached
        if mapped and (read := _read(path, key, mapped=True)) is not None:
            rows = read
        damaged = [f"{printable(pictures[index].path)}: {faults[index]}" for index in sorted(faults)]
        return rows.result(usable, damaged)


def _fill(
    root: Path,
    pictures: Sequence[Picture],
    wanted: Sequence[int],
    images: PixelArray,
    contents: PixelArray,
    peaks: np.ndarray[tuple[int], np.dtype[np.int32]],
    how: Decoding,
    white: int,
) -> dict[int, str]:
    """Decode pictures into their rows, in place; what is wrong with those that cannot be, by index."""

    def fill(index: int) -> str | None:
        file = root / pictures[index].path
        note: Callable[[int], None] = lambda peak: peaks.__setitem__(index, peak)  # noqa: E731
        try:
            with file.open("rb") as opened:
                digest = hashlib.file_digest(opened, "sha256").digest()
            contents[index] = np.frombuffer(digest[:_DIGEST_BYTES], np.uint8)
            images[index] = decoded(
                file,
                size=(how.image_size, how.image_size),
                channels=how.channels,
                crop=how.crop,
                max_pixels=how.max_pixels,
                pixel_max=white,
                note_peak=note,
            )
        except (PictureError, OSError) as error:
            return printable(str(getattr(error, "strerror", None) or error))
        return None

    if not wanted:
        return {}
    console = Console(stderr=True, markup=False)
    # Pillow lets go of the interpreter's lock while it decodes: two threads read large photographs twice as fast
    pool = ThreadPoolExecutor(min(8, os.cpu_count() or 1))
    try:
        with quiet_pillow():
            results = track(
                pool.map(fill, wanted),
                description="decoding pictures",
                total=len(wanted),
                console=console,
                disable=not console.is_terminal,
            )
            return {index: fault for index, fault in zip(wanted, results, strict=True) if fault is not None}
    finally:
        pool.shutdown(cancel_futures=True)  # or an interrupt would wait until every picture is decoded


def _file_digests(pictures: Sequence[Picture]) -> Tensor:
    digests = b"".join(
        hashlib.sha256(repr(tuple(picture._replace(label=0))).encode()).digest()[:_DIGEST_BYTES] for picture in pictures
    )
    return torch.frombuffer(bytearray(digests), dtype=torch.uint8).view(-1, _DIGEST_BYTES)


def _read(path: Path, key: str, *, mapped: bool, say_damaged: bool = True) -> _Rows | None:
    tensors = tensor_cache.read(path, key=key, say_damaged=say_damaged, mapped=mapped)
    return None if tensors is None else _Rows(**tensors)


@contextmanager
def _blank(shape: tuple[int, ...], path: Path, *, mapped: bool) -> Iterator[PixelArray]:
    """Room for images: in memory, or in a file that is gone at the end."""
    if not mapped:
        yield np.empty(shape, dtype=np.uint8)
        return
    scratch = path.with_name(f".{path.name}.pixels")
    try:
        yield np.memmap(scratch, dtype=np.uint8, mode="w+", shape=shape)
    finally:
        scratch.unlink(missing_ok=True)


def _say_mapped(needed: int, how: Decoding, cache_dir: Path) -> None:
    folder = next(place for place in (cache_dir, *cache_dir.absolute().parents) if place.is_dir())
    free = shutil.disk_usage(folder).free
    size = f"the pictures take {needed / 1e9:,.1f} GB at data.source.image_size={how.image_size}, and this machine has "
    size += f"{physical_bytes() / 1e9:,.1f} GB of memory"
    if 2 * needed > free:
        raise DataError(
            f"{size} and {free / 1e9:,.1f} GB free for data.source.cache_dir; expected a smaller image_size, fewer "
            f"pictures, or {2 * needed / 1e9:,.1f} GB free there"
        )
    logger.warning("%s: they are read from a file in %s, not held", size, cache_dir)
