"""Which test images each run got right, and how sure it was: derived from its predictions once, kept by their SHA-256.

A run's outcome takes a bit for each image. What has been derived is kept in this process and, by `report.write`, in a
file beside the comparison; both are found by the SHA-256 of the predictions that a record names, so neither can be out
of date. A cache that is damaged, or of another version, is passed over.
"""

from __future__ import annotations

import hashlib
import io
import os
import zipfile
import zlib
from collections.abc import Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from itertools import chain
from operator import attrgetter
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from vision_baselines.analysis.calibration import BINS, reliability
from vision_baselines.comparison.collection import Job
from vision_baselines.comparison.kept import kept
from vision_baselines.comparison.rows import GroupRow
from vision_baselines.errors import DataError
from vision_baselines.runs.predictions import PREDICTIONS_FILE, Predictions, read_predictions
from vision_baselines.storage.atomic import write_atomically
from vision_baselines.storage.reading import check_archive, read_regular

CACHE_FILE = ".outcomes.npz"
_VERSION = 1
_WORTH_IT = 50
_MOST_BYTES = 2**30
_SHA256 = attrgetter("record.predictions_sha256")
_UNREADABLE = (ValueError, KeyError, OSError, EOFError, zipfile.BadZipFile, zlib.error, NotImplementedError)


@dataclass(frozen=True, eq=False)
class Outcome:
    """What a run's predictions say of its test images.

    Attributes:
        images: Digest of the ids and targets of the images, in order: runs with the same one answer the same questions.
        n_images: Number of images, N.
        bits: (ceil(N / 8),) uint8: whether each was classified rightly, packed.
        reliability: (3, BINS), see `analysis.calibration.reliability`; zeros where no probabilities were kept.
    """

    images: bytes
    n_images: int
    bits: NDArray[np.uint8]
    reliability: NDArray[np.float64]


# By the SHA-256 of predictions: their content decides what is derived, so an entry is right for good.
_known: dict[str, Outcome] = {}
# What each cache holds, and the state that its file was in then: it is read once.
_held: dict[Path, tuple[tuple[str, int, int], frozenset[str]]] = {}
# Why a file is not used, by the SHA-256 that it should have and the state it was in: it is read once, not for a figure.
_refused: dict[tuple[str, tuple[str, int, int]], str] = {}


def outcome_of(job: Job) -> Outcome | None:
    """What a run got right; None where it kept no predictions.

    Raises:
        DataError: Its predictions are missing, damaged or not its own; the message names the file.
    """
    sha256 = job.record.predictions_sha256
    if sha256 is None:
        return None
    if sha256 not in _known:
        state = _state(job.folder / PREDICTIONS_FILE)
        if (sha256, state) in _refused:
            raise DataError(_refused[sha256, state])
        try:
            found = read_predictions(job.folder, job.record)
        except DataError as error:
            _refused[sha256, state] = str(error)
            raise
        if found is None:
            return None
        _known[sha256] = derived(found)
    return _known[sha256]


def usable_outcomes(row: GroupRow) -> list[Outcome]:
    """The outcomes of those counted runs of a group that have one that can be read, in their order."""
    return [found for found in outcomes_of(row.counted) if found is not None]


def outcomes_of(jobs: Iterable[Job]) -> tuple[Outcome | None, ...]:
    """What each of some runs got right."""
    jobs = tuple(jobs)
    try:
        return _all_known(jobs)
    except KeyError:
        return tuple(map(outcome_or_none, jobs))


@kept()
def _all_known(jobs: tuple[Job, ...]) -> tuple[Outcome, ...]:
    """The same where each has been derived, which is then kept; else there is a `KeyError`, which is not."""
    return tuple(_known[job.record.predictions_sha256 or ""] for job in jobs)


def correct_table(outcomes: Sequence[Outcome | None]) -> NDArray[np.bool_] | None:
    """What S runs got right on the same N test images: (S, N), in their order.

    None where there is no run, or one without predictions that can be read, or one that was tested on other images.
    """
    found = [outcome for outcome in outcomes if outcome is not None]
    if not found or len(found) < len(outcomes) or len({outcome.images for outcome in found}) > 1:
        return None
    bits = np.stack([outcome.bits for outcome in found])
    return np.unpackbits(bits, axis=1, count=found[0].n_images).astype(np.bool_)


def has_predictions(*rows: GroupRow) -> bool:
    """Whether a counted run of some groups has predictions that can be read."""
    return any(outcome_or_none(job) is not None for row in rows for job in row.counted)


def faults(groups: Iterable[tuple[Job, ...]]) -> list[str]:
    """Why predictions of finished runs cannot be used, a line each; they stand in no number that is made from them."""
    found = []
    lacking = (jobs for jobs in groups if not all(outcomes_of(jobs)))
    for job in chain.from_iterable(lacking):
        try:
            outcome_of(job)
        except DataError as error:
            found.append(f"{job.place}: {error}")
    return found


def derived(found: Predictions) -> Outcome:
    """The outcome of some predictions."""
    digest = hashlib.sha256(f"{found.ids.dtype.kind} {len(found.ids)}\n".encode())
    ids = "\n".join(found.ids.tolist()).encode() if found.ids.dtype.kind == "U" else found.ids.astype("<i8").tobytes()
    digest.update(ids)
    digest.update(found.targets.astype("<i4").tobytes())
    correct, bins = found.correct, np.zeros((3, BINS))
    if found.probabilities is not None:
        bins = reliability(found.probabilities[np.arange(len(correct)), found.predicted], correct)
    return Outcome(digest.digest(), len(correct), np.packbits(correct), bins)


def read_cache(path: Path) -> None:
    """Take over what an earlier comparison derived, if the file at `path` is there and whole."""
    state = _state(path)
    before, held = _held.pop(path, (None, frozenset()))
    if before == state and held <= _known.keys():
        _held[path] = state, held
        return
    try:
        content = read_regular(path, most_bytes=_MOST_BYTES)
        check_archive(content, most_bytes=_MOST_BYTES)
        with np.load(io.BytesIO(content), allow_pickle=False) as file:
            if file["version"].tolist() != _VERSION:
                return
            keys, images, sizes = file["sha256"].tolist(), file["images"], file["n_images"].tolist()
            bits, bins = file["bits"].astype(np.uint8, copy=False), file["reliability"].astype(np.float64, copy=False)
        ends = np.cumsum([(size + 7) // 8 for size in sizes]).tolist()
        if not len(keys) == len(images) == len(ends) == len(bins) or bins.shape[1:] != (3, BINS):
            return
        if images.dtype != np.uint8 or images.shape[1:] != (32,) or (ends[-1] if ends else 0) != len(bits):
            return
    except _UNREADABLE:
        return
    for key, image, size, begin, end, table in zip(keys, images, sizes, [0, *ends], ends, bins, strict=False):
        # copies: a slice would keep the whole file in memory
        _known.setdefault(key, Outcome(image.tobytes(), size, bits[begin:end].copy(), table.copy()))
    _held[path] = state, frozenset(keys)


def read_all(jobs: Iterable[Job]) -> set[str]:
    """Derive the outcomes that are not known yet, several files at a time; what cannot be used is told by `faults`.

    Returns:
        The SHA-256 of all predictions from which everything has been derived.
    """
    jobs = list(jobs)
    of_each = list(map(_SHA256, jobs))
    kept = set(of_each).difference([None])
    if lacking := kept.difference(_known):
        unknown = [job for job, sha256 in zip(jobs, of_each, strict=True) if sha256 in lacking]
        with ThreadPoolExecutor(min(4, os.cpu_count() or 1)) as pool:  # zlib, hashlib and NumPy let others run
            list(pool.map(outcome_or_none, unknown))
        return kept.intersection(_known)
    return kept


def save_cache(path: Path, derived: set[str], *, all_of_it: bool, anew: bool = False) -> bytes | None:
    """Write what has been derived to the cache at `path`, where it has not all of that.

    Args:
        path: Of the cache.
        derived: SHA-256 of all predictions of its comparison from which everything has been derived.
        all_of_it: Whether it must not wait: what is new is else written once it is a part of all that is worth it.
        anew: Whether nothing that lies there counts.

    Returns:
        What was written; None for nothing.

    Raises:
        OSError: It cannot be written.
    """
    held = _held[path][1] if path in _held and path.is_file() and not anew else frozenset()
    lacking = len(derived - held)
    if not lacking or not (all_of_it or lacking * _WORTH_IT >= len(derived)):
        return None
    content = cache_content(derived)
    write_atomically(path, content)
    _held[path] = _state(path), frozenset(derived)
    return content


def cache_content(derived: Iterable[str]) -> bytes:
    """What has been derived of predictions with these SHA-256, as the content of a cache; the same for the same."""
    keys = sorted(derived)
    found = [_known[key] for key in keys]
    buffer = io.BytesIO()
    np.savez_compressed(
        buffer,
        allow_pickle=False,
        version=np.array(_VERSION),
        sha256=np.array(keys, dtype="U64"),
        images=np.frombuffer(b"".join(outcome.images for outcome in found), np.uint8).reshape(-1, 32),
        n_images=np.array([outcome.n_images for outcome in found], dtype=np.int64),
        bits=np.concatenate([np.empty(0, np.uint8), *(outcome.bits for outcome in found)]),
        reliability=np.array([outcome.reliability for outcome in found]).reshape(-1, 3, BINS),
    )
    return buffer.getvalue()


def outcome_or_none(job: Job) -> Outcome | None:
    """What a run got right; None where it kept no predictions, or some that cannot be used."""
    try:
        return outcome_of(job)
    except DataError:
        return None


def _state(path: Path) -> tuple[str, int, int]:
    """Place, size and time of a file; zeros where there is none."""
    try:
        facts = path.stat()
    except OSError:
        return str(path), 0, 0
    return str(path), facts.st_size, facts.st_mtime_ns
