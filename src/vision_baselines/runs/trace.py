"""`trace.npz`: hashes of what each training batch of a run was given and made, so that two runs can be compared.

A row holds the quantities of `QUANTITIES` in the order in which they come about, so the first that differs in the
first row that differs says where two runs part. Of one row the operations are kept too, one by one.
"""

from __future__ import annotations

import io
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import zip_longest
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from vision_baselines.errors import DataError
from vision_baselines.storage.reading import check_archive, read_regular

TRACE_FILE = "trace.npz"
# What is hashed of each batch, in the order in which a step makes it, and what it is called.
QUANTITIES: dict[str, str] = {
    "weights": "the weights before the step",
    "buffers": "the buffers before the step, such as batch-norm statistics",
    "targets": "the targets of the batch",
    "images": "the images of the batch",
    "loss": "the loss",
    "statistics": "the buffers after the step, such as batch-norm statistics",
    "gradients": "the gradients",
    "settings": "the optimizer's settings, such as the learning rate",
    "moments": "the optimizer's state",
    "clipped": "the gradients after clipping",
    "updated": "the weights after the step",
}
# Whether a global generator was drawn from before the batch was there (augmentation), and in its step.
DRAWS = ("numpy_before", "python_before", "numpy_within", "python_within")
_VERSION = 1
_MOST_BYTES = 2**31
_SHAPES: dict[str, tuple[type[np.generic], tuple[int | None, ...]]] = {
    "where": (np.int64, (None, 3)),
    "hashes": (np.uint64, (None, len(QUANTITIES))),
    "draws": (np.bool_, (None, len(DRAWS))),
    "threads": (np.int64, (None,)),
    "lr": (np.float64, (None,)),
    "detailed": (np.int64, (2,)),
    "places": (np.str_, (None, 3)),
    "inputs": (np.uint64, (None,)),
    "outputs": (np.uint64, (None,)),
    "seeded": (np.bool_, (None,)),
}


class Operation(NamedTuple):
    """One operation of a step: where it was done, and hashes of what went in and came out.

    `phase` is ``before``, ``batch``, ``forward``, ``backward``, ``optimizer`` or ``after``; `seeded` says whether it
    draws from a generator of torch.
    """

    phase: str
    module: str
    name: str
    inputs: int
    outputs: int
    seeded: bool = False


class Row(NamedTuple):
    """What is kept of one training batch; epochs, batches and steps count from 0."""

    epoch: int
    batch: int
    step: int
    hashes: Mapping[str, int]
    draws: Sequence[bool]
    threads: int
    lr: float

    @property
    def where(self) -> tuple[int, int]:
        """Epoch, and batch in it."""
        return self.epoch, self.batch


@dataclass
class Trace:
    """The rows of a run by epoch and batch, and the operations of the row `detailed`."""

    rows: dict[tuple[int, int], Row] = field(default_factory=dict)
    detailed: tuple[int, int] | None = None
    operations: list[Operation] = field(default_factory=list)

    def to_bytes(self) -> bytes:
        """As an ``.npz`` file; the same trace gives the same bytes."""
        rows, operations = list(self.rows.values()), self.operations
        content = io.BytesIO()
        np.savez_compressed(
            content,
            version=np.int64(_VERSION),
            where=_array([row[:3] for row in rows], "where"),
            hashes=_array([[row.hashes[name] for name in QUANTITIES] for row in rows], "hashes"),
            draws=_array([row.draws for row in rows], "draws"),
            threads=_array([row.threads for row in rows], "threads"),
            lr=_array([row.lr for row in rows], "lr"),
            detailed=_array(self.detailed or (-1, -1), "detailed"),
            places=_array([operation[:3] for operation in operations], "places"),
            inputs=_array([operation.inputs for operation in operations], "inputs"),
            outputs=_array([operation.outputs for operation in operations], "outputs"),
            seeded=_array([operation.seeded for operation in operations], "seeded"),
        )
        return content.getvalue()


def trace_of(content: bytes) -> Trace:
    """The trace in the content of a file.

    Raises:
        ValueError: It is something else, or damaged.
    """
    check_archive(content, most_bytes=_MOST_BYTES)
    try:
        with np.load(io.BytesIO(content), allow_pickle=False) as archive:
            version, found = archive["version"], {name: archive[name] for name in _SHAPES}
    except Exception as error:  # zipfile, zlib and NumPy have no class of errors in common
        raise ValueError(" ".join(str(error).split()) or type(error).__name__) from error
    if version.shape or version.dtype.kind not in "iu" or int(version) != _VERSION:
        raise ValueError(f"its version is {version}; this version of the package reads {_VERSION}")
    for name, (dtype, shape) in _SHAPES.items():
        array = found[name]
        fits = array.ndim == len(shape) and all(
            want in (None, have) for want, have in zip(shape, array.shape, strict=True)
        )
        if not (np.issubdtype(array.dtype, dtype) and fits):
            raise ValueError(f"its {name} are {array.dtype} of shape {array.shape}")
    _check_lengths(found, ("where", "hashes", "draws", "threads", "lr"))
    _check_lengths(found, ("places", "inputs", "outputs", "seeded"))
    plain = {name: array.tolist() for name, array in found.items()}
    rows = {}
    for (epoch, batch, step), hashes, draws, threads, lr in zip(
        *(plain[name] for name in ("where", "hashes", "draws", "threads", "lr")), strict=True
    ):
        row = Row(epoch, batch, step, dict(zip(QUANTITIES, hashes, strict=True)), draws, threads, lr)
        rows[row.where] = row
    operations = [
        Operation(*place, *rest)
        for place, *rest in zip(*(plain[name] for name in ("places", "inputs", "outputs", "seeded")), strict=True)
    ]
    epoch, batch = plain["detailed"]
    return Trace(rows, (epoch, batch) if epoch >= 0 else None, operations)


def read_trace(folder: Path) -> Trace | None:
    """The trace that a run left in `folder`; None where it kept none.

    Raises:
        DataError: The file is not a trace, or damaged.
    """
    path = folder / TRACE_FILE
    try:
        return trace_of(read_regular(path, most_bytes=_MOST_BYTES))
    except FileNotFoundError:
        return None
    except (OSError, ValueError) as error:
        reason = error.strerror if isinstance(error, OSError) else error
        raise DataError(f"{path} cannot be read as a trace: {reason}; remove it to train twice instead") from error


def first_difference(before: Trace, after: Trace) -> tuple[Row, Row, str] | None:
    """The first two rows of the same batch that differ, and the first quantity in them; None where all agree."""
    for one, other in rows_of_both(before, after):
        for name in QUANTITIES:
            if one.hashes[name] != other.hashes[name]:
                return one, other, name
    return None


def first_operation(before: Sequence[Operation], after: Sequence[Operation]) -> tuple[Operation, str] | None:
    """The first operation of a step that differs between two runs, and how.

    Returns:
        The operation, and ``path`` (one run did it and the other another one), ``argument`` (it was given
        something else, which no operation before it made), ``draw`` (it drew other numbers) or ``result`` (it made
        other bits of the same ones); None where all are the same.
    """
    module = None
    for one, other in zip_longest(before, after):
        if one is None or other is None or one[:3] != other[:3]:
            # the one that goes on in the same module is the one too many
            return (other if one is None or (other and other[:2] == module != one[:2]) else one), "path"
        if one != other:
            how = "draw" if one.seeded else "argument" if one.inputs != other.inputs else "result"
            return one, how
        module = one[:2]
    return None


def rows_of_both(before: Trace, after: Trace) -> Iterator[tuple[Row, Row]]:
    """The rows of each batch that both have, in their order."""
    return ((row, after.rows[where]) for where, row in before.rows.items() if where in after.rows)


def _array(values: Any, name: str) -> NDArray[Any]:
    dtype, shape = _SHAPES[name]
    array = np.array(values, dtype=dtype)
    return array if array.size else np.empty([length or 0 for length in shape], dtype=dtype)


def _check_lengths(found: Mapping[str, NDArray[Any]], names: Sequence[str]) -> None:
    lengths = {name: len(found[name]) for name in names}
    if len(set(lengths.values())) > 1:
        raise ValueError(f"its parts have different lengths: {lengths}")
