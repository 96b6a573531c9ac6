"""Hashes of every training step of a run (`runs.trace`): what was given, what came out. It changes no bit of a run."""

from __future__ import annotations

import contextlib
import hashlib
import random
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytorch_lightning as pl
import torch
from torch import Tensor
from torch.optim import Optimizer

from vision_baselines.analysis.operations import OperationRecorder
from vision_baselines.errors import TrainingError
from vision_baselines.runs.trace import TRACE_FILE, Operation, Row, Trace, trace_of
from vision_baselines.storage.atomic import write_atomically
from vision_baselines.storage.hashing import state_sha256

_FIRST = (0, 0)


class TraceEndedError(TrainingError):
    """A trial run has shown what it was made to show."""


class StepTrace(pl.Callback):
    """Traces a run; what it hashes on an accelerator is copied to the CPU, which takes most of its time.

    A state that the run is resumed from holds the trace up to there, so a resumed run has one trace.

    Args:
        folder: Where ``trace.npz`` is written when training ends; None keeps the trace in memory.
        detailed: Epoch and batch whose operations are recorded one by one.
        reference: Another run's trace: the first step that differs from it is the last one.
        most_batches: The run ends after so many training batches.
    """

    def __init__(
        self,
        folder: Path | None = None,
        *,
        detailed: tuple[int, int] = _FIRST,
        reference: Trace | None = None,
        most_batches: int | None = None,
    ) -> None:
        self.trace = Trace()
        self._folder = folder
        self._detailed = detailed
        self._reference = reference
        self._most_batches = most_batches
        self._generators = _generators()
        self._hashes: dict[str, int] = {}
        self._draws: list[bool] = []
        self._lr = 0.0
        self._operations: list[Operation] = []
        self._recorder: OperationRecorder | None = None

    def on_save_checkpoint(self, trainer: pl.Trainer, pl_module: Any, checkpoint: dict[str, Any]) -> None:
        """Add the trace so far."""
        checkpoint["trace"] = torch.frombuffer(bytearray(self.trace.to_bytes()), dtype=torch.uint8)

    def on_load_checkpoint(self, trainer: pl.Trainer, pl_module: Any, checkpoint: dict[str, Any]) -> None:
        """Continue the trace of the saved run, where it has one."""
        if "trace" in checkpoint:
            self.trace = trace_of(checkpoint["trace"].numpy().tobytes())

    def on_train_start(self, trainer: pl.Trainer, pl_module: Any) -> None:
        """See where the global generators stand."""
        self._generators = _generators()

    def on_train_batch_start(self, trainer: pl.Trainer, pl_module: Any, batch: Any, batch_idx: int) -> None:
        """Hash what the step begins with."""
        self._draws = []
        self._drawn()
        images, target = batch
        net = pl_module.net
        self._hashes = {
            "weights": _hash(dict(net.named_parameters())),
            "buffers": _hash(dict(net.named_buffers())),
            "targets": hash_of([target]),
            "images": hash_of([images]),
            "settings": 0,
            "moments": 0,
        }
        self._lr = 0.0
        if (trainer.current_epoch, batch_idx) == self._detailed:
            self._operations = [
                *_states("before", "weight", net.named_parameters()),
                *_states("before", "buffer", net.named_buffers()),
                Operation("batch", "", "targets", 0, self._hashes["targets"]),
                Operation("batch", "", "images", 0, self._hashes["images"]),
            ]
            if not pl_module.is_compiled:  # no hook on a module would be called
                self._recorder = OperationRecorder(net, hash_of)
                self._recorder.__enter__()  # type: ignore[no-untyped-call]

    def on_before_backward(self, trainer: pl.Trainer, pl_module: Any, loss: Tensor) -> None:
        """Hash the loss."""
        with self._between_phases("backward"):
            self._hashes["loss"] = hash_of([loss])

    def on_after_backward(self, trainer: pl.Trainer, pl_module: Any) -> None:
        """Hash the gradients, as they are so far where several batches make a step."""
        with self._between_phases("optimizer"):
            self._hashes["gradients"] = _hash(_gradients(pl_module))

    def on_before_optimizer_step(self, trainer: pl.Trainer, pl_module: Any, optimizer: Optimizer) -> None:
        """Hash what the optimizer goes by."""
        groups = optimizer.param_groups
        settings = [[name, _plain(group[name])] for group in groups for name in sorted(group) if name != "params"]
        state = enumerate(optimizer.state.values())
        with self._between_phases("optimizer"):
            self._hashes["settings"] = hash_of([repr(settings)])
            self._hashes["moments"] = _hash(
                {f"{index} {name}": torch.as_tensor(value) for index, own in state for name, value in own.items()}
            )
        self._lr = float(groups[0]["lr"])

    def on_train_batch_end(self, trainer: pl.Trainer, pl_module: Any, outputs: Any, batch: Any, batch_idx: int) -> None:
        """Hash what the step has made, and end the run where no more is wanted.

        Raises:
            TraceEndedError: It differs from the reference, or is the last step that was asked for.
        """
        net, where = pl_module.net, (trainer.current_epoch, batch_idx)
        self._close_recorder()
        self._hashes |= {
            "statistics": _hash(dict(net.named_buffers())),
            "clipped": _hash(_gradients(pl_module)),
            "updated": _hash(dict(net.named_parameters())),
        }
        if where == self._detailed:
            self.trace.detailed = where
            self.trace.operations = [
                *self._operations,
                *_states("after", "buffer", net.named_buffers()),
                *_states("after", "weight", net.named_parameters()),
            ]
        self._drawn()
        step = trainer.global_step - bool(self._hashes["settings"])
        row = Row(*where, step, self._hashes, self._draws, torch.get_num_threads(), self._lr)
        self.trace.rows[where] = row
        other = self._reference.rows.get(where) if self._reference is not None else None
        if len(self.trace.rows) == self._most_batches or (other is not None and other.hashes != row.hashes):
            raise TraceEndedError(f"the trace ends at epoch {where[0]}, batch {where[1]}")

    def on_train_end(self, trainer: pl.Trainer, pl_module: Any) -> None:
        """Write the trace."""
        if self._folder is not None:
            write_atomically(self._folder / TRACE_FILE, self.trace.to_bytes())

    def on_exception(self, trainer: pl.Trainer, pl_module: Any, exception: BaseException) -> None:
        """Write the trace up to here; why the run ends matters more than that the disk is full."""
        self._close_recorder()
        with contextlib.suppress(OSError):
            self.on_train_end(trainer, pl_module)

    @contextlib.contextmanager
    def _between_phases(self, phase: str) -> Iterator[None]:
        """Record no operation inside, and then those of `phase`."""
        if self._recorder is None:
            yield
            return
        self._recorder.paused = True
        yield
        self._recorder.paused, self._recorder.phase = False, phase

    def _close_recorder(self) -> None:
        if self._recorder is not None:
            recorder, self._recorder = self._recorder, None
            recorder.__exit__(None, None, None)  # type: ignore[no-untyped-call]
            recorder.close()
            self._operations += [Operation(*done) for done in recorder.done]

    def _drawn(self) -> None:
        """Note whether NumPy's and Python's global generators have moved since the last look."""
        now = _generators()
        self._draws += [one != other for one, other in zip(self._generators, now, strict=True)]
        self._generators = now


def hash_of(values: Sequence[Any]) -> int:
    """64 bits of a hash of tensors (dtype, shape and bytes, wherever they lie) and plain values."""
    tensors = {str(index): value for index, value in enumerate(values) if isinstance(value, Tensor)}
    plain = [(index, value) for index, value in enumerate(values) if not isinstance(value, Tensor)]
    return _short(f"{_hash(tensors)} {plain!r}".encode()) if plain else _hash(tensors)


def _hash(tensors: Mapping[str, Tensor]) -> int:
    return int(state_sha256(tensors)[:16], 16)


def _short(content: bytes) -> int:
    return int.from_bytes(hashlib.sha256(content).digest()[:8], "big")


def _states(phase: str, kind: str, tensors: Iterable[tuple[str, Tensor]]) -> list[Operation]:
    return [Operation(phase, name, kind, 0, hash_of([tensor])) for name, tensor in tensors]


def _gradients(pl_module: Any) -> dict[str, Tensor]:
    return {name: value.grad for name, value in pl_module.net.named_parameters() if value.grad is not None}


def _plain(setting: Any) -> Any:
    return setting.tolist() if isinstance(setting, Tensor) else setting if not callable(setting) else None


def _generators() -> tuple[int, int]:
    """Where NumPy's and Python's global generators stand; torch's is seeded anew in each step."""
    _, keys, position, *_ = np.random.get_state(legacy=True)
    return _short(np.asarray(keys).tobytes() + str(position).encode()), _short(repr(random.getstate()).encode())
