"""Kills runs with SIGKILL at the moments it is told, resumes them, and says what came of it; started by test_kills.

One process imports torch, and every attempt is a fork of it. Reads cases as JSON, writes what they left as JSON.
"""

from __future__ import annotations

import json
import os
import signal
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import vision_baselines  # noqa: F401  # first of all: it lets torchvision be imported beside any torch

# isort: split
from pytorch_lightning.callbacks import Callback
from stress.attempts import Attempt, attempt, output_file
from stress.traces import differences, trace

from vision_baselines.config.compose import composed_run
from vision_baselines.runs.record import read_record
from vision_baselines.storage import checkpoint_file
from vision_baselines.storage.lock import RunLockedError, exclusive
from vision_baselines.training import build, checkpoints, run
from vision_baselines.training.tensorboard_logger import RunTensorBoardLogger


def die(*ignored: Any) -> None:
    os.kill(os.getpid(), signal.SIGKILL)


class At(Callback):
    """Dies in a hook, from a step on."""

    def __init__(self, hook: str, step: int) -> None:
        self.step = step
        setattr(self, hook, self.arrive)

    def arrive(self, trainer: Any, *rest: Any) -> None:
        if trainer.global_step >= self.step:
            die()


def at(hook: str, step: int) -> Callable[[], None]:
    def prepare() -> None:
        made = build.callbacks
        build.callbacks = lambda cfg: [*made(cfg), At(hook, step)]

    return prepare


def instead(module: Any, name: str, when: int, act: Callable[..., None]) -> Callable[[], None]:
    """At the `when`-th call of a function, `act` with its arguments and die."""

    def prepare() -> None:
        original, calls = getattr(module, name), [0]

        def replaced(*arguments: Any, **options: Any) -> Any:
            calls[0] += 1
            if calls[0] == when:
                act(original, *arguments, **options)
                die()
            return original(*arguments, **options)

        setattr(module, name, replaced)

    return prepare


def half(original: Any, target: Path, content: bytes) -> None:
    """As a kill in the middle of writing leaves it."""
    target.with_name(f".{target.name}.{os.getpid()}").write_bytes(content[: len(content) // 2])


def call(original: Any, *arguments: Any, **options: Any) -> None:
    original(*arguments, **options)


def prepare_rewind_to_die() -> None:
    original = RunTensorBoardLogger.rewind

    def rewind(self: Any, step: int) -> None:
        unlink = Path.unlink
        Path.unlink = lambda path, *rest, **options: (
            die() if "tfevents" in path.name else unlink(path, *rest, **options)
        )
        original(self, step)

    RunTensorBoardLogger.rewind = rewind


MOMENTS: dict[str, Callable[[], None]] = {
    "in mid-epoch": at("on_train_batch_end", 9),
    "at an epoch's last batch": at("on_train_batch_end", 12),
    "at an epoch's end": at("on_train_epoch_end", 6),
    "at an epoch's start": at("on_train_epoch_start", 12),
    "in the first step after a state": at("on_train_batch_start", 13),
    "as validation starts": at("on_validation_start", 6),
    "in validation": at("on_validation_batch_end", 12),
    "as validation ends": at("on_validation_end", 12),
    "as training ends": at("on_train_end", 18),
    "while testing": at("on_test_batch_end", 18),
    "after the result is logged": instead(RunTensorBoardLogger, "log_result", 1, call),
    "after a checkpoint": instead(checkpoint_file, "save", 3, call),
    "between flushing the log and a checkpoint": instead(checkpoint_file, "save", 3, lambda *_, **__: None),
    # each checkpoint is two files: its checksum, then itself
    "while a checksum is written": instead(checkpoint_file, "write_atomically", 5, half),
    "between a checksum and its checkpoint": instead(checkpoint_file, "write_atomically", 5, call),
    "while a checkpoint is written": instead(checkpoint_file, "write_atomically", 6, half),
    "while the best weights are written": instead(checkpoint_file, "write_atomically", 12, half),
    "before outdated checkpoints are removed": instead(checkpoint_file, "remove", 1, lambda *_: None),
    "while the record is written": instead(run.RunRecord, "write", 2, lambda *_: None),
    "while old events are put away": prepare_rewind_to_die,
}
assert checkpoints.checkpoint_file is checkpoint_file  # where `save` is looked up


def killed(case: dict[str, Any]) -> dict[str, Any]:
    """Kill the case's run at each of its moments in turn, and resume it to its end."""
    folder = Path(case["folder"])
    cfg = composed_run(case["overrides"], folder)
    ends: list[Attempt] = []
    free = True
    for moment in case["moments"]:
        delay = moment if isinstance(moment, float) else None
        ends.append(attempt(cfg, kill_after_s=delay, before=MOMENTS.get(str(moment), lambda: None)))
        try:
            with exclusive(folder):
                pass
        except RunLockedError:
            free = False
    state = read_record(folder).status if (folder / "run.json").exists() else "none"
    last = attempt(cfg)
    return {
        "ends": [end.exit_code for end in ends],
        "free": free,
        "state": state,
        "last": last.exit_code,
        "said": output_file(folder).read_text(),
        "left": sorted(path.name for path in folder.rglob(".*") if path.name not in (".lock", ".hydra")),
    }


def main() -> None:
    cases = json.loads(Path(sys.argv[1]).read_text())
    results: dict[str, Any] = {}
    for name, case in cases.items():
        results[name] = killed(case)
        against = case.get("against")
        if against and not results[name]["last"]:
            expected = trace(Path(cases[against]["folder"]))
            results[name]["differences"] = differences(expected, trace(Path(case["folder"])))
    Path(sys.argv[2]).write_text(json.dumps(results))


if __name__ == "__main__":
    main()
