"""The other processes of a run that trains on several devices: its first process starts them and ends them.

The first process is the run: it holds the folder's lock, decides, writes and tests. The others are started by it with
the run's resolved config and do nothing but train their part of each batch. So the same way serves the command line, a
notebook and a job of a sweep. They end with it: when it ends them, and when it is gone and their input is closed.
"""

from __future__ import annotations

import contextlib
import json
import os
import pickle
import queue
import signal
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytorch_lightning as pl
from omegaconf import DictConfig, OmegaConf
from torch import nn

from vision_baselines import errors
from vision_baselines.data.datamodule import ImageDataModule
from vision_baselines.errors import ConfigError, TrainingError, VisionBaselinesError
from vision_baselines.training.process_group import is_lost, joined

_ENTRY = (
    "import pickle, sys; sys.path[:] = pickle.load(sys.stdin.buffer); "
    "from vision_baselines.training.process_entry import main; main()"
)
_DROPOUT = (nn.Dropout, nn.Dropout1d, nn.Dropout2d, nn.Dropout3d, nn.AlphaDropout, nn.FeatureAlphaDropout)
_BATCH_NORM = (nn.BatchNorm1d, nn.BatchNorm2d, nn.BatchNorm3d)
_LAST_WORDS_S = 10.0
_GRACE_S = 30.0
_POLL_S = 0.2


class Processes:
    """The others, none where a run has one process.

    Args:
        count: Processes of the run, this one among them.
        folder: For what they say, and for the file by which they find each other.
    """

    def __init__(self, count: int, folder: Path) -> None:
        self.count = count
        self._folder = folder
        self._store = folder / "store"
        self._others: list[subprocess.Popen[bytes]] = []
        self._heard: queue.Queue[tuple[int, dict[str, Any] | None]] = queue.Queue()
        self._said: dict[int, dict[str, Any]] = {}
        self._silent: set[int] = set()

    def start(self, cfg: DictConfig) -> None:
        """Start them; they import what they need and wait."""
        plain = OmegaConf.to_container(_without_hydra(cfg), resolve=True)
        for rank in range(1, self.count):
            said = (self._folder / f"process-{rank}.txt").open("wb")
            other = subprocess.Popen(
                [sys.executable, "-c", _ENTRY],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=said,
                env={**os.environ, "LOCAL_RANK": str(rank)},
                start_new_session=True,  # the terminal's Ctrl-C is for the first process, which tells the others
            )
            said.close()
            self._others.append(other)
            threading.Thread(target=self._listen, args=(rank, other.stdout), daemon=True).start()
            handed = {"config": plain, "rank": rank, "count": self.count, "store": str(self._store)}
            self._tell(other, sys.path, handed)

    def caveats(self, net: nn.Module, *, synchronised: bool) -> list[str]:
        """What a reader of the record should know of a net that several processes train, a sentence or none."""
        what = per_process(net, synchronised=synchronised) if self.count > 1 else ""
        return [f"trained in {self.count} processes: {what} per process"] if what else []

    def await_built(self, ckpt_path: str | None) -> None:
        """Let the others read the data and build their net, and wait until they have.

        Args:
            ckpt_path: The state that all resume from, if any.

        Raises:
            TrainingError: One of them has died, or an error of its own kind.
        """
        for other in self._others:
            self._tell(other, {"ckpt_path": ckpt_path})
        while len(self._said) < len(self._others):
            self._hear(_POLL_S)
            if (cause := self._cause()) is not None:
                raise cause
        self._said.clear()

    def fit(self, trainer: pl.Trainer, **options: Any) -> None:
        """`trainer.fit` with `options`, together with the others.

        Raises:
            TrainingError: One of the others has died, or an error of its own kind.
        """
        if self.count == 1:
            trainer.fit(**options)
            return
        try:
            with joined(self._store, 0, self.count, cuda=trainer.strategy.root_device.type == "cuda"):
                trainer.fit(**options)
        except RuntimeError as error:
            cause = self._cause(_LAST_WORDS_S) if is_lost(error) else None
            raise error if cause is None else cause from error
        for other in self._others:
            with contextlib.suppress(subprocess.TimeoutExpired):
                other.wait(_GRACE_S)

    def end(self) -> None:
        """End those that still run; they have nothing to save."""
        for other in self._others:
            other.kill()
        for other in self._others:
            other.wait()
            assert other.stdin is not None
            with contextlib.suppress(BrokenPipeError):
                other.stdin.close()

    def _tell(self, other: subprocess.Popen[bytes], *what: Any) -> None:
        assert other.stdin is not None
        with contextlib.suppress(BrokenPipeError):  # it has died, which is found out where its answer is awaited
            for part in what:
                pickle.dump(part, other.stdin)
            other.stdin.flush()

    def _listen(self, rank: int, answers: Any) -> None:
        with answers:
            for line in answers:
                self._heard.put((rank, json.loads(line)))
        self._heard.put((rank, None))

    def _hear(self, timeout_s: float) -> None:
        with contextlib.suppress(queue.Empty):
            rank, words = self._heard.get(timeout=timeout_s)
            if words is None:
                self._silent.add(rank)
            else:
                self._said[rank] = words

    def _cause(self, patience_s: float = 0.0) -> Exception | None:
        """Why the others cannot go on: one that was killed, or what one of them raised before any lost another."""
        until = time.monotonic() + patience_s
        while True:
            found = [cause for rank in range(1, self.count) if (cause := self._end_of(rank)) is not None]
            if found or time.monotonic() >= until or len(self._silent) == len(self._others):
                return found[0] if found else None
            self._hear(_POLL_S)

    def _end_of(self, rank: int) -> Exception | None:
        words, who = self._said.get(rank, {}), f"process {rank + 1} of {self.count}"
        if "error" in words and not words["lost"]:
            kind = getattr(errors, words["error"], None)
            if isinstance(kind, type) and issubclass(kind, VisionBaselinesError):
                return kind(words["message"])
            unexpected = RuntimeError(f"{who}: {words['error']}: {words['message']}")
            unexpected.__cause__ = RuntimeError(words["traceback"])
            return unexpected
        if rank not in self._silent or "error" in words:
            return None
        try:
            code = self._others[rank - 1].wait(_LAST_WORDS_S)
        except subprocess.TimeoutExpired:
            return None
        if code == 0:
            return None
        said = (self._folder / f"process-{rank}.txt").read_text(errors="replace").strip().splitlines()
        how = f"ended by itself with exit code {code}" + (f" ({said[-1]})" if said else "")
        if code < 0:
            how = f"was killed by {signal.Signals(-code).name}"
            how += " (from outside, or by the system because memory ran out)" if -code == signal.SIGKILL else ""
        return TrainingError(f"{who} {how}; the same command resumes the run")


@contextlib.contextmanager
def processes(cfg: DictConfig) -> Iterator[Processes]:
    """The processes of a run of this config, the others started; all but this one have ended when it is left."""
    count = int(cfg.trainer.get("devices") or 1)
    if count == 1:
        yield Processes(1, Path())
        return
    with tempfile.TemporaryDirectory(prefix="vision-baselines-", ignore_cleanup_errors=True) as folder:
        made = Processes(count, Path(folder))
        try:
            made.start(cfg)
            yield made
        finally:
            made.end()


def check_parts(cfg: DictConfig, datamodule: ImageDataModule) -> None:
    """Refuse a split of which a process would get no part.

    Raises:
        ConfigError: The split, its size and what was expected.
    """
    count, splits = int(cfg.trainer.get("devices") or 1), datamodule.splits
    assert splits is not None
    if 0 < len(splits.val.target) < count:
        raise ConfigError(
            f"trainer.devices is {count}, and the validation split has {len(splits.val.target)} images; "
            "expected at most as many devices, or data.val_size=0"
        )
    last = len(splits.train.target) % datamodule.batch_size
    if cfg.trainer.get("sync_batchnorm") and 1 < last < count:
        raise ConfigError(
            f"trainer.sync_batchnorm is true, and the last batch of an epoch has {last} images for {count} processes; "
            "expected another data.batch_size"
        )


def per_process(net: nn.Module, *, synchronised: bool = False) -> str:
    """What of a net each process does by its own part of a batch, in words; nothing for many nets.

    Args:
        net: The net.
        synchronised: Whether its batch statistics are made over all processes (`trainer.sync_batchnorm`).
    """
    drops = any(isinstance(module, _DROPOUT) and module.p > 0 for module in net.modules())
    norms = not synchronised and any(isinstance(module, _BATCH_NORM) for module in net.modules())
    return " and ".join(["dropout"] * drops + ["batch statistics"] * norms)


def _without_hydra(cfg: DictConfig) -> DictConfig:
    copy = cfg.copy()
    OmegaConf.set_struct(copy, False)
    copy.pop("hydra", None)
    return copy
