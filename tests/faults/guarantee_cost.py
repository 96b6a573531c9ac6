"""What the guarantees cost in speed: ``python tests/faults/guarantee_cost.py [ROUNDS]``.

Reseeding: in one run every other step goes without, and the medians of both kinds are compared in processor time, which
other processes and a clock that speeds up and slows down disturb least. Saving: what one resume state takes to write,
with its checksum and two flushes, beside what the steps between two states take.
"""

from __future__ import annotations

import hashlib
import statistics
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import vision_baselines  # noqa: F401  # first of all: it lets torchvision be imported beside any torch

# isort: split
from pytorch_lightning.callbacks import Callback

from vision_baselines import seeding
from vision_baselines.config.compose import composed_run
from vision_baselines.training import build, module
from vision_baselines.training.checkpoints import Checkpoints
from vision_baselines.training.run import train

STEPS = 300
# An epoch of 28×28 images in batches of 64; one image is validated, so that steps are what is timed.
WORDS = (
    "data=noise",
    f"++data.source.train_size={STEPS * 64 + 1}",
    "++data.source.val_size=1",
    "++data.source.test_size=1",
    "trainer.max_epochs=1",
    "logger=none",
    "callbacks.learning_rate=null",
    "callbacks.filters=null",
    "callbacks.parameters=null",
    "scheduler=none",
    "checkpoint_every_n_steps=100000",
)


class Clock(Callback):
    """Processor time of each step of the run, from one start to the next."""

    def __init__(self) -> None:
        self.starts: list[float] = []

    def on_train_batch_start(self, *ignored: Any) -> None:
        self.starts.append(time.thread_time())


def main() -> None:
    rounds = int(sys.argv[1]) if len(sys.argv) > 1 else 5
    with tempfile.TemporaryDirectory(prefix="cost-") as scratch:
        for model in ("cnn", "fc"):
            _measure(model, rounds, Path(scratch) / model)


def _measure(model: str, rounds: int, scratch: Path) -> None:
    steps: dict[bool, list[float]] = {True: [], False: []}
    saves: list[float] = []
    seed, draw, made, save = (
        module.seed_default_generator,
        module.draw_seed,
        build.callbacks,
        Checkpoints._save,
    )
    count = [0]

    def every_other_draw(*coordinates: Any) -> int:
        count[0] += 1
        return draw(*coordinates) if count[0] % 2 else 0

    def every_other_seed(number: int, device: Any) -> None:
        if count[0] % 2:
            seed(number, device)

    def timed_save(self: Checkpoints, *arguments: Any, **options: Any) -> None:
        started = time.perf_counter()
        save(self, *arguments, **options)
        saves.append(time.perf_counter() - started)

    module.draw_seed, module.seed_default_generator = every_other_draw, every_other_seed
    Checkpoints._save = timed_save
    for number in range(rounds):
        clock = Clock()
        build.callbacks = lambda cfg, clock=clock: [*made(cfg), clock]
        count[0] = number % 2
        train(composed_run((*WORDS, f"model={model}"), scratch / str(number)))
        for index, (start, end) in enumerate(zip(clock.starts, clock.starts[1:], strict=False)):
            if index >= 20:  # the first are slower, whatever they do
                steps[(index + number) % 2 == 0].append(end - start)
    module.draw_seed, module.seed_default_generator = draw, seed
    build.callbacks, Checkpoints._save = made, save

    seeded, plain = (statistics.median(steps[kind]) for kind in (True, False))
    [state, *_] = scratch.glob("0/checkpoints/resume*.ckpt")
    content, started = state.read_bytes(), time.perf_counter()
    hashlib.sha256(content).hexdigest()
    hash_s, save_s = time.perf_counter() - started, statistics.median(saves)
    alone = _reseeding_s()
    _say(
        f"{model}: a step takes {1e3 * seeded:.3f} ms with reseeding, {1e3 * plain:.3f} ms without "
        f"({seeded / plain - 1:+.2%}, {len(steps[True])} of each); reseeding alone {1e6 * alone:.1f} µs "
        f"({alone / plain:.3%})"
    )
    _say(
        f"{model}: a state of {len(content) / 1e6:.1f} MB takes {1e3 * save_s:.1f} ms to save, "
        f"{1e3 * hash_s:.1f} of them for its checksum; 500 steps take {500 * seeded:.2f} s: "
        f"{save_s / (500 * seeded):.2%}"
    )


def _reseeding_s() -> float:
    import torch

    device, started = torch.device("cpu"), time.thread_time()
    for step in range(50_000):
        seeding.seed_default_generator(seeding.draw_seed(0, "step", 3, step, 0), device)
    return (time.thread_time() - started) / 50_000


def _say(text: str) -> None:
    sys.stdout.write(f"{text}\n")
    sys.stdout.flush()


if __name__ == "__main__":
    main()
