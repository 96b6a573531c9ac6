"""Pictures to probabilities, by one finished run or by the mean of several; each prepares them as it was trained.

Pictures go by batches, so that of very many only the answers are held. Finding and loading runs is left to `trained`.
"""

from __future__ import annotations

import itertools
import logging
import math
import os
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from rich.console import Console
from rich.progress import track

from vision_baselines.analysis import ensemble
from vision_baselines.data.given_pictures import Fault, given_pictures
from vision_baselines.data.picture_decoding import PictureError, PixelArray, quiet_pillow, upright_size
from vision_baselines.data.picture_layout import printable
from vision_baselines.data.prepared import Pictures, Preparation, check_array, files_of
from vision_baselines.errors import DataError, TrainingError, is_out_of_memory
from vision_baselines.evaluation.predictions import Disagreement, Predictions
from vision_baselines.evaluation.trained import Trained

log = logging.getLogger(__name__)

OnFault = Callable[[Fault], None]
OnNote = Callable[[str], None]
_Images = dict[Preparation, PixelArray]
_FAR_OFF = 0.3  # of the mean of grey pixels from black (0) to white (1)
_SEVERAL = 5  # of fewer pictures the mean says little
_HALF = 0.5  # the mean's share that is left; any 5 digits of the test split have 0.73, in a frame twice as large 0.25


def predict(
    members: Sequence[Trained],
    pictures: Pictures,
    *,
    batch_size: int | None = None,
    on_fault: OnFault | None = None,
    on_note: OnNote = log.warning,
) -> Predictions:
    """What the members say of pictures: of several, the mean of their probabilities.

    Args:
        members: One or more, of the same classes.
        pictures: uint8 array (N, H, W), (N, H, W, 1) or (N, H, W, 3), or picture files and folders of them.
        batch_size: Pictures at a time; by default as many as the first run was tested with.
        on_fault: Called with each file that cannot be used; the others are predicted.
        on_note: Called with a line for each thing that was done and one might not expect.

    Raises:
        DataError: A file cannot be used and there is no `on_fault`, or the array has another type or shape.
        TrainingError: Memory ran out.
    """
    size = batch_size or members[0].datamodule.eval_batch_size
    kinds = list(dict.fromkeys(member.preparation for member in members))
    answers: list[_Answer] = []
    files: list[str] | None = None
    seen = _Seen(members[0])
    with quiet_pillow():
        if isinstance(pictures, np.ndarray):
            check_array(pictures)
            seen.sizes += [pictures.shape[1:3]] * len(pictures)
            for start in range(0, len(pictures), size):
                part = pictures[start : start + size]
                images = [{kind: kind.of_array(picture) for kind in kinds} for picture in part]
                answers.append(_answer(members, images))
                seen.look_at(images)
        else:
            files = []
            given = given_pictures(files_of(pictures))
            refuse = on_fault or _raise
            for note in given.notes:
                on_note(note)
            for fault in given.faults:
                refuse(fault)
            for batch in _decoded(given.files, kinds, size, refuse):
                images = [file.images for file in batch]
                files += [file.name for file in batch]
                seen.sizes += [file.size for file in batch]
                answers.append(_answer(members, images))
                seen.look_at(images)
    for note in seen.notes(kinds):
        on_note(note)
    return _together(members, answers, files)


class _File(NamedTuple):
    """A picture file that can be used: its height and width, and its images as members are given them."""

    name: str
    size: tuple[int, ...]
    images: _Images


class _Seen:
    """What the pictures were, to say what one might not expect of them."""

    def __init__(self, member: Trained) -> None:
        self.sizes: list[tuple[int, ...]] = []
        self._member = member
        self._sum, self._count = 0.0, 0

    def look_at(self, images: Sequence[_Images]) -> None:
        """Remember how light they are."""
        self._sum += sum(float(image[self._member.preparation].mean()) / 255 for image in images)
        self._count += len(images)

    def notes(self, kinds: Sequence[Preparation]) -> Iterator[str]:
        """A line for each thing."""
        for kind in kinds:
            other = [size for size in self.sizes if size != kind.size]
            if kind.size is not None and other:
                count = f"{len(other):,} of {len(self.sizes):,}"
                yield f"pictures of another size: {count}, {kind.in_words()}{_were(other)}"
        kind = self._member.preparation
        if not self._count or kind.channels != 1 or kind.half is not None:
            return
        found, trained = self._sum / self._count, float(self._member.datamodule.mean[0])
        if abs(found - trained) > _FAR_OFF and abs(1 - found - trained) < abs(found - trained) / 2:
            now, then = ("dark on light", "light on dark") if found > trained else ("light on dark", "dark on light")
            yield (
                f"the pictures' mean is {found:.2f} (black 0, white 1), that of the training images {trained:.2f}: "
                f"are they {now}, where the net learned {then}?"
            )
        elif self._count >= _SEVERAL and (found < _HALF * trained or 1 - found < _HALF * (1 - trained)):
            yield (
                f"the pictures' mean is {found:.2f} (black 0, white 1), that of the training images {trained:.2f}: "
                "do they fill the frame as those do?"
            )


def _were(sizes: Sequence[tuple[int, ...]]) -> str:
    """Of which sizes pictures were, where it is known: the smallest and the largest."""
    known = sorted({size for size in sizes if size}, key=lambda size: (math.prod(size), size))
    ends = dict.fromkeys([*known[:1], *known[-1:]])
    return f"; they were {' to '.join(f'{width}×{height}' for height, width in ends)}" if known else ""


class _Answer:
    """Of a batch: the ensemble's probabilities, float32 (B, C), each member's class (B, M), and the disagreement."""

    def __init__(self, members: NDArray[np.float64]) -> None:
        self.mean = ensemble.mean_probabilities(members)
        self.labels = members.argmax(axis=2).T
        self.agreement = ensemble.agreement(members)
        self.spread = ensemble.spread(members)
        self.divergence = ensemble.divergence(members)


def _answer(members: Sequence[Trained], images: Sequence[_Images]) -> _Answer:
    """Answers for pictures that are prepared for every member."""
    names = members[0].class_names
    shares = []
    for member in members:
        batch = torch.from_numpy(np.stack([image[member.preparation] for image in images]))
        try:
            found = member.probabilities(batch).numpy()
        except (RuntimeError, MemoryError) as error:
            if not is_out_of_memory(error):
                raise
            raise TrainingError(f"memory ran out on {len(images)} pictures; set a smaller batch size") from error
        # columns in the order of the first member's classes
        same = member.class_names == names
        shares.append(found if same else found[:, [member.class_names.index(name) for name in names]])
    return _Answer(np.stack(shares))


def _together(members: Sequence[Trained], answers: Sequence[_Answer], files: list[str] | None) -> Predictions:
    names = members[0].class_names

    def joined(what: str, *shape: int) -> Any:
        return np.concatenate([np.empty((0, *shape)), *(getattr(answer, what) for answer in answers)])

    mean = joined("mean", len(names))
    labels = [names[index] for index in mean.argmax(axis=1)]
    disagreement = None
    if len(members) > 1:
        disagreement = Disagreement(
            [str(member.folder) for member in members],
            joined("labels", len(members)).astype(np.int64),
            joined("agreement"),
            joined("spread"),
            joined("divergence"),
        )
    return Predictions(labels, mean.astype(np.float32), names, files, disagreement)


def _decoded(files: Sequence[Path], kinds: Sequence[Preparation], size: int, refuse: OnFault) -> Iterator[list[_File]]:
    """Batches of files that can be used, prepared in every way that is needed."""

    def prepared(file: Path) -> _File | Fault:
        try:
            images = {kind: kind.of_file(file) for kind in kinds}
            return _File(str(file), upright_size(file) or (), images)
        except (PictureError, OSError) as error:
            reason = error.fault if isinstance(error, PictureError) else str(error.strerror or error)
            return Fault(printable(str(file)), printable(reason))

    with _pool() as pool:
        for batch in _batches(files, size):
            found = list(pool.map(prepared, batch))
            for fault in found:
                if isinstance(fault, Fault):
                    refuse(fault)
            if usable := [file for file in found if isinstance(file, _File)]:
                yield usable


@contextmanager
def _pool() -> Iterator[ThreadPoolExecutor]:
    """Threads that decode: Pillow lets go of the interpreter's lock; an interrupt does not wait for what is queued."""
    pool = ThreadPoolExecutor(min(8, os.cpu_count() or 1))
    try:
        yield pool
    finally:
        pool.shutdown(cancel_futures=True)


def _batches(files: Sequence[Path], size: int) -> Iterable[list[Path]]:
    """Files by batches, counted where somebody watches."""
    console = Console(stderr=True, markup=False)
    remaining = iter(files)
    batches = iter(lambda: list(itertools.islice(remaining, size)), [])
    total = -(-len(files) // size)
    hidden = not console.is_terminal or total < 3
    return track(batches, description="predicting", total=total, console=console, disable=hidden, transient=True)


def _raise(fault: Fault) -> None:
    raise DataError(str(fault))
