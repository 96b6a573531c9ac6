"""``benchmark.py [--part steps sweep …] [--json FILE] [--device cuda]``: speeds side by side, and their ratios.

Without ``--part`` it measures all that a person waits for, in under ten minutes on two quiet cores. A ratio is always
of the two figures printed beside it. No data is downloaded.
"""

from __future__ import annotations

import argparse
import sys
import time
from collections.abc import Callable, Sequence
from importlib import import_module
from typing import Any, NoReturn

from benchmark import steps, surroundings
from vision_baselines.cli.arguments import Parser, file_path, positive
from vision_baselines.cli.entry import exit_with
from vision_baselines.cli.outputs import deliver, text_apart
from vision_baselines.errors import ConfigError

# What can be measured: the module and function that measures it, prints its lines and returns it as plain data.
PARTS = {
    "startup": ("benchmark.startup", "measure_and_print", "what a run imports and the smallest run, to two imports"),
    "steps": ("benchmark.steps", "measure_steps", "training steps of both nets beside three other ways"),
    "sweep": (
        "benchmark.sweeps",
        "measure_and_print",
        "six jobs of an epoch of MNIST, both ways, and their lower bound",
    ),
    "passes": ("benchmark.passes", "measure_and_print", "a step of several seeds trained at once, to one alone"),
    "airbench": ("benchmark.airbench", "measure_and_print", "CIFAR-10 beside airbench's own code: needs --airbench"),
}
BY_DEFAULT = ("startup", "steps", "sweep")
# The parts that an option does something for; `--part` and `--json` are of the whole.
PARTS_OF = {
    "sweep": ("sweep",),
    "device": ("steps", "passes", "airbench"),
    "threads": ("steps",),
    "rounds": ("startup", "steps", "passes", "airbench"),
    "steps": ("steps",),
    "batch_size": ("steps",),
    "model": ("steps",),
    "precision": ("steps",),
    "against": ("steps",),
    "graphs": ("steps",),
    "clock": ("steps",),
    "template_seeds": ("sweep",),
    "airbench": ("airbench",),
}


def main(arguments: Sequence[str] | None = None) -> NoReturn:
    """Measure and print; exits."""
    given = sys.argv[1:] if arguments is None else list(arguments)
    exit_with(lambda: _benchmark(given))


def _benchmark(arguments: list[str]) -> None:
    options = _options(arguments)
    _check(options)
    with text_apart(options):
        found = _measured(options)
    deliver(options.json, found)


def _options(arguments: list[str]) -> argparse.Namespace:
    described = "; ".join(f"{name}: {words}" for name, (*_, words) in PARTS.items())
    parser = Parser(prog="benchmark.py", description=__doc__)
    parser.add_data_options("every round's figures, the machine and its load")
    parser.add_argument(
        "--part", nargs="+", choices=list(PARTS), help=f"{described}; by default {' '.join(BY_DEFAULT)}"
    )
    parser.add_argument("--sweep", action="store_true", help="the same as --part sweep")
    parser.add_argument("--device", default="cpu", choices=["cpu", "cuda"])
    parser.add_argument("--threads", type=positive, default=1)
    parser.add_argument("--rounds", type=positive, default=3)
    parser.add_argument("--steps", type=positive, help="timed steps a round; by default about a second's worth")
    parser.add_argument("--batch-size", nargs="+", type=positive, help="by default 64; on cuda 64, 512 and 4096")
    parser.add_argument(
        "--template-seeds",
        type=positive,
        default=1,
        help="of the sweep: seeds that the template's way is measured with",
    )
    parser.add_argument(
        "--airbench", type=file_path, metavar="DIR", help="a checkout of cifar10-airbench, for its part"
    )
    steps.add_options(parser)
    found: argparse.Namespace = parser.parse_args(arguments, argparse.Namespace(**dict.fromkeys(PARTS_OF)))
    given = [name for name in PARTS_OF if getattr(found, name) is not None]
    for name in PARTS_OF.keys() - given:
        setattr(found, name, parser.get_default(name))
    asked = found.part or (["sweep"] if found.sweep else ["airbench"] if found.airbench else list(BY_DEFAULT))
    found.part = [name for name in PARTS if name in asked]
    _require_used(given, found.part)
    return found


def _require_used(given: Sequence[str], parts: Sequence[str]) -> None:
    """Refuse an option that does nothing for any of the parts.

    Raises:
        ConfigError: There is one.
    """
    for name in given:
        if not set(PARTS_OF[name]) & set(parts):
            option, its = f"--{name.replace('_', '-')}", PARTS_OF[name]
            raise ConfigError(
                f"{option} does nothing for --part {' '.join(parts)}; it belongs to --part {', '.join(its)}"
            )


def _check(options: argparse.Namespace) -> None:
    """Refuse what cannot be measured here before anything is.

    Raises:
        ConfigError: There is no such device, or an option does not go with another.
    """
    if options.device == "cuda":
        import torch

        if not torch.cuda.is_available():
            raise ConfigError("--device is cuda; torch finds none here")
    if "steps" in options.part:
        steps.check(options)
    if "airbench" in options.part:
        import_module("benchmark.airbench").check(options)


def _measured(options: argparse.Namespace) -> dict[str, Any]:
    from vision_baselines.config.compose import register_resolvers

    register_resolvers()
    before, started = surroundings.load(), time.perf_counter()
    machine = surroundings.machine(options.device)
    print(surroundings.in_words(machine, before), flush=True)
    results = {}
    for name in options.part:
        module, function, _ = PARTS[name]
        measure: Callable[[argparse.Namespace], Any] = getattr(import_module(module), function)
        print(flush=True)
        results[name] = measure(options)
    after = surroundings.load()
    seconds = time.perf_counter() - started
    print(f"\n{seconds:.0f} s in all" + ("" if after is None else f"; load after {after:.2f}, with this command's own"))
    return {"environment": machine, "load": {"before": before, "after": after}, "seconds": seconds, **results}
